"""What of a grid fits into a time: how many of its epochs, and which conditions, from measured speeds."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from features.manifest import Manifest
from orchestrator.grids.recipe import Recipe
from orchestrator.grids.shorten import last_to_spare
from orchestrator.planning.plan import Plan
from orchestrator.planning.simulate import makespan_s
from orchestrator.store.node import Node
from trainers.schedule import steps_per_epoch
from trainers.settings import PredictSettings

__all__ = ["Choice", "Machine", "Speed", "choose", "predicted_s"]

AIM = 0.9
"""Part of the limit that the prediction fills: machines are not always equally fast."""
LEAST_SHARE = 0.3
"""Of the epochs; rather than train less, conditions are left out, until only one is left."""
PREDICT_S = 1.0
"""Of a prediction beside its clips: networks are loaded, results are written."""
BLEND_S_PER_CLIP = 0.05
HALVINGS = 12


@dataclass(frozen=True)
class Speed:
    """Seconds that a condition takes on this machine, while other jobs run beside it."""

    step_s: float
    """Of a training step."""
    clip_s: float
    """Of the prediction of a clip."""


@dataclass(frozen=True)
class Machine:
    """This machine, as far as times depend on it."""

    slots: int
    """Trainings at a time."""
    start_s: float
    """Start of the grid itself."""
    job_s: float
    """Start of a training."""
    features_s: float
    """Features of all clips that still need some."""


@dataclass(frozen=True)
class Choice:
    """What is trained within a limit."""

    conditions: tuple[str, ...]
    share: float
    """Of the epochs of each condition."""
    predicted_s: float


def choose(
    plan: Plan, recipe: Recipe, manifest: Manifest, speeds: Mapping[str, Speed], machine: Machine, limit_s: float
) -> Choice | None:
    """The most conditions, then the most epochs, that fit into a limit; None if nothing does.

    Args:
        plan: of the whole grid.
        recipe: the grid.
        manifest: the dataset.
        speeds: of each condition.
        machine: where it will run.
        limit_s: seconds.
    """
    kept = tuple(recipe.conditions)

    def takes(share: float) -> float:
        return predicted_s(plan, recipe, manifest, speeds, machine, kept, share)

    while True:
        spare = last_to_spare(recipe, kept)
        least = LEAST_SHARE if spare is not None else 0.0
        if takes(1.0) <= AIM * limit_s:
            return Choice(kept, 1.0, takes(1.0))
        if takes(least) <= AIM * limit_s:
            low, high = least, 1.0
            for _ in range(HALVINGS):
                middle = (low + high) / 2
                low, high = (middle, high) if takes(middle) <= AIM * limit_s else (low, middle)
            share = max(low, 1e-3)
            return Choice(kept, share, takes(share))
        if spare is None:
            return None
        kept = tuple(name for name in kept if name != spare)


def predicted_s(
    plan: Plan,
    recipe: Recipe,
    manifest: Manifest,
    speeds: Mapping[str, Speed],
    machine: Machine,
    kept: Collection[str],
    share: float,
) -> float:
    """Seconds until the kept conditions are trained for a share of their epochs, predicted and blended."""
    folds = {subset: manifest.subset(subset)["fold"].to_numpy() for subset in ("curated", "noisy", "test")}

    def of(node: Node) -> float:
        if not node.trains or node.condition is None:
            return 0.0
        speed, train = speeds[node.condition], recipe.conditions[node.condition].train
        held_out = np.isin(folds["curated"], node.held_out)
        if node.kind == "train":
            steps = steps_per_epoch(int((~held_out).sum()), train.batch_size)
            epochs = train.cycles * max(1, round(share * train.epochs))
            statistics = train.cycles * train.precise_bn * steps / 3  # a forward pass; backward takes twice as long
            validation = epochs * int(held_out.sum()) * speed.clip_s
            return machine.job_s + (epochs * steps + statistics) * speed.step_s + validation
        pads = PredictSettings.model_validate(node.payload["predict"]).pads
        counts = {name: len(fold) for name, fold in folds.items()}
        counts["curated"] = int(np.isin(folds["curated"], node.predicted_folds).sum())
        clips = sum(count for name, count in counts.items() if name in node.inputs)
        return PREDICT_S + train.cycles * len(pads) * clips * speed.clip_s

    whole = plan.graph
    wanted = whole.closure(signature for (name, _), signature in whole.predict.items() if name in kept)
    part = Plan(wanted, tuple(planned for planned in plan.nodes if planned.node.signature in wanted.nodes))
    seconds = {planned.node.signature: of(planned.node) for planned in part.pending}
    blend_s = BLEND_S_PER_CLIP * len(folds["curated"])
    return machine.start_s + machine.features_s + makespan_s(part, seconds, machine.slots) + blend_s
