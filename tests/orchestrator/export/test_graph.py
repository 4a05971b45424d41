"""The module scores clips as the tagger does, before any translation."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from features.audio import read_mono
from features.errors import InputError
from features.settings import EmbeddingSettings
from orchestrator.export.graph import TaggerGraph
from orchestrator.run.bound import Run
from orchestrator.tagger.tagger import Tagger


@pytest.fixture(scope="module")
def tagger(inline_run: Run) -> Tagger:
    return Tagger.load(inline_run.folder)


def test_a_blend_scores_as_its_tagger(tagger: Tagger, small_data: Path) -> None:
    graph = TaggerGraph(tagger.conditions).eval()
    rates = {condition.features.sample_rate_hz for condition in tagger.conditions}
    assert (graph.sample_rate_hz, len(rates)) == (max(rates), 2)
    for path in sorted((small_data / "test").glob("*.wav")):
        samples = read_mono(path, graph.sample_rate_hz)
        with torch.no_grad():
            found = graph(torch.from_numpy(samples)[None])[0].numpy()
        np.testing.assert_allclose(found, tagger.scores([samples], graph.sample_rate_hz)[0], atol=3e-6)


def test_only_passes_with_a_weight_are_in_the_graph(tagger: Tagger) -> None:
    graph = TaggerGraph(tagger.conditions)
    shares = [np.count_nonzero(one.weights.any(axis=1)) * len(one.networks) for one in tagger.conditions]
    assert len(graph.steps) == sum(shares)
    assert sum(sum(step.weights) for step in graph.steps) == pytest.approx(1.0)


def test_crops_are_parts_with_equal_weights(tagger: Tagger, small_data: Path) -> None:
    read = {"part": "crops", "crops": 3}
    conditions = [replace(one, read=one.read.model_copy(update=read)) for one in tagger.conditions[:1]]
    crops = Tagger(tagger.classes, conditions, tagger.device, lambda: tagger.calibration)
    graph = TaggerGraph(conditions).eval()
    samples = read_mono(next(small_data.glob("test/*.wav")), graph.sample_rate_hz)
    with torch.no_grad():
        found = graph(torch.from_numpy(samples)[None])[0].numpy()
    np.testing.assert_allclose(found, crops.scores([samples], graph.sample_rate_hz)[0], atol=3e-6)


def test_embeddings_are_refused(tagger: Tagger) -> None:
    settings = EmbeddingSettings(model="x.onnx", sha256="0" * 64, sample_rate_hz=8_000, dims=4)
    with pytest.raises(InputError, match=r"reads embeddings, .* export to \.tagger, which holds it"):
        TaggerGraph([replace(tagger.conditions[0], features=settings)])
