"""Members of the blend of a real run."""

import numpy as np

from features.files import load_npy
from orchestrator.blending.members import stitch
from orchestrator.grids.ensembles import Member
from orchestrator.report.scores import predictions_of
from orchestrator.run.bound import Run


def test_out_of_fold_predictions_are_stitched_from_the_fold_that_held_a_clip_out(inline_run: Run) -> None:
    folders = predictions_of(inline_run, "A")
    assert folders is not None
    found = stitch({"A": folders}, inline_run.manifest)
    assert found.members[:3] == (
        Member("A", 1, "curated", 2),
        Member("A", 1, "curated", 4),
        Member("A", 1, "noisy", 2),
    )
    folds = inline_run.manifest.subset("curated")["fold"].to_numpy()
    for fold, folder in enumerate(folders):
        part = load_npy(folder / "curated.npy")  # (cycles, heads, pads, n, C)
        assert np.array_equal(found.oof[:, folds == fold], part.reshape(-1, *part.shape[3:]))
    mean = np.mean([load_npy(folder / "test.npy") for folder in folders], axis=0)
    assert np.allclose(found.test, mean.reshape(-1, *mean.shape[3:]), atol=1e-7)
