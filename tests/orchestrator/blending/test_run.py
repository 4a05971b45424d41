"""The blend's job, run again outside its run."""

from pathlib import Path

import numpy as np
import pytest

from features.files import load_npy, sha256_file
from orchestrator.blending import Blend
from orchestrator.blending.members import stitch
from orchestrator.blending.run import run_blend
from orchestrator.run.bound import Run
from trainers.lwlrap import lwlrap


def test_the_job_writes_the_blend_of_its_members(inline_run: Run, tmp_path: Path) -> None:
    graph, store = inline_run.graph, inline_run.store
    assert graph.blend is not None
    node = graph.nodes[graph.blend]
    inputs = {role: [store.results(graph.nodes[s]) for s in group] for role, group in node.inputs.items()}
    facts = run_blend(inputs, inline_run.manifest, inline_run.recipe.blend, node.payload["paper_weights"], tmp_path)
    assert facts == store.done(node).result
    for name in ("blend.json", "oof.npy", "nested.npy", "test.npy"):
        assert sha256_file(tmp_path / name) == sha256_file(store.results(node) / name)
    assert (tmp_path / "study.journal").exists()
    blend = Blend.read(tmp_path)
    found = stitch(inputs, inline_run.manifest)
    assert blend.members == found.members
    expected = np.tensordot(np.array(blend.result.weights), found.test, 1)
    assert np.allclose(load_npy(tmp_path / "test.npy"), expected, atol=1e-6)
    nested = load_npy(tmp_path / "nested.npy")
    assert lwlrap(inline_run.manifest.targets("curated"), nested) == pytest.approx(facts["oof_lwlrap_nested"], abs=1e-6)


def test_the_order_of_the_conditions_changes_nothing(inline_run: Run, tmp_path: Path) -> None:
    graph, store = inline_run.graph, inline_run.store
    assert graph.blend is not None
    node = graph.nodes[graph.blend]
    inputs = {role: [store.results(graph.nodes[s]) for s in group] for role, group in node.inputs.items()}
    backwards = dict(reversed(inputs.items()))
    assert list(backwards) != list(inputs)
    run_blend(backwards, inline_run.manifest, inline_run.recipe.blend, node.payload["paper_weights"], tmp_path)
    for name in ("blend.json", "oof.npy", "nested.npy", "test.npy"):
        assert sha256_file(tmp_path / name) == sha256_file(store.results(node) / name)
