"""How long a launch will still take, from what its jobs have taken so far.

A job that has not run is expected to take as long, for its counted cost, as those of its condition did; without such,
as those of its kind; without such, as trainings and predictions alike. The jobs left are then placed on as many slots
as were busy at once.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable

from orchestrator.planning.plan import Plan
from orchestrator.planning.scheduler import remaining_path
from orchestrator.store.node import Node

__all__ = ["TimeLeft"]

LEAST_SHARE = 0.02
"""Of a running job: with less of it done its pace is not known."""
LEAST_COST = 1e-3
ROUGH_S = {"blend": 5.0, "pseudo": 1.0, "distill": 1.0}
"""Seconds of jobs whose operations are not counted, until one of their kind is done."""


class TimeLeft:
    """Follows the jobs of a launch.

    Args:
        plan: what is launched, with counted costs.
    """

    def __init__(self, plan: Plan) -> None:
        self._nodes = {planned.node.signature: planned.node for planned in plan.pending}
        self._rank = remaining_path(plan)
        self._left = dict(self._nodes)
        self._began: dict[str, float] = {}
        self._reached: dict[str, tuple[float, float]] = {}
        """Running jobs -> share of their work that was done, and when that was first known."""
        self._measured: dict[tuple[str, ...], list[float]] = defaultdict(lambda: [0.0, 0.0])
        """What jobs are like -> seconds and costs of those that are done."""
        self._slots = 1

    def started(self, node: Node, now: float) -> None:
        """A job begins; times are in seconds on any clock."""
        self._nodes[node.signature] = self._left[node.signature] = node  # it may be a damaged input
        self._began[node.signature] = now
        self._slots = max(self._slots, len(self._began))

    def reached(self, node: Node, share: float, now: float) -> None:
        """A running job has done a share of its work, 0 to 1."""
        if share > self._reached.get(node.signature, (LEAST_SHARE, 0.0))[0]:
            self._reached[node.signature] = (share, now)

    def ended(self, node: Node, now: float, *, done: bool) -> None:
        """A job has ended; if it is not done, it may begin again."""
        began = self._began.pop(node.signature, now)
        self._reached.pop(node.signature, None)
        if done:
            self._left.pop(node.signature, None)
            self._count(self._measured, node, now - began, _cost(node))

    def seconds(self, now: float) -> float | None:
        """Seconds until all jobs are done; None while nothing is known about any of them."""
        measured = defaultdict(lambda: [0.0, 0.0], {key: [*sums] for key, sums in self._measured.items()})
        began = dict(self._began)
        reached = {signature: known for signature, known in self._reached.items() if signature in began}
        for signature, (share, when) in reached.items():
            node = self._nodes[signature]
            self._count(measured, node, when - began[signature], share * _cost(node))
        if not measured:
            return None
        expected = {signature: _expected(measured, node) for signature, node in self._left.items()}
        for signature, (share, when) in reached.items():
            expected[signature] = (when - began[signature]) / share
        running = [(max(0.0, start + expected[signature] - now), signature) for signature, start in began.items()]
        return self._place(running, expected)

    def _place(self, running: list[tuple[float, str]], expected: dict[str, float]) -> float:
        """The time at which the last job ends, if the ready one with the longest path behind it always goes first."""
        waits = {s: {p for p in node.parents if p in self._left} for s, node in self._left.items()}
        children: dict[str, list[str]] = defaultdict(list)
        for signature, parents in waits.items():
            for parent in parents:
                children[parent].append(signature)
        busy = {signature for _, signature in running}
        ready = [(-self._rank.get(s, 0.0), s) for s, parents in waits.items() if not parents and s not in busy]
        heapq.heapify(ready)
        heapq.heapify(running)
        clock = 0.0
        while running or ready:
            while ready and len(running) < self._slots:
                signature = heapq.heappop(ready)[1]
                heapq.heappush(running, (clock + expected[signature], signature))
            clock, signature = heapq.heappop(running)
            for child in children[signature]:
                waits[child].discard(signature)
                if not waits[child] and child not in busy:
                    heapq.heappush(ready, (-self._rank.get(child, 0.0), child))
        return clock

    @staticmethod
    def _count(measured: dict[tuple[str, ...], list[float]], node: Node, seconds: float, cost: float) -> None:
        for key in _keys(node):
            sums = measured[key]
            sums[0] += seconds
            sums[1] += cost


def _keys(node: Node) -> Iterable[tuple[str, ...]]:
    """What a job is like, from the closest likeness on."""
    if node.condition is not None:
        yield (node.kind, node.condition)
    yield (node.kind,)
    if node.trains:
        yield ("counted",)


def _cost(node: Node) -> float:
    return max(LEAST_COST, node.cost)


def _expected(measured: dict[tuple[str, ...], list[float]], node: Node) -> float:
    """Seconds of a job that has not begun."""
    for key in _keys(node):
        if key in measured:
            seconds, costs = measured[key]
            return seconds / costs * _cost(node)
    return ROUGH_S.get(node.kind, node.cost)
