import numpy as np
import pytest
import torch

from features.errors import StoreError
from orchestrator.blending.predictions import Predictions
from orchestrator.jobs.predict import load_networks
from orchestrator.run.bound import Run
from orchestrator.store.results import PredictResult


def test_networks_are_one_per_snapshot(inline_run: Run) -> None:
    folder = inline_run.store.results(inline_run.graph.nodes[inline_run.graph.train["A", 0]])
    networks = load_networks(folder, inline_run.recipe.conditions["A"], 6, torch.device("cpu"))
    assert len(networks) == 2
    first, second = (next(network.parameters()) for network in networks)
    assert not torch.equal(first, second)


def test_a_prediction_has_every_axis_and_lists_it(inline_run: Run) -> None:
    node = inline_run.graph.nodes[inline_run.graph.predict["A", 1]]
    assert PredictResult.of(inline_run.store.done(node)) == PredictResult(2, ("curated", "noisy"), (2, 4), (0,))
    predictions = Predictions.open(inline_run.store.results(node), inline_run.manifest, (1,))
    for subset in ("curated", "test"):
        scores = predictions.read(subset)  # type: ignore[arg-type]
        assert scores.dtype == np.float32
        assert scores.shape[:3] == (2, 2, 2)
        assert np.isfinite(scores).all()
    with pytest.raises(StoreError, match=r"noisy\.npy is missing"):
        predictions.read("noisy")


def test_a_teacher_predicts_the_noisy_clips_at_their_own_pads(inline_run: Run) -> None:
    ((_, signature),) = {jobs for key, jobs in inline_run.graph.taught.items() if key[:2] == ("A", (1,))}
    node = inline_run.graph.nodes[signature]
    assert PredictResult.of(inline_run.store.done(node)) == PredictResult(2, ("curated",), (0,), (0,))
    folder = inline_run.store.results(node)
    assert sorted(path.name for path in folder.glob("*.npy")) == ["noisy.npy"]
    scores = Predictions.open(folder, inline_run.manifest).read("noisy")
    assert scores.shape == (2, 1, 1, len(inline_run.manifest.subset("noisy")), 6)
