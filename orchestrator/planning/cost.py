"""The cost of a plan: operations, GPU hours, disk, and the time on N GPUs. Only pending nodes count.

Operations are counted on the networks themselves (`trainers.flops`). GPU time is operations / (peak x utilisation),
plus START_UP_S per training job. Features, soft labels and the blend run on CPUs; their time is not counted.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from features.errors import InputError
from features.manifest import SUBSETS, Manifest
from orchestrator.grids.condition import ConditionSettings
from orchestrator.grids.recipe import Recipe
from orchestrator.planning.gpus import Gpu
from orchestrator.planning.graph import Graph
from orchestrator.planning.plan import Plan, PlannedNode
from orchestrator.planning.simulate import lower_bound_s, makespan_s
from orchestrator.store.node import Kind, Node
from trainers.flops import Clips, checkpoint_bytes, prediction_flops, snapshot_bytes, training_flops
from trainers.settings import PredictSettings

__all__ = ["START_UP_S", "Cost", "Machines", "NodeCost", "in_counted_order", "node_costs"]

START_UP_S = 10.0
"""Start-up of a training job on Ray: new processes and imports (docs/experiments.md, start-up of a Ray Train job)."""
SCORE_BYTES = 4
QUEUE_RATE = 1e12
"""FLOP/s by which operations become a node's rough cost in seconds; only the order of nodes depends on it."""


@dataclass(frozen=True)
class Machines:
    """The GPUs that a plan is costed for."""

    gpu: Gpu
    gpus: int
    utilisation: float
    """Fraction of the peak FLOP/s that training and prediction reach."""

    def __post_init__(self) -> None:
        if self.gpus < 1:
            raise InputError(f"--gpus {self.gpus}: at least one is needed")
        if not 0 < self.utilisation <= 1:
            raise InputError(f"--utilisation {self.utilisation:g}: give a share of the peak, above 0 and at most 1")


@dataclass(frozen=True)
class NodeCost:
    """The cost of one node, or the sum of several."""

    jobs: int = 0
    """Number of training jobs."""
    epochs: int = 0
    training_flops: float = 0.0
    """Includes validation after each epoch."""
    prediction_flops: float = 0.0
    float32_flops: float = 0.0
    """Part of both that is computed in float32, because its condition has `precision: fp32`."""
    features_bytes: int = 0
    snapshots_bytes: int = 0
    predictions_bytes: int = 0
    """Includes soft labels and the scores of the blend."""
    checkpoint_bytes: int = 0
    """On disk only while the job runs."""

    def __add__(self, other: "NodeCost") -> "NodeCost":
        return NodeCost(
            jobs=self.jobs + other.jobs,
            epochs=self.epochs + other.epochs,
            training_flops=self.training_flops + other.training_flops,
            prediction_flops=self.prediction_flops + other.prediction_flops,
            float32_flops=self.float32_flops + other.float32_flops,
            features_bytes=self.features_bytes + other.features_bytes,
            snapshots_bytes=self.snapshots_bytes + other.snapshots_bytes,
            predictions_bytes=self.predictions_bytes + other.predictions_bytes,
            checkpoint_bytes=self.checkpoint_bytes + other.checkpoint_bytes,
        )

    @property
    def disk_bytes(self) -> int:
        """Bytes that remain on disk."""
        return self.features_bytes + self.snapshots_bytes + self.predictions_bytes

    def gpu_s(self, machines: Machines) -> float:
        """Seconds on one GPU."""
        gpu, float32 = machines.gpu, self.float32_flops
        at_peak = (self.training_flops + self.prediction_flops - float32) / gpu.peak + float32 / gpu.float32_peak
        return at_peak / machines.utilisation + START_UP_S * self.jobs

    def as_dict(self, machines: Machines) -> dict[str, Any]:
        """The JSON form."""
        return {**vars(self), "disk_bytes": self.disk_bytes, "gpu_hours": self.gpu_s(machines) / 3600}


def node_costs(graph: Graph, recipe: Recipe, manifest: Manifest, nodes: Iterable[Node]) -> dict[str, NodeCost]:
    """The cost of each of the given nodes of a graph, by signature."""
    counter = _Counter(graph, recipe, manifest)
    return {node.signature: counter.cost(node) for node in nodes}


def in_counted_order(plan: Plan, costs: Mapping[str, NodeCost]) -> Plan:
    """The plan with counted operations instead of rough costs for its training and prediction jobs."""

    def counted(planned: PlannedNode) -> PlannedNode:
        cost = costs.get(planned.node.signature)
        if cost is None or not planned.node.trains:
            return planned
        seconds = (cost.training_flops + cost.prediction_flops) / QUEUE_RATE
        return replace(planned, node=replace(planned.node, cost=seconds))

    return replace(plan, nodes=tuple(counted(planned) for planned in plan.nodes))


class _Counter:
    """Counts the cost of nodes, with one method per kind."""

    def __init__(self, graph: Graph, recipe: Recipe, manifest: Manifest) -> None:
        self.graph, self.recipe = graph, recipe
        self.classes = len(manifest.classes)
        self.folds: dict[str, np.ndarray] = {name: manifest.subset(name)["fold"].to_numpy() for name in SUBSETS}
        self.counts: dict[tuple[int, ...], int] = {}
        self.clips: dict[tuple[tuple[str, ...], str, tuple[int, ...] | None], Clips] = {}
        self.by_kind: dict[Kind, Callable[[Node], NodeCost]] = {
            "shard": self._shard,
            "train": self._training,
            "predict": self._prediction,
            "pseudo": self._soft_labels,
            "distill": self._distilled_labels,
            "blend": self._blend,
        }

    def cost(self, node: Node) -> NodeCost:
        return self.by_kind[node.kind](node)

    def _condition(self, node: Node) -> ConditionSettings:
        assert node.condition is not None
        return self.recipe.conditions[node.condition]

    def _shard(self, node: Node) -> NodeCost:
        assert node.shard is not None
        return NodeCost(features_bytes=node.shard.n_bytes)

    def _soft_labels(self, _: Node) -> NodeCost:
        return NodeCost(predictions_bytes=self._scores(len(self.folds["noisy"])))

    def _distilled_labels(self, node: Node) -> NodeCost:
        return NodeCost(
            predictions_bytes=self._scores(sum(len(self.folds[subset]) for subset in node.payload["clips"]))
        )

    def _blend(self, _: Node) -> NodeCost:
        # Of the curated clips by all weights, and by weights that have not seen their fold.
        return NodeCost(predictions_bytes=self._scores(2 * len(self.folds["curated"]) + len(self.folds["test"])))

    def _training(self, node: Node) -> NodeCost:
        condition = self._condition(node)
        train = condition.train
        validated = ("curated", "noisy") if train.validate_noisy else ("curated",)
        valid = [self._clips(node, subset, node.held_out) for subset in validated]
        clips = self._trained_on(node.held_out)
        bands = condition.features.bands
        form: dict[str, Any] = {"network": train.network, "classes": self.classes, "noisy_head": train.multitask}
        form["n_mels"] = bands
        flops = training_flops(train, self.classes, bands, clips, valid)
        return NodeCost(
            jobs=1,
            epochs=train.total_epochs,
            training_flops=flops,
            float32_flops=flops if train.precision == "fp32" else 0.0,
            snapshots_bytes=train.cycles * snapshot_bytes(**form),
            checkpoint_bytes=checkpoint_bytes(**form, optimizer=train.optimizer),
        )

    def _prediction(self, node: Node) -> NodeCost:
        condition = self._condition(node)
        network = condition.train.network
        predict = PredictSettings.model_validate(node.payload["predict"])
        cycles = condition.train.cycles + predict.soup
        heads, flops, count = len(predict.heads), 0.0, 0
        for subset in (name for name in self.folds if name in node.inputs):
            clips = self._clips(node, subset, node.predicted_folds if subset == "curated" else None)
            count += len(clips.lengths)
            crop = condition.train.crops[-1]
            bands = condition.features.bands
            flops += prediction_flops(network, self.classes, bands, clips, predict.pads, heads, predict, crop)
        scores = self._scores(cycles * heads * len(predict.pads) * count)
        float32 = cycles * flops if condition.train.precision == "fp32" else 0.0
        return NodeCost(prediction_flops=cycles * flops, float32_flops=float32, predictions_bytes=scores)

    def _trained_on(self, held_out: tuple[int, ...]) -> int:
        """Number of curated clips outside the held-out folds."""
        if held_out not in self.counts:
            self.counts[held_out] = int((~np.isin(self.folds["curated"], held_out)).sum())
        return self.counts[held_out]

    def _clips(self, node: Node, subset: str, folds: tuple[int, ...] | None) -> Clips:
        """The clips of a subset that a node reads, or only those in some folds."""
        key = (node.inputs[subset], subset, folds)
        if key not in self.clips:
            shards = (self.graph.nodes[signature].shard for signature in node.inputs[subset])
            lengths = np.array([length for shard in shards if shard is not None for length in shard.lengths], np.int64)
            self.clips[key] = Clips(lengths if folds is None else lengths[np.isin(self.folds[subset], folds)])
        return self.clips[key]

    def _scores(self, rows: int) -> int:
        return rows * self.classes * SCORE_BYTES


@dataclass(frozen=True)
class Cost:
    """The cost of the pending nodes of a plan on some machines."""

    plan: Plan
    nodes: dict[str, NodeCost]
    """By signature."""
    machines: Machines

    @classmethod
    def of(cls, plan: Plan, recipe: Recipe, manifest: Manifest, machines: Machines) -> "Cost":
        """Count the pending nodes of a plan."""
        pending = (planned.node for planned in plan.pending)
        costs = node_costs(plan.graph, recipe, manifest, pending)
        return cls(in_counted_order(plan, costs), costs, machines)

    @cached_property
    def conditions(self) -> dict[str, NodeCost]:
        """Cost of training and prediction by condition. Work that two conditions share counts for the first."""
        found: dict[str, NodeCost] = {}
        for node in (planned.node for planned in self.plan.pending):
            if node.condition is not None:
                found[node.condition] = found.get(node.condition, NodeCost()) + self.nodes[node.signature]
        return found

    @cached_property
    def total(self) -> NodeCost:
        """Cost of all pending nodes."""
        return sum(self.nodes.values(), NodeCost())

    @property
    def checkpoints_bytes(self) -> int:
        """Most bytes that checkpoints of running jobs take: the largest ones, one per GPU."""
        return sum(sorted((cost.checkpoint_bytes for cost in self.nodes.values()), reverse=True)[: self.machines.gpus])

    @cached_property
    def seconds(self) -> dict[str, float]:
        """Duration of each pending node, by signature."""
        return {signature: cost.gpu_s(self.machines) for signature, cost in self.nodes.items()}

    @cached_property
    def makespan_s(self) -> float:
        """Seconds until all is done, in the order of the scheduler."""
        return makespan_s(self.plan, self.seconds, self.machines.gpus)

    @cached_property
    def lower_bound_s(self) -> float:
        """Seconds that no order can beat."""
        return lower_bound_s(self.plan, self.seconds, self.machines.gpus)

    @property
    def ratio(self) -> float:
        """Makespan / lower bound; 1 if there is nothing to do."""
        return self.makespan_s / self.lower_bound_s if self.lower_bound_s > 0 else 1.0

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        gpu = self.machines.gpu
        rows = {name: cost.as_dict(self.machines) for name, cost in self.conditions.items()}
        return {
            "gpu": gpu.name,
            "peak_flops": gpu.peak,
            "number": gpu.number,
            "float32_peak_flops": gpu.float32_peak,
            "utilisation": self.machines.utilisation,
            "gpus": self.machines.gpus,
            "conditions": [{"name": name, **_without(row, "features_bytes")} for name, row in rows.items()],
            # A checkpoint is deleted when its job ends, so a sum over all jobs means nothing.
            "total": _without(self.total.as_dict(self.machines), "checkpoint_bytes"),
            "checkpoints_bytes": self.checkpoints_bytes,
            "makespan_s": self.makespan_s,
            "lower_bound_s": self.lower_bound_s,
            "ratio": self.ratio,
        }


def _without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}
