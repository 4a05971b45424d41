"""How long a launch will still take, from what its jobs have taken so far.

A training takes a fixed time, for its start and its end, and a time per epoch. Both are measured. An epoch of a
condition that has not run is expected to take as long, for its counted cost, as those of conditions with a network of
its kind, and `LEAST_EPOCH_S` more. The speed of another kind of network says less, as small ones hardly use a device:
there, seconds grow with the root of the cost. A prediction takes a fixed time and one for its cost; any other job takes
as long as those of its kind did. The jobs left are then placed on as many slots as were busy at once.
"""

import heapq
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from orchestrator.planning.plan import Plan
from orchestrator.planning.scheduler import remaining_path
from orchestrator.store.node import Node

__all__ = ["TimeLeft"]

LEAST_EPOCH_S = 0.1
"""Seconds of an epoch whatever its cost: its checkpoint, its validation, its line of the history."""
LEAST_COST = 1e-9
LATEST = 4
"""Number of trainings whose starts count."""
ROUGH_S = {"shard": 1.0, "blend": 8.0, "pseudo": 1.0, "distill": 1.0}
"""Seconds of jobs whose operations are not counted, until one of their kind is done."""


@dataclass(frozen=True)
class _Pace:
    """Of a training that has done some epochs."""

    epochs: int
    """That it has done."""
    epoch_s: float
    when: float
    """When that was first known."""


@dataclass
class _Measured:
    """What is known of trainings, and of the other jobs that are done."""

    epochs: dict[tuple[str, str], list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    """Kind of network and condition -> seconds and cost of an epoch of each of its trainings."""
    fixed_s: list[float] = field(default_factory=list)
    """Seconds of trainings beside their epochs."""
    jobs: dict[tuple[str, str | None], list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    """Kind and condition -> seconds and cost of jobs that are done."""

    def start_s(self) -> float:
        """Seconds of a training beside its epochs, by the latest ones: the first of a launch start on cold caches."""
        return fmean(self.fixed_s[-LATEST:])

    def computing(self, network: str, cost: float) -> float | None:
        """Seconds of computing for a cost, by a kind of network; None before a training has done two epochs."""
        known = [each for (kind, _), epochs in self.epochs.items() if kind == network for each in epochs]
        if known:
            return cost * sum(max(0.0, seconds - LEAST_EPOCH_S) for seconds, _ in known) / sum(c for _, c in known)
        others = [each for epochs in self.epochs.values() for each in epochs]
        return fmean(seconds * math.sqrt(cost / of) for seconds, of in others) if others else None


class TimeLeft:
    """Follows the jobs of a launch.

    Args:
        plan: what is launched, with counted costs.
        epochs_of: number of epochs of a training.
        network_of: kind of the network of a training or a prediction.
    """

    def __init__(self, plan: Plan, epochs_of: Callable[[Node], int], network_of: Callable[[Node], str]) -> None:
        self._epochs_of, self._network_of = epochs_of, network_of
        self._nodes = {planned.node.signature: planned.node for planned in plan.pending}
        self._rank = remaining_path(plan)
        self._left = dict(self._nodes)
        self._began: dict[str, float] = {}
        self._paces: dict[str, _Pace] = {}
        """Of the running trainings."""
        self._measured = _Measured()
        self._slots = 1

    def started(self, node: Node, now: float) -> None:
        """A job begins; times are in seconds on any clock."""
        self._nodes[node.signature] = self._left[node.signature] = node  # it may be a damaged input
        self._began[node.signature] = now
        self._slots = max(self._slots, len(self._began))

    def reached(self, node: Node, ends: Sequence[float], now: float) -> None:
        """A running training has done epochs.

        Args:
            node: the training.
            ends: when each of them ended, on the training's own clock.
            now: the time here.
        """
        epochs, known = len(ends), self._paces.get(node.signature)
        if epochs < 2 or (known is not None and known.epochs >= epochs) or node.signature not in self._began:
            return
        # The first epoch takes longer, as it reads clips and compiles: what it takes more counts as fixed.
        self._paces[node.signature] = _Pace(epochs, (ends[-1] - ends[0]) / (epochs - 1), now)

    def ended(self, node: Node, now: float, *, done: bool) -> None:
        """A job has ended; if it is not done, it may begin again."""
        began = self._began.pop(node.signature, now)
        pace = self._paces.pop(node.signature, None)
        if not done:
            return
        self._left.pop(node.signature, None)
        self._measured.jobs[node.kind, node.condition].append((now - began, node.cost))
        if node.kind == "train":
            epochs = self._epochs_of(node)
            epoch_s = pace.epoch_s if pace is not None else (now - began) / epochs
            self._measured.epochs[self._like(node)].append((epoch_s, _cost(node) / epochs))
            self._measured.fixed_s.append(max(0.0, now - began - epochs * epoch_s))

    def seconds(self, now: float) -> float | None:
        """Seconds until all jobs are done; None while too little is known."""
        left, began = dict(self._left), dict(self._began)  # copies: jobs may end while a thread draws
        paces = {signature: pace for signature, pace in dict(self._paces).items() if signature in began}
        measured = self._with_running(paces, began)
        expected = {}
        for signature, node in left.items():
            seconds = self._expected(measured, node)
            if seconds is None:
                return None
            if (pace := paces.get(signature)) is not None:
                to_go = (self._epochs_of(node) - pace.epochs) * pace.epoch_s
                seconds = pace.when + to_go - began[signature]
            expected[signature] = seconds
        running = [(max(0.0, start + expected[s] - now), s) for s, start in began.items() if s in expected]
        return self._place(left, running, expected)

    def _with_running(self, paces: Mapping[str, _Pace], began: Mapping[str, float]) -> _Measured:
        """What is measured, with the trainings that run."""
        before = self._measured
        found = _Measured(fixed_s=[*before.fixed_s], jobs=before.jobs)
        for like, known in before.epochs.copy().items():
            found.epochs[like] = [*known]
        for signature, pace in paces.items():
            node = self._nodes[signature]
            found.epochs[self._like(node)].append((pace.epoch_s, _cost(node) / self._epochs_of(node)))
            found.fixed_s.append(max(0.0, pace.when - began[signature] - pace.epochs * pace.epoch_s))
        return found

    def _expected(self, measured: _Measured, node: Node) -> float | None:
        """Seconds of a whole job; None while nothing like it was measured."""
        if node.kind == "train":
            return self._training(measured, node)
        alike = measured.jobs.get((node.kind, node.condition), []) or [
            job for (kind, _), jobs in measured.jobs.copy().items() if kind == node.kind for job in jobs
        ]
        if not node.trains:
            return fmean(seconds for seconds, _ in alike) if alike else ROUGH_S.get(node.kind)
        computing = measured.computing(self._network_of(node), _cost(node))
        if computing is None:
            return None
        fixed_s = [max(0.0, seconds - computing * cost / _cost(node)) for seconds, cost in alike]
        return (fmean(fixed_s) if fixed_s else measured.start_s()) + computing

    def _training(self, measured: _Measured, node: Node) -> float | None:
        epochs = self._epochs_of(node)
        if same := measured.epochs.get(self._like(node)):
            return measured.start_s() + epochs * fmean(seconds for seconds, _ in same)
        computing = measured.computing(self._network_of(node), _cost(node) / epochs)
        return None if computing is None else measured.start_s() + epochs * (LEAST_EPOCH_S + computing)

    def _like(self, node: Node) -> tuple[str, str]:
        assert node.condition is not None, f"{node.name} is of no condition"
        return self._network_of(node), node.condition

    def _place(
        self, left: Mapping[str, Node], running: list[tuple[float, str]], expected: Mapping[str, float]
    ) -> float:
        """The time at which the last job ends, if the ready one with the longest path behind it always goes first."""
        waits = {s: {p for p in node.parents if p in left} for s, node in left.items()}
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


def _cost(node: Node) -> float:
    return max(LEAST_COST, node.cost)
