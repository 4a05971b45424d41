"""What a student saves and costs; tests/orchestrator/planning/test_leaks.py has the report of a real run."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from orchestrator.blending.result import Blend, BlendResult
from orchestrator.grids.ensembles import Member
from orchestrator.grids.load import parse_grid
from orchestrator.report.gains import BLEND
from orchestrator.report.scores import Scores
from orchestrator.report.students import student_reports
from tests.fixtures.manifests import manifest_of
from trainers.flops import snapshot_bytes

ROW: dict[str, Any] = {"network": {"kind": "resnet", "depth": 10, "width": 16, "head_units": 8}, "cycles": 2}
ROWS: dict[str, Any] = {
    "A": {**ROW, "multitask": True, "predict": {"pads": [0], "heads": ["curated", "noisy"]}},
    "B": {**ROW, "predict": {"pads": [0]}},
    "student": {"network": {**ROW["network"], "width": 8}, "cycles": 1, "predict": {"pads": [0]},
                "distill": {"teachers": ["A", "B"]}},
}  # fmt: skip
TRUTH = np.eye(3)[[0, 1, 2, 0, 1, 2]]
OOF = Scores(TRUTH, {BLEND: TRUTH, "student": np.roll(TRUTH, 1, axis=1)})
NONE = Scores(None, {})


def run_of(rows: dict[str, Any]) -> Any:
    recipe = parse_grid({"name": "t", "data": {"folds": 3}, "conditions": rows}, "test")
    return SimpleNamespace(recipe=recipe, manifest=manifest_of([0, 1, 2, 0, 1, 2]))


def blend(*weights: float) -> Blend:
    """Of A's second cycle by both heads, and of B's two cycles."""
    members = (Member("A", 2, "curated", 0), Member("A", 2, "noisy", 0), Member("B", 1, "curated", 0))
    return Blend(members, BlendResult(weights, 1.0, 1.0, 1.0, None, 1.0, predictions=9))


def test_a_student_is_compared_with_the_networks_that_have_a_weight() -> None:
    run = run_of(ROWS)
    (found,) = student_reports(run, blend(0.5, 0.25, 0.25), OOF, NONE)
    sizes = {
        name: snapshot_bytes(one.train.network, 3, 128, noisy_head=one.train.multitask)
        for name, one in run.recipe.conditions.items()
    }
    assert found.n_bytes == 3 * sizes["student"]
    assert found.blend_bytes == 3 * (sizes["A"] + sizes["B"]), "two heads are one network"
    assert 3 < found.blend_clip_flops / found.clip_flops < 9, "two networks with four times the operations each"
    assert found.over_blend.oof_difference == OOF.difference(BLEND, "student")[0]
    assert found.over_blend.test_difference is None
    (alone,) = student_reports(run, blend(0.5, 0.5, 0.0), OOF, NONE)
    assert alone.blend_bytes == 3 * sizes["A"]
    assert alone.blend_clip_flops == pytest.approx(found.blend_clip_flops / 2, rel=0.01)


def test_there_is_none_without_a_blend_or_a_student() -> None:
    assert student_reports(run_of(ROWS), None, OOF, NONE) == ()
    assert student_reports(run_of({"A": ROWS["A"], "B": ROWS["B"]}), blend(0.5, 0.5, 0.0), OOF, NONE) == ()
