"""The shared folder of hostile inputs, one fault at a time and all at once."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from features.audio import read_mono
from features.errors import DataError
from features.manifest import build_manifest
from features.mel import MelSpectrogram
from features.settings import DataSettings, MelSettings

SHARED = Path(os.environ.get("SONOGRID_SHARED_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))
HOSTILE = SHARED / "hostile"
CASES = json.loads((HOSTILE / "hostile.json").read_text())["cases"] if HOSTILE.is_dir() else []
NORMALISED = {"train_curated.csv: ok_rooster_1.wav -> 'Rooster, Bark,,Bark'": ["Rooster", "Bark"]}

needs_hostile = pytest.mark.skipif(not CASES, reason=f"no folder {HOSTILE} (set SONOGRID_SHARED_DATA)")


def add_line(path: Path, line: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def set_labels(path: Path, clip: str, labels: str) -> None:
    lines = [line for line in path.read_text().splitlines() if not line.startswith(f"{clip},")]
    path.write_text("\n".join([*lines, f'{clip},"{labels}"']) + "\n")


def dataset_with(case: dict[str, str], root: Path) -> str:
    """A clean dataset with the one fault of a case; the name of the clip it concerns."""
    for subset in ("train_curated", "train_noisy", "test"):
        (root / subset).mkdir(parents=True)
        for path in (HOSTILE / subset).glob("ok_*.wav"):
            shutil.copy(path, root / subset / path.name)
    curated = root / "train_curated.csv"
    shutil.copy(HOSTILE / "csv_cases" / "clean.csv", curated)
    shutil.copy(HOSTILE / "csv_cases" / "clean_train_noisy.csv", root / "train_noisy.csv")
    shutil.copy(HOSTILE / "csv_cases" / "clean_sample_submission.csv", root / "sample_submission.csv")
    curated.chmod(0o644)
    (root / "sample_submission.csv").chmod(0o644)
    shutil.copy(HOSTILE / "outside.wav", root / "outside.wav")

    where = case["path"]
    if where.startswith("csv_cases/clean_"):
        return "ok_bark_0.wav"
    if where.startswith("csv_cases/") or where == "train_curated.csv":
        source = "csv_cases/bom_crlf.csv" if where == "train_curated.csv" else where
        shutil.copyfile(HOSTILE / source, curated)
        named = {"missing_file": "missing_on_disk.wav", "path_traversal": "../outside.wav"}
        return named.get(Path(source).stem, "ok_bark_0.wav")
    if where.startswith("train_curated.csv: "):
        change = where.removeprefix("train_curated.csv: ")
        clip = change.split()[0]
        if " -> " in change:
            set_labels(curated, clip, change.split(" -> ")[1].strip("'"))
        else:
            add_line(curated, f"{clip},Bark")
        return clip
    subset, clip = where.split("/", 1)
    if clip.startswith("ok_"):
        return clip
    if (HOSTILE / where).exists() and ".." not in where:
        shutil.copy(HOSTILE / where, root / where)
    if case["expected"] != "ignore":
        line, name = (
            (f"{clip},0,0,0,0", "sample_submission.csv") if subset == "test" else (f"{clip},Bark", curated.name)
        )
        add_line(root / name, line)
    return clip


@needs_hostile
@pytest.mark.parametrize("case", CASES, ids=[case["path"] for case in CASES])
def test_one_fault(case: dict[str, str], tmp_path: Path) -> None:
    clip = dataset_with(case, tmp_path)
    if case["expected"].startswith("reject"):
        with pytest.raises(DataError) as caught:
            build_manifest(tmp_path, DataSettings())
        message = str(caught.value)
        assert len(caught.value.problems) == 1
        assert ".csv" in message
        assert clip in message or "no column" in message
        return
    manifest = build_manifest(tmp_path, DataSettings())
    found = manifest.clips[manifest.clips["clip"] == clip]
    if case["expected"] == "ignore":
        assert len(found) == 0
        assert any(clip in note for note in manifest.notes)
        return
    assert len(found) == 1
    if case["path"] in NORMALISED:
        assert found["labels"].item() == NORMALISED[case["path"]]
    samples = read_mono(tmp_path / found["path"].item(), 44_100)
    assert len(samples) / 44_100 == pytest.approx(found["n_samples"].item() / found["sample_rate_hz"].item(), abs=1e-4)
    assert np.abs(samples).max() < 1.5  # scaled; a loud clip may overshoot a little when resampled
    assert np.isfinite(MelSpectrogram(MelSettings())(samples)).all()


@needs_hostile
def test_all_faults_at_once(shared_data: Callable[[str], Path]) -> None:
    root = shared_data("hostile")
    with pytest.raises(DataError) as caught:
        build_manifest(root, DataSettings())
    wanted = [
        "Dragon_roar", "ok_sneeze_1.wav", "../outside.wav", "bad_empty_0bytes.wav", "bad_float32_nan.wav",
        "bad_text_renamed.wav", "bad_truncated.wav", "missing_on_disk.wav", "missing_test.wav",
    ]  # fmt: skip
    assert len(caught.value.problems) == len(wanted)
    for words, problem in zip(wanted, caught.value.problems, strict=True):
        assert words in problem
        assert ".csv" in problem

    manifest = build_manifest(root, DataSettings(), skip_bad=True)
    assert list(manifest.skipped) == caught.value.problems
    assert [len(manifest.subset(name)) for name in ("curated", "noisy", "test")] == [13, 4, 3]
    assert any("ok_bark_0.wav: it is used once" in note for note in manifest.notes)
