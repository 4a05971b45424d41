"""The ONNX model: its form, and that each network has its own weights."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from features.encoders.encoder import Encoder
from features.encoders.export import save_onnx
from orchestrator.export.export import Exported
from orchestrator.export.graph import TaggerGraph
from orchestrator.export.onnx_file import tagger_onnx
from orchestrator.run.bound import Run
from orchestrator.tagger.tagger import Tagger
from trainers.network import Tagger as Network
from trainers.settings import ResNetSettings


def test_the_model_says_what_a_program_needs(onnx_export: Exported, inline_run: Run) -> None:
    model = onnx.load(onnx_export.path)
    onnx.checker.check_model(model, full_check=False)
    facts = {entry.key: entry.value for entry in model.metadata_props}
    tagger = Tagger.load(inline_run.folder)
    assert json.loads(facts["labels"]) == list(tagger.classes)
    np.testing.assert_allclose(json.loads(facts["thresholds"]), list(tagger.thresholds.values()), atol=1e-6)
    assert int(facts["sample_rate_hz"]) == 44_100
    assert {"grid", "conditions", "precision", "sonogrid", "torch", "signature", "scores"} <= facts.keys()
    shapes = [
        (value.name, [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim])
        for value in (*model.graph.input, *model.graph.output)
    ]
    assert shapes == [("samples", ["clips", "samples"]), ("scores", ["clips", len(tagger.classes)])]


def test_networks_of_one_form_are_one_function(onnx_export: Exported, inline_run: Run) -> None:
    model = onnx.load(onnx_export.path)
    conditions = Tagger.load(inline_run.folder).conditions
    assert len(model.functions) == len(conditions)
    assert onnx_export.networks > len(conditions)
    assert str(inline_run.folder).encode() not in onnx_export.path.read_bytes()


def test_clips_of_one_call_have_the_scores_they_have_alone(onnx_export: Exported) -> None:
    session = onnxruntime.InferenceSession(onnx_export.path, providers=["CPUExecutionProvider"])
    for length in (1, 700, 30_001):
        clips = np.random.default_rng(length).uniform(-0.5, 0.5, (3, length)).astype(np.float32)
        together = session.run(None, {"samples": clips})[0]
        for clip, scores in zip(clips, together, strict=True):
            np.testing.assert_allclose(session.run(None, {"samples": clip[None]})[0][0], scores, atol=2e-6)


def test_what_is_measured_on_a_fold_stays_with_its_network(inline_run: Run, tmp_path: Path) -> None:
    """Mean and deviation of the decibels: small numbers, which a translator would like to compute with at once."""
    tagger = Tagger.load(inline_run.folder, condition="A")
    form = ResNetSettings(depth=10, width=4, head_units=8, normalise="dataset", statistics=True)  # type: ignore[arg-type]
    folds = []
    for fold in range(2):
        torch.manual_seed(fold)
        network = Network(form, len(tagger.classes), noisy_head=False, bands=16).eval()
        network.db_mean.fill_(-40.0 * fold)
        network.db_deviation.fill_(5.0 + 20.0 * fold)
        folds.append((network,))
    condition = replace(
        tagger.conditions[0], form=form, networks=tuple(folds), heads=("curated",), pads=(4,), padding="repeat",
        weights=np.ones((1, 1, 1)),
    )  # fmt: skip
    graph = TaggerGraph([condition]).eval()
    save_onnx(tagger_onnx(graph, len(tagger.classes)), tmp_path / "two.onnx", {})
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 30_000)).astype(np.float32)
    with torch.no_grad():
        wanted = graph(torch.from_numpy(samples)).numpy()
    np.testing.assert_allclose(Encoder(tmp_path / "two.onnx")(samples), wanted, atol=2e-6)
