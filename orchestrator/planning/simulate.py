"""Estimates how long a plan takes on N GPUs: the real scheduler in virtual time, and a lower bound for any order."""

import heapq
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from orchestrator.planning.plan import Plan, PlannedNode
from orchestrator.planning.scheduler import Finished, Needs, Standing, run_plan
from orchestrator.store.node import Node
from orchestrator.without_gc import uncollected

__all__ = ["VirtualExecutor", "lower_bound_s", "makespan_s"]


class VirtualExecutor:
    """N GPUs, one for each training or prediction, and unlimited CPUs. A job takes as long as it is said to."""

    def __init__(self, seconds: Mapping[str, float], gpus: int) -> None:
        """`seconds`: signature -> duration."""
        self.seconds, self.free = seconds, gpus
        self.clock_s = 0.0
        self._running: list[tuple[float, int, Node]] = []
        self._submitted = 0

    def needs(self, node: Node) -> Needs:
        """One GPU for training and prediction jobs."""
        return Needs(0.0, 1.0 if node.trains else 0.0)

    def fits(self, needs: Needs) -> bool:
        """Whether a GPU is free, if one is needed."""
        return needs.gpus <= self.free

    def give_room(self, node: Node) -> bool:  # noqa: ARG002 - the interface
        """No job runs out of memory here."""
        return False

    def hold(self, standing: Standing) -> bool:  # noqa: ARG002 - the interface
        """No machines are added here."""
        return False

    def submit(self, node: Node) -> None:
        """Start a node now."""
        self.free -= int(node.trains)
        self._submitted += 1
        heapq.heappush(self._running, (self.clock_s + self.seconds[node.signature], self._submitted, node))

    def wait(self, timeout_s: float) -> list[Finished]:  # noqa: ARG002 - the interface
        """Advance the clock to the next end; returns all nodes that end then."""
        self.clock_s = self._running[0][0]
        finished = []
        while self._running and self._running[0][0] == self.clock_s:
            node = heapq.heappop(self._running)[2]
            self.free += int(node.trains)
            finished.append(Finished(node.signature, "done"))
        return finished

    def close(self) -> None:
        """Nothing was started."""


@uncollected
def makespan_s(plan: Plan, seconds: Mapping[str, float], gpus: int) -> float:
    """Seconds until the last pending node of a plan ends, given the duration of each node by signature."""
    plan = _without_instant(plan, seconds)
    executor = VirtualExecutor(seconds, gpus)
    summary = run_plan(plan, executor)
    assert summary.done == len(plan.pending)
    return executor.clock_s


def _without_instant(plan: Plan, seconds: Mapping[str, float]) -> Plan:
    """The plan without nodes that take no time and have no inputs, such as shards: they delay nothing.

    Thousands of jobs with hundreds of shards each would otherwise take most of the simulation's time.
    """
    instant = {
        planned.node.signature
        for planned in plan.pending
        if not (planned.node.trains or planned.node.parents or seconds[planned.node.signature])
    }

    @cache
    def kept(group: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(signature for signature in group if signature not in instant)

    def shortened(planned: PlannedNode) -> PlannedNode:
        inputs = {role: kept(group) for role, group in planned.node.inputs.items()}
        return replace(planned, node=replace(planned.node, inputs=inputs))

    return replace(plan, nodes=tuple(shortened(p) for p in plan.pending if p.node.signature not in instant))


def lower_bound_s(plan: Plan, seconds: Mapping[str, float], gpus: int) -> float:
    """The larger of two values, in seconds: all GPU work shared evenly, and the longest chain of pending nodes."""
    ends: dict[str, float] = {}

    @cache
    def end_of(group: tuple[str, ...]) -> float:
        return max((ends[parent] for parent in group if parent in ends), default=0.0)

    for node in (planned.node for planned in plan.pending):
        began = max(map(end_of, node.inputs.values()), default=0.0)
        ends[node.signature] = began + seconds[node.signature]
    work = sum(seconds[planned.node.signature] for planned in plan.pending if planned.node.trains)
    return max(work / gpus, max(ends.values(), default=0.0))
