import numpy as np
import torch

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
    for subset in ("curated", "noisy", "test"):
        scores = predictions.read(subset)  # type: ignore[arg-type]
        assert scores.shape[:3] == (2, 2, 2)
        assert np.isfinite(scores).all()
