"""Labels from a CSV replace those of a dataset, and nothing else changes."""

from pathlib import Path

import pytest

from features.errors import DataError
from features.manifest import build_manifest
from features.relabel import Relabel
from features.settings import DataSettings


def written(path: Path, *rows: str, header: str = "subset,fname,labels,note") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def first(root: Path, subset: str) -> tuple[str, list[str]]:
    row = build_manifest(root, DataSettings(folds=2)).subset(subset).iloc[0]
    return str(row["clip"]), list(row["labels"])


def test_labels_change_and_clips_without_any_are_left_out(small_data: Path, tmp_path: Path) -> None:
    before = build_manifest(small_data, DataSettings(folds=2))
    clip, labels = first(small_data, "curated")
    other = next(name for name in before.classes if name not in labels)
    noisy, _ = first(small_data, "noisy")
    csv = written(tmp_path / "new.csv", f"curated,{clip},{other},x", f"noisy,{noisy},,x")
    after = build_manifest(small_data, DataSettings(folds=2), relabel=Relabel.read(csv))
    assert after.subset("curated").set_index("clip").loc[clip, "labels"] == [other]
    assert noisy not in set(after.subset("noisy")["clip"])
    assert len(after.clips) == len(before.clips) - 1
    assert after.notes[0] == (
        f"new.csv changes the labels of 1 clip (curated {clip}) and leaves out 1 clip (noisy {noisy}): scores are on "
        "these labels"
    )


def test_labels_that_stay_change_nothing(small_data: Path, tmp_path: Path) -> None:
    before = build_manifest(small_data, DataSettings(folds=2))
    rows = [
        f'{subset},{clip},"{",".join(reversed(labels))}",'
        for subset in ("curated", "noisy")
        for clip, labels in before.subset(subset)[["clip", "labels"]].itertuples(index=False)
    ]
    relabel = Relabel.read(written(tmp_path / "same.csv", *rows))
    assert build_manifest(small_data, DataSettings(folds=2), relabel=relabel).full_hash() == before.full_hash()
    assert Relabel.from_json(relabel.to_json()) == relabel


@pytest.mark.parametrize(
    ("rows", "header", "problem"),
    [
        (["a"], "fname", "needs the columns subset, fname, labels, each once; it has fname"),
        (["test,a,b,"], "subset,fname,labels,note", "line 2 has subset 'test': write curated or noisy"),
        (["curated,a,b,", "curated,a,c,"], "subset,fname,labels,note", "line 3 names curated clip a again: keep one"),
        (["curated,a,b,c,d"], "subset,fname,labels,note", "line 2 has 5 fields where the header has 4"),
    ],
)
def test_wrong_files_are_refused(tmp_path: Path, rows: list[str], header: str, problem: str) -> None:
    with pytest.raises(DataError) as error:
        Relabel.read(written(tmp_path / "new.csv", *rows, header=header))
    assert problem in error.value.problems[0]


def test_clips_and_labels_that_are_not_there_are_named(small_data: Path, tmp_path: Path) -> None:
    clip, _ = first(small_data, "curated")
    csv = written(tmp_path / "new.csv", "curated,gone.wav,Bark,", f"curated,{clip},Nonsense,")
    with pytest.raises(DataError) as error:
        build_manifest(small_data, DataSettings(folds=2), relabel=Relabel.read(csv))
    assert error.value.problems == [
        "new.csv names curated clip gone.wav, which the dataset does not have",
        f"new.csv labels {clip} with Nonsense, not in the list of classes: use a class of the dataset",
    ]


def test_no_clip_changes_its_fold_even_if_labels_balance_the_folds(small_data: Path, tmp_path: Path) -> None:
    settings = DataSettings(folds=2, stratify=True)
    before = build_manifest(small_data, settings)
    rows = [f"{subset},{before.subset(subset)['clip'].iloc[0]},Tone," for subset in ("curated", "noisy")]
    rows.append(f"curated,{before.subset('curated')['clip'].iloc[1]},,")
    after = build_manifest(small_data, settings, relabel=Relabel.read(written(tmp_path / "new.csv", *rows)))
    folds = before.clips.set_index(["subset", "clip"])["fold"]
    for subset, clip, fold in after.clips[["subset", "clip", "fold"]].itertuples(index=False):
        assert folds[subset, clip] == fold
