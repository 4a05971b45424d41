"""The folder of one prediction job."""

from pathlib import Path

import numpy as np
import pytest

from features.errors import StoreError
from features.files import save_npy, write_json
from orchestrator.blending.predictions import Predictions
from orchestrator.store.marks import DoneMark
from orchestrator.store.results import PredictResult
from tests.fixtures.manifests import CLASSES, manifest_of

AXES = PredictResult(cycles=2, heads=("curated",), pads=(2, 4))
MANIFEST = manifest_of([0, 1, 0, 1, 1], noisy=3, test=2)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    mark = {"files": {}, "result": {"cycles": 2, "heads": ["curated"], "pads": [2, 4]}}
    write_json(tmp_path / DoneMark.FILE, mark)
    scores = np.random.default_rng(0).random((2, 1, 2, 3, len(CLASSES)), dtype=np.float32)
    Predictions(tmp_path, MANIFEST, (1,), AXES).write("curated", scores)
    found = Predictions.open(tmp_path, MANIFEST, (1,))
    assert np.array_equal(found.read("curated"), scores)
    assert (found.axes.cycles, found.axes.heads, found.axes.pads) == (2, ("curated",), (2, 4))


def test_curated_rows_are_those_of_the_held_out_fold_and_all_others_are_predicted() -> None:
    found = Predictions(Path("unused"), MANIFEST, (1,), AXES)
    assert found.rows("curated").tolist() == [1, 3, 4]
    assert found.rows("noisy").tolist() == [0, 1, 2]
    assert found.shape("test") == (2, 1, 2, 2, len(CLASSES))


def test_scores_of_another_shape_are_refused(tmp_path: Path) -> None:
    found = Predictions(tmp_path, MANIFEST, (1,), AXES)
    with pytest.raises(ValueError, match="scores of shape"):
        found.write("test", np.zeros((2, 1, 2, 9, len(CLASSES)), dtype=np.float32))
    assert not (tmp_path / "test.npy").exists()
    save_npy(tmp_path / "test.npy", np.zeros((1, 1)))
    with pytest.raises(StoreError, match="launch again"):
        found.read("test")


def test_a_mark_that_is_damaged_is_a_store_error(tmp_path: Path) -> None:
    write_json(tmp_path / DoneMark.FILE, {"files": {}, "result": {}})
    with pytest.raises(StoreError):
        Predictions.open(tmp_path, MANIFEST)
