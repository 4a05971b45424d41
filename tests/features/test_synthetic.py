import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile

from features.errors import DataError
from features.manifest import build_manifest
from features.settings import DataSettings
from features.synthetic import CLASSES, generate


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def labels(path: Path) -> dict[str, list[str]]:
    with path.open(newline="") as file:
        return {row["fname"]: row["labels"].split(",") for row in csv.DictReader(file)}


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        generate(tmp_path / name, seed=seed, curated=6, noisy=2, test=2)
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert not content(tmp_path / "a").keys() & {key for key in content(tmp_path / "c") if key.endswith(".wav")}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_a_second_call_does_nothing_and_other_files_are_safe(tmp_path: Path) -> None:
    generate(tmp_path / "a", seed=3, curated=6, noisy=2, test=2)
    before = (tmp_path / "a" / "train_curated.csv").stat().st_mtime_ns
    generate(tmp_path / "a", seed=3, curated=6, noisy=2, test=2)
    assert (tmp_path / "a" / "train_curated.csv").stat().st_mtime_ns == before
    with pytest.raises(DataError, match="holds files other than"):
        generate(tmp_path / "a", seed=4, curated=6, noisy=2, test=2)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("words")
    with pytest.raises(DataError, match="holds files other than"):
        generate(tmp_path / "mine", seed=3)
    assert content(tmp_path / "mine") == {"thesis.txt": b"words"}


def test_dataset_is_sane(demo: Path) -> None:
    manifest = build_manifest(demo, DataSettings())
    assert manifest.classes == CLASSES
    assert manifest.targets("curated").any(axis=0).all()
    rates = manifest.clips.groupby(["sample_rate_hz", "channels"]).size()
    assert set(rates.index) == {(44_100, 1), (48_000, 2), (22_050, 1)}
    seconds = manifest.clips["n_samples"] / manifest.clips["sample_rate_hz"]
    assert seconds.min() >= 0.499
    assert seconds.max() <= 4
    for path in manifest.clips["path"]:
        samples, _ = soundfile.read(demo / path)
        assert 0.05 < np.abs(samples).max() < 1
    assert list(labels(demo / "test_labels.csv")) == sorted(manifest.subset("test")["clip"])


def test_two_fifths_of_the_noisy_labels_are_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generate(tmp_path / "spoiled", seed=1, curated=0, noisy=20, test=0)
    monkeypatch.setattr("features.synthetic._WRONG_SHARE", 0.0)
    generate(tmp_path / "true", seed=1, curated=0, noisy=20, test=0)
    true, spoiled = labels(tmp_path / "true" / "train_noisy.csv"), labels(tmp_path / "spoiled" / "train_noisy.csv")
    wrong = [clip for clip in true if spoiled[clip] != true[clip]]
    assert len(wrong) == 8
    assert not any(set(spoiled[clip]) & set(true[clip]) for clip in wrong)
