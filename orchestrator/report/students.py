"""What a student is worth beside the blend: how much smaller and cheaper it is, and the lwlrap that this costs."""

from collections.abc import Collection, Mapping

import numpy as np

from orchestrator.blending.result import Blend
from orchestrator.report.gains import BLEND
from orchestrator.report.scores import Scores
from orchestrator.report.types import Gain, StudentReport
from orchestrator.run.bound import Run
from trainers.flops import Clips, prediction_flops, snapshot_bytes

__all__ = ["student_reports"]


def student_reports(run: Run, blend: Blend | None, oof: Scores, test: Scores) -> tuple[StudentReport, ...]:
    """One for each condition that learns the scores of others; none as long as there is no blend.

    The taggers that are compared are as deployed: the networks of all folds, of the blend those with a weight.
    """
    students = {name: one for name, one in run.recipe.conditions.items() if one.train.distill is not None}
    if blend is None or not students:
        return ()
    blend_bytes, blend_flops = _size(run, _cycles(blend))
    found = []
    for name, condition in students.items():
        n_bytes, flops = _size(run, {name: range(1, condition.predicting + 1)})
        gain = Gain(*oof.difference(BLEND, name), *test.difference(BLEND, name))
        found.append(StudentReport(name, n_bytes, blend_bytes, flops, blend_flops, gain))
    return tuple(found)


def _cycles(blend: Blend) -> dict[str, set[int]]:
    """Condition -> cycles of its members that have a weight."""
    found: dict[str, set[int]] = {}
    for member, _ in blend.weighted():
        found.setdefault(member.condition, set()).add(member.cycle)
    return found


def _size(run: Run, cycles: Mapping[str, Collection[int]]) -> tuple[int, float]:
    """Bytes of the weights of some cycles' networks of all folds, and their operations for a clip of mean length."""
    clips = run.manifest.subset("curated")
    mean_s = float((clips["n_samples"] / clips["sample_rate_hz"]).mean())
    classes, n_bytes, flops = len(run.manifest.classes), 0, 0.0
    for name, used in cycles.items():
        condition = run.recipe.conditions[name]
        train, predict, features = condition.train, condition.predict, condition.features
        networks = run.recipe.data.folds * len(used)
        clip = Clips(np.array([features.rows(round(mean_s * features.sample_rate_hz))]))
        heads, bands = len(predict.heads), features.bands
        n_bytes += networks * snapshot_bytes(train.network, classes, bands, noisy_head=train.multitask)
        flops += networks * prediction_flops(train.network, classes, bands, clip, predict.pads, heads)
    return n_bytes, flops
