"""The shared folder of hostile inputs, one fault at a time and all at once."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from features.audio import read_mono
from features.errors import DataError
from features.manifest import build_manifest
from features.mel import MelSpectrogram
from features.settings import DataSettings, MelSettings
from tests.fixtures.hostile import CASES, HOSTILE, dataset_with

NORMALISED = {"train_curated.csv: ok_rooster_1.wav -> 'Rooster, Bark,,Bark'": ["Rooster", "Bark"]}

needs_hostile = pytest.mark.skipif(not CASES, reason=f"no folder {HOSTILE} (set SONOGRID_SHARED_DATA)")


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
