import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from features.errors import DataError, StoreError
from features.folds import kfold
from features.manifest import Manifest, build_manifest
from features.settings import DataSettings
from features.synthetic import generate
from tests.fixtures.manifests import problems

Append = Callable[[str], None]
Writer = Callable[..., np.ndarray]


def test_rows_targets_and_folds(demo: Path) -> None:
    manifest = build_manifest(demo, DataSettings())
    curated, noisy, test = (manifest.subset(name) for name in ("curated", "noisy", "test"))
    assert list(curated["clip"]) == sorted(curated["clip"])
    assert list(test["clip"]) == list(pd.read_csv(demo / "sample_submission.csv")["fname"])
    np.testing.assert_array_equal(curated["fold"], kfold(14, 5, 42))
    np.testing.assert_array_equal(noisy["fold"], kfold(12, 5, 42))
    assert (test["fold"] == -1).all()
    assert all((demo / path).is_file() for path in manifest.clips["path"])
    assert (curated["group"] == curated["clip"]).all()

    targets = manifest.targets("curated")
    assert targets.dtype == np.float32
    assert targets.shape == (14, 6)
    for labels, row in zip(curated["labels"], targets, strict=True):
        assert {manifest.classes[index] for index in np.flatnonzero(row)} == set(labels)
    assert manifest.targets("test").shape == (4, 6)
    assert not manifest.targets("test").any()


def test_write_and_read_agree(demo: Path, tmp_path: Path) -> None:
    manifest = build_manifest(demo, DataSettings())
    manifest.write(tmp_path)
    read = Manifest.read(tmp_path)
    pd.testing.assert_frame_equal(read.clips, manifest.clips)
    assert (read.classes, read.skipped, read.notes) == (manifest.classes, manifest.skipped, manifest.notes)
    assert read.content_hash() == manifest.content_hash()
    assert isinstance(read.clips["labels"][0], list)


def test_damaged_files_are_told(demo: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is missing"):
        Manifest.read(tmp_path)
    build_manifest(demo, DataSettings()).write(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(StoreError, match=r"manifest\.json is damaged"):
        Manifest.read(tmp_path)
    (tmp_path / "clips.parquet").write_bytes(b"PAR1")
    with pytest.raises(StoreError, match=r"clips\.parquet is damaged"):
        Manifest.read(tmp_path)


def test_hash_follows_the_content_and_not_the_place(tiny: Path, tmp_path: Path, audio_writer: Writer) -> None:
    first = build_manifest(tiny, DataSettings()).content_hash()
    moved = tmp_path / "elsewhere"
    tiny.rename(moved)
    assert build_manifest(moved, DataSettings()).content_hash() == first
    assert build_manifest(moved, DataSettings(fold_seed=1)).content_hash() != first
    assert build_manifest(moved, DataSettings(group_by="labels", folds=2)).content_hash() != first
    audio_writer(moved / "train_curated" / "a3.wav", seed=99)
    assert build_manifest(moved, DataSettings()).content_hash() != first


def test_all_problems_at_once_and_set_aside(tiny: Path, append: Append, audio_writer: Writer) -> None:
    append("gone.wav,A")
    append("a0.wav,B")
    append("b.wav,Dragon")
    (tiny / "train_curated" / "a1.wav").write_bytes(b"")
    (tiny / "sample_submission.csv").write_text("fname,A,B\nt.wav,0,0\nlost.wav,0,0\n")
    audio_writer(tiny / "test" / "t.wav")
    found = problems(tiny)
    assert len(found) == 5
    for name in ("a0.wav", "b.wav", "a1.wav", "gone.wav", "lost.wav"):
        assert sum(name in problem for problem in found) == 1
    assert all(".csv" in problem for problem in found)

    manifest = build_manifest(tiny, DataSettings(), skip_bad=True)
    assert list(manifest.skipped) == found
    assert list(manifest.subset("curated")["clip"]) == [f"a{index}.wav" for index in range(2, 10)]
    assert list(manifest.subset("test")["clip"]) == ["t.wav"]


def test_one_name_in_two_subsets_is_two_clips(tiny: Path, audio_writer: Writer) -> None:
    audio_writer(tiny / "train_noisy" / "a0.wav", seed=50)
    audio_writer(tiny / "train_noisy" / "a1.wav", seed=51)
    (tiny / "train_noisy.csv").write_text("fname,labels\na0.wav,B\na1.wav,A\n")
    manifest = build_manifest(tiny, DataSettings())
    rows = manifest.clips[manifest.clips["clip"] == "a0.wav"]
    assert list(rows["subset"]) == ["curated", "noisy"]
    assert rows["sha256"].nunique() == 2


def test_esc10_groups(shared_data: Callable[[str], Path]) -> None:
    manifest = build_manifest(shared_data("esc10"), DataSettings(group_by="group"))
    curated = manifest.subset("curated")
    assert [len(manifest.subset(name)) for name in ("curated", "noisy", "test")] == [134, 142, 70]
    assert len(manifest.classes) == 10
    assert (curated.groupby("group")["fold"].nunique() == 1).all()
    assert manifest.skipped == ()


def test_what_changed_between_two_manifests_is_told_with_an_example(tmp_path: Path) -> None:
    generate(tmp_path, seed=1, curated=12, noisy=4, test=2)
    before = build_manifest(tmp_path, DataSettings(folds=2))
    assert before.changes(before, "curated") == ""
    first, second, third = before.subset("curated")["clip"].tolist()[:3]
    table = pd.read_csv(tmp_path / "train_curated.csv", dtype=str)
    old = table.loc[table["fname"] == first, "labels"].item()
    new = next(name for name in before.classes if name not in old)
    table.loc[table["fname"] == first, "labels"] = new
    table[table["fname"] != third].to_csv(tmp_path / "train_curated.csv", index=False)
    shutil.copy(tmp_path / "train_curated" / third, tmp_path / "train_curated" / second)
    after = build_manifest(tmp_path, DataSettings(folds=2))
    told = after.changes(before, "curated")
    old_words = ", ".join(old.split(","))
    assert told.startswith(f"curated clips: 1 with other labels ({first}: '{old_words}' -> '{new}'), 1 gone ({third})")
    assert f"1 with other audio ({second})" in told
    assert after.changes(before, "test") == ""


def test_classes_that_were_added_renamed_or_moved_are_told(tmp_path: Path) -> None:
    generate(tmp_path, seed=1, curated=12, noisy=4, test=2)
    manifest = build_manifest(tmp_path, DataSettings(folds=2))
    first, *others = manifest.classes
    for classes, words in (
        ((*manifest.classes, "Z"), "classes: 1 new (Z)"), (("Z", *others), f"classes: 1 new (Z), 1 gone ({first})"),
        ((*others, first), f"classes: {len(manifest.classes)} in another order ({others[0]})"),
    ):  # fmt: skip
        assert replace(manifest, classes=classes).changes(manifest, "curated") == words


def test_classes_without_a_clip_or_with_one_are_noted(tiny: Path, append: Append) -> None:
    (tiny / "vocabulary.csv").write_text("0,A\n1,B\n2,Bathtub_(filling_or_washing)\n3,D\n")
    shutil.copy(tiny / "train_curated" / "a0.wav", tiny / "train_curated" / "d.wav")
    append("d.wav,D")
    notes = " ".join(build_manifest(tiny, DataSettings(folds=3)).notes)
    assert "1 class without a usable clip: Bathtub_(filling_or_washing)" in notes
    assert "1 class with a single usable clip, D: the fold that scores it cannot train on it; add clips" in notes


def test_files_of_refused_data_are_not_remembered_where_there_is_no_store_yet(tiny: Path, tmp_path: Path) -> None:
    next((tiny / "train_curated").iterdir()).write_text("text")
    problems(tiny)
    cache = tmp_path / "run" / "store" / "probes.json"
    with pytest.raises(DataError):
        build_manifest(tiny, DataSettings(), cache=cache)
    assert not (tmp_path / "run").exists()
    cache.parent.mkdir(parents=True)
    with pytest.raises(DataError):
        build_manifest(tiny, DataSettings(), cache=cache)
    assert cache.exists()


def test_what_was_set_aside_and_noted_is_part_of_the_full_hash(demo: Path) -> None:
    """Otherwise a store that has a manifest of the same clips would answer with another list."""
    manifest = build_manifest(demo, DataSettings())
    manifest = replace(manifest, notes=())
    assert manifest.full_hash() == manifest.content_hash()
    skipped = replace(manifest, skipped=("x.wav is empty",))
    noted = replace(manifest, notes=("x.wav is odd",))
    assert len({manifest.full_hash(), skipped.full_hash(), noted.full_hash()}) == 3
    assert skipped.content_hash() == manifest.content_hash()


def test_files_above_full_scale_are_noted_also_by_the_next_check(tiny: Path, tmp_path: Path) -> None:
    path = sorted((tiny / "train_curated").glob("*.wav"))[0]
    samples, rate = soundfile.read(path)
    soundfile.write(path, 3 * samples / np.abs(samples).max(), rate, subtype="FLOAT")
    for _ in range(2):  # the second time from the cache of checked files
        notes = build_manifest(tiny, DataSettings(folds=2), cache=tmp_path / "probes.json").notes
        said = [note for note in notes if "full scale" in note]
        assert said == [
            f"1 file exceeds full scale, such as train_curated/{path.name} with samples of up to 3: each is scaled "
            "down to full scale"
        ]
