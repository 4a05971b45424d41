"""Which clips an export is checked with, and what is compared."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.errors import InputError
from orchestrator.export import check
from orchestrator.export.check import clips_of, compare
from orchestrator.report.labels import score_labels
from orchestrator.run.bound import Run
from orchestrator.tagger.package import write_package
from orchestrator.tagger.tagger import Tagger


def test_labels_of_test_clips_are_used_once_they_are_known(copy: Run, small_data: Path, tmp_path: Path) -> None:
    assert clips_of(copy).labels is None
    score_labels(copy, small_data / "test_labels.csv")
    clips = clips_of(copy)
    assert (clips.subset, len(clips.paths)) == ("test", len(copy.manifest.subset("test")))
    tagger, file = Tagger.load(copy.folder), tmp_path / "x.tagger"
    write_package(file, tagger.classes, tagger.conditions, tagger.calibration, {}, "fp32")
    found = compare(tagger, file, 44_100, clips)
    assert found.lwlrap == found.exported_lwlrap
    assert 0 < (found.lwlrap or 0) <= 1
    assert found.times_real_time > 0


def test_another_tagger_is_noticed(inline_run: Run, tmp_path: Path) -> None:
    tagger, file = Tagger.load(inline_run.folder), tmp_path / "x.tagger"
    other = [replace(one, weights=one.weights[:, :, ::-1] * 0.5) for one in tagger.conditions]
    write_package(file, tagger.classes, other, tagger.calibration, {}, "fp32")
    assert compare(tagger, file, 44_100, clips_of(inline_run)).largest > 0.01


def test_many_clips_are_thinned_out(inline_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "MOST_CLIPS", 3)
    paths = [inline_run.data_root / path for path in inline_run.manifest.subset("test")["path"]]
    assert clips_of(inline_run).paths == [
        paths[index] for index in np.linspace(0, len(paths) - 1, 3).round().astype(int)
    ]


def test_without_the_dataset_there_is_no_check(inline_run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is gone: an export is checked with clips of the dataset"):
        clips_of(replace(inline_run, data_root=tmp_path))
