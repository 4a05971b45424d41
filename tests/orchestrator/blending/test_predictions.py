from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.errors import StoreError
from features.files import save_npy, write_json
from features.manifest import SUBSETS, Manifest, build_manifest
from features.settings import DataSettings
from orchestrator.blending.predictions import Predictions
from orchestrator.store.marks import DoneMark
from orchestrator.store.results import PredictResult

AXES = PredictResult(2, ("curated",), (4, 16), (1,))


@pytest.fixture(scope="module")
def manifest(small_data: Path) -> Manifest:
    return build_manifest(small_data, DataSettings(folds=2))


def test_curated_rows_are_those_of_the_held_out_folds(manifest: Manifest, tmp_path: Path) -> None:
    found = [Predictions(tmp_path, manifest, held_out, AXES) for held_out in ((0,), (1,), (0, 1))]
    folds = manifest.subset("curated")["fold"].to_numpy()
    assert (folds[found[0].rows("curated")] == 0).all()
    assert sorted([*found[0].rows("curated"), *found[1].rows("curated")]) == list(range(16))
    assert found[2].rows("curated").tolist() == list(range(16))
    assert found[0].rows("noisy").tolist() == list(range(12))
    assert found[0].shape("test") == (2, 1, 2, 6, len(manifest.classes))


def test_scores_are_read_as_they_were_written(manifest: Manifest, tmp_path: Path) -> None:
    written = Predictions(tmp_path, manifest, (0,), AXES)
    scores = {subset: np.random.default_rng(0).random(written.shape(subset), dtype=np.float32) for subset in SUBSETS}
    for subset in SUBSETS:
        written.write(subset, scores[subset])
    write_json(tmp_path / DoneMark.FILE, DoneMark("p", "0", result=AXES.to_json(), host="here").to_json())
    read = Predictions.open(tmp_path, manifest, (0,))
    assert read == written
    for subset in SUBSETS:
        np.testing.assert_array_equal(read.read(subset), scores[subset])


def test_scores_of_other_clips_are_refused(manifest: Manifest, tmp_path: Path) -> None:
    predictions = Predictions(tmp_path, manifest, (0,), AXES)
    with pytest.raises(ValueError, match="shape"):
        predictions.write("test", np.zeros((2, 1, 2, 5, 3), np.float32))
    save_npy(tmp_path / "test.npy", np.zeros(replace(predictions, axes=replace(AXES, cycles=1)).shape("test")))
    with pytest.raises(StoreError, match=r"test\.npy has shape .*; remove .* and launch again"):
        predictions.read("test")
