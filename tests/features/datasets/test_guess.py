from pathlib import Path

import pytest

from features.datasets.description import Source
from features.datasets.guess import class_folders, lists
from features.datasets.tree import Tree, walk
from tests.features.datasets.conftest import Clip, Text


def tree(*names: str) -> Tree:
    return Tree(tuple(sorted(names)), (), ())


@pytest.mark.parametrize(
    ("names", "curated", "noisy", "test"),
    [
        (["dog/1.wav", "cat/2.wav"], ["."], [], []),
        (["dog/1.wav", "cat/a/2.wav", "loose.wav"], ["."], [], []),
        (["data/dog/1.wav", "data/cat/2.wav"], ["data"], [], []),
        (["train/dog/1.wav", "train/cat/2.wav", "test/dog/3.wav"], ["train"], [], ["test"]),
        (["x/train/dog/1.wav", "x/train/cat/2.wav", "x/test/3.wav"], ["x/train"], [], ["x/test"]),
        (["train/dog/1.wav", "val/cat/2.wav", "noisy/dog/3.wav"], ["train", "val"], ["noisy"], []),
        (["clean/1.wav", "noisy/2.wav"], ["."], [], []),  # a class may be called so
        (["dog/1.wav", "cat/2.wav", "test/3.wav"], ["."], [], ["test"]),
    ],
)
def test_class_folders(names: list[str], curated: list[str], noisy: list[str], test: list[str]) -> None:
    dataset = class_folders(tree(*names))
    assert dataset is not None
    wanted = [[Source(audio=one) for one in some] for some in (curated, noisy, test)]
    assert [list(sources or ()) for sources in (dataset.curated, dataset.noisy, dataset.test)] == wanted


@pytest.mark.parametrize("names", [["1.wav", "2.wav"], ["dog/1.wav"], ["test/1.wav", "dog/2.wav"]])
def test_these_are_no_class_folders(names: list[str]) -> None:
    assert class_folders(tree(*names)) is None


def test_one_list_with_a_column_of_splits(root: Path, clip: Clip, text: Text) -> None:
    for name in "abcd":
        clip(f"wav/{name}.wav")
    text("meta/all.csv", "file;kind;split\na;x;train\nb;y;train\nc;x;dev\nd;y;test\n")
    text("README.txt", "a, b\nc, d\n")
    dataset, notes = lists(root, walk(root))
    assert dataset is not None
    (curated,), (test,) = dataset.curated, dataset.test or ()
    assert (curated.audio, curated.csv, curated.separator, curated.file) == ("wav", "meta/all.csv", ";", "{file}.wav")
    assert (curated.labels, curated.where, test.where) == ("kind", {"split": ("dev", "train")}, {"split": ("test",)})
    assert notes == []


def test_lists_beside_their_audio(root: Path, clip: Clip, text: Text) -> None:
    for part, names in (("train", "abcd"), ("test", "ab")):
        rows = ["file_name,label"]
        for index, name in enumerate(names):
            clip(f"{part}/{name}.wav")
            rows.append(f"{name}.wav,{'xy'[index % 2]}")
        text(f"{part}/metadata.csv", "\n".join(rows) + "\n")
    dataset, notes = lists(root, walk(root))
    assert dataset is not None
    assert [(one.audio, one.csv) for one in dataset.curated] == [("train", "train/metadata.csv")]
    assert [(one.audio, one.csv) for one in dataset.test or ()] == [("test", "test/metadata.csv")]
    assert notes == []


def test_lists_that_are_not_used_are_named(root: Path, clip: Clip, text: Text) -> None:
    for name in "abcd":
        clip(f"{name}.wav")
    text("labels.csv", "f,label\na,x\nb,y\nc,x\nd,y\n")
    text("more.csv", "f,label\na,x\nb,y\n")
    text("lengths.csv", "f,seconds\na,1\nb,2\n")
    dataset, notes = lists(root, walk(root))
    assert dataset is not None
    assert [one.csv for one in dataset.curated] == ["labels.csv"]
    assert notes == [
        f"{root}/more.csv is not used: other lists name its files",
        f"{root}/lengths.csv is not used: other lists name its files",
    ]
    (root / "labels.csv").unlink()
    (root / "more.csv").unlink()
    assert lists(root, walk(root)) == (None, [f"{root}/lengths.csv is not used: no column of it looks like labels"])


def test_audioset_is_what_was_downloaded_of_it(root: Path, clip: Clip, text: Text) -> None:
    head = "# Segments csv created Sun Mar  5 10:54:31 2017\n# num_ytids=9\n"
    head += "# YTID, start_seconds, end_seconds, positive_labels\n"
    for name, mark in (("balanced_train_segments", "a"), ("eval_segments", "e")):
        rows = [f'{mark}{index:09d}-, 30.000, 40.000, "/m/{index % 2},/m/{index % 3}"\n' for index in range(9)]
        text(f"{name}.csv", head + "".join(rows))
        for index in range(4):
            clip(f"wav/{mark}{index:09d}-.wav")
    text("class_labels_indices.csv", 'index,mid,display_name\n0,/m/0,Dog\n1,/m/1,"Crow, caw"\n2,/m/2,Animal\n')
    dataset, notes = lists(root, walk(root))
    assert dataset is not None
    assert dataset.label_names is not None
    assert dataset.label_names.csv == "class_labels_indices.csv"
    for sources, csv in ((dataset.curated, "balanced_train_segments.csv"), (dataset.test or (), "eval_segments.csv")):
        (one,) = sources
        assert (one.csv, one.audio, one.file, one.missing) == (csv, "wav", "{YTID}.wav", "skip")
        assert (one.labels, one.label_separator) == ("positive_labels", ",")
    assert notes == ["start_seconds and end_seconds cut nothing: each file is taken to be the segment itself"]


def test_of_very_many_lists_the_outermost_are_looked_at(
    root: Path, clip: Clip, text: Text, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("features.datasets.guess._MOST_LISTS", 2)
    for name in "abcd":
        clip(f"{name}.wav")
        text(f"events/{name}.csv", "onset,offset\n1,2\n")
    text("labels.csv", "f,label\na,x\nb,y\nc,x\nd,y\n")
    dataset, notes = lists(root, walk(root))
    assert dataset is not None
    assert dataset.curated[0].csv == "labels.csv"
    assert f"{root} has 5 CSV files, of which only the first 2 were looked at" in notes
