from collections.abc import Sequence
from pathlib import Path

import pytest

from features.csv_table import CsvTable
from features.datasets.columns import List, group_column, label_separator, part_of


def looked_at(text: str, audio: Sequence[str], path: str = "labels.csv") -> List:
    lines = [line.split(",") for line in text.strip().splitlines()]
    table = CsvTable(Path(path), tuple(lines[0]), list(enumerate(lines[1:], start=2)))
    one = List(path, ",", table)
    assert one.look(audio)
    return one


@pytest.mark.parametrize(
    ("text", "audio", "file"),
    [
        ("id,label\na.wav,x\nb.wav,y", ["a.wav", "b.wav"], "{id}"),
        ("id,label\na,x\nb,y", ["clips/a.flac", "clips/b.flac"], "clips/{id}.flac"),
        ("label,path\nx,in/a.wav\ny,on/b.wav", ["audio/in/a.wav", "audio/on/b.wav"], "audio/{path}"),
        ("path,label\n./in/a.wav,x\nin\\b.wav,y", ["in/a.wav", "in/b.wav"], "{path}"),
        ("f,fold,label\na.wav,7,x\nb.wav,8,y", ["audio/fold7/a.wav", "audio/fold8/b.wav"], "audio/fold{fold}/{f}"),
        ("label,f\nx,a\ny,a", ["all/x/a.wav", "all/y/a.wav"], "all/{label}/{f}.wav"),
        (
            "YTID,start_seconds,end_seconds,label\nabcdefghijk,30.0,40.0,x\nbcdefghijkl,50.0,60.0,y",
            ["wav/Yabcdefghijk_30.0_40.0.wav", "wav/Ybcdefghijkl_50.0_60.0.wav"],
            "wav/Y{YTID}_{start_seconds}_{end_seconds}.wav",
        ),
    ],
)
def test_the_way_to_name_a_file_is_found(text: str, audio: list[str], file: str) -> None:
    assert looked_at(text, audio).file == file


def test_no_column_names_files() -> None:
    table = CsvTable(Path("l.csv"), ("f", "label"), [(2, ["q.wav", "x"])])
    assert not List("l.csv", ",", table).look(["a.wav", "b.wav"])


def test_of_equal_names_those_of_the_lists_part_are_meant() -> None:
    audio = [f"{part}/{name}.wav" for part in ("test", "train") for name in "ab"]
    assert looked_at("f,label\na,x\nb,y", audio, "test.csv").file == "test/{f}.wav"
    assert looked_at("f,label\na,x\nb,y", audio, "train.csv").file == "train/{f}.wav"


AUDIO = [f"{name}.wav" for name in "abcd"]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("f,n,category\na,1,x\nb,2,y\nc,3,x\nd,4,y", "category"),
        ("f,target,label\na,0,x\nb,1,y\nc,0,x\nd,1,y", "label"),
        ("f,Art\na,x\nb,y\nc,x\nd,y", "Art"),
        ("f,dog,cat\na,1,0\nb,0,1\nc,1,1\nd,0,0", ("dog", "cat")),
        ("f,note\na,one\nb,two\nc,three\nd,four", None),
        ("f,seconds\na,1.5\nb,1.5\nc,2\nd,2", None),
    ],
)
def test_the_labels_are_found(text: str, labels: str | None) -> None:
    assert looked_at(text, AUDIO).labels == labels


@pytest.mark.parametrize(
    ("cells", "separator"),
    [
        (["a", "b", "a"], None),
        (["a,b", "b", "a"], ","),
        (["a;b", "b;c", "c"], ";"),
        (["a|b", "b", "a"], "|"),
        (["Crow, caw", "Dog", "Crow, caw"], None),
        (["a b", "b", "a"], None),
    ],
)
def test_the_separator_of_labels_has_to_make_labels(cells: list[str], separator: str | None) -> None:
    assert label_separator(cells) == separator


def test_folds_groups_and_splits_are_found() -> None:
    one = looked_at("f,label,fold,speaker,split\na,x,1,p,train\nb,y,2,p,valid\nc,x,1,q,test\nd,y,2,q,train", AUDIO)
    assert (one.fold, one.group) == ("fold", "speaker")
    assert one.where == {"curated": {"split": ("train", "valid")}, "test": {"split": ("test",)}}
    assert looked_at("f,label,split\na,x,train\nb,y,valid\nc,x,train", AUDIO).where == {}


def test_a_group_is_shared_by_clips_and_known_of_all() -> None:
    def table(*cells: str) -> CsvTable:
        return CsvTable(Path("l.csv"), ("f", "Speaker"), [(2 + i, [str(i), cell]) for i, cell in enumerate(cells)])

    assert group_column(table("a", "a", "b")) == "Speaker"
    assert group_column(table("a", "b", "c")) is None
    assert group_column(table("a", "a", "")) is None
    assert group_column(table("a", "a", "a")) is None


def test_verified_rows_are_the_clean_ones() -> None:
    one = looked_at("f,label,manually_verified\na,x,1\nb,y,1\nc,x,0\nd,y,0", AUDIO)
    assert one.where == {"curated": {"manually_verified": ("1",)}, "noisy": {"manually_verified": ("0",)}}
    assert looked_at("f,label,manually_verified\na,x,1\nb,y,1", AUDIO).where == {}


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("train.csv", "curated"), ("meta/test_post.csv", "test"), ("train_noisy", "noisy"), ("eval", "test"),
        ("contest.csv", None), ("labels.csv", None), ("Validation", "curated"),
    ],
)  # fmt: skip
def test_words_name_a_part(words: str, part: str | None) -> None:
    assert part_of(words) == part
