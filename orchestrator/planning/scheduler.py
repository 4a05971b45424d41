"""The scheduler: starts the ready node with the longest remaining path first, as long as it fits.

It knows nodes, needs and outcomes, but neither Ray nor torch, so it can be tested with a fake executor. What it does
on each outcome:

    done       starts the nodes that waited for this one
    failed     an error in the job: does not retry; its dependents are blocked, all other branches continue
    lost       the process or machine died, or made no progress: retries after a pause, up to a limit
    memory     out of memory: retries with more memory, up to a limit
    preempted  the machine is about to be taken away: retries at once
    damaged    an input is damaged: recomputes the input, then the node
    busy       another run that shares the store works on the node: checks again later
    stopped    the job was asked to stop and can be continued: starts nothing more
"""

import heapq
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from features.words import count
from orchestrator.planning.plan import Plan
from orchestrator.store.node import Node

__all__ = ["Events", "Executor", "Finished", "Needs", "Outcome", "Standing", "Summary", "run_plan"]

Outcome = Literal["done", "failed", "lost", "memory", "preempted", "damaged", "busy", "stopped"]
LONGEST_PAUSE_S = 60.0
BUSY_PAUSE_S = 5.0


@dataclass(frozen=True, order=True)
class Needs:
    """Resources that a job holds while it runs, for each of its workers."""

    cpus: float = 1.0
    gpus: float = 0.0
    workers: int = 1
    gpu: str = ""
    """Type of GPU; empty: any."""

    def __str__(self) -> str:
        """As text for messages."""
        kind = f" of type {self.gpu}" if self.gpu and self.gpus else ""
        each = f" for each of {self.workers} workers" if self.workers > 1 else ""
        return f"{self.cpus:g} CPUs and {self.gpus:g} GPUs{kind}{each}"


@dataclass(frozen=True)
class Finished:
    """Outcome of a submitted node."""

    signature: str
    outcome: Outcome
    cause: str = ""
    reached: int = 0
    """Steps done so far. Retries are counted from the last attempt that got further than the ones before."""
    damaged: tuple[str, ...] = ()
    """Signatures of the inputs to compute again."""


@dataclass(frozen=True)
class Standing:
    """How many jobs are in each state."""

    cached: int
    running: int
    done: int
    failed: int
    blocked: int
    """Depend on a failed job."""
    waiting: int
    """Depend on unfinished jobs, or pause before the next attempt."""
    ready: dict[Needs, int]
    """Jobs that could start if their needs fitted, by needs."""


class Executor(Protocol):
    """Runs nodes somewhere."""

    def needs(self, node: Node) -> Needs:
        """The resources that a node takes here."""

    def fits(self, needs: Needs) -> bool:
        """Whether a job with these needs can start now."""

    def give_room(self, node: Node) -> bool:
        """Give the node more memory from now on; False if it already has all there is."""

    def hold(self, standing: Standing) -> bool:
        """Called whenever nothing more fits, also while nothing runs; a cluster looks for new machines here.

        Returns:
            Whether jobs that do not fit now may fit later.
        """

    def submit(self, node: Node) -> None:
        """Start a node. Returns soon, except for the inline executor, which runs the node here."""

    def wait(self, timeout_s: float) -> list[Finished]:
        """Outcomes since the last call; waits for the first one up to a timeout."""

    def close(self) -> None:
        """End everything that was started."""


class Events:
    """Follows a run of a plan, and may stop it. This one ignores everything; override what you need."""

    def on_start(self, node: Node) -> None:
        """Called when a node is submitted."""

    def on_finish(self, node: Node, finished: Finished) -> None:
        """Called with the outcome of a node."""

    def on_tick(self) -> None:
        """Called between waits, at least once per tick."""

    def should_stop(self) -> bool:
        """Whether to submit nothing more and wait for the running nodes."""
        return False


@dataclass
class Summary:
    """How a run ended."""

    done: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    """Signature -> cause."""
    blocked: list[str] = field(default_factory=list)
    """Signatures of the nodes that depend on a failed one."""
    stopped: bool = False
    timeline: list[tuple[str, float, float]] = field(default_factory=list)
    """(node name, start, end) in seconds since the run began."""


def remaining_path(plan: Plan) -> dict[str, float]:
    """Cost of the longest chain of pending nodes that begins at each node."""
    longest: dict[str, float] = {}
    below: dict[str, float] = {}
    for planned in reversed(plan.nodes):
        node = planned.node
        own = 0.0 if planned.action == "cached" else node.cost
        longest[node.signature] = own + below.get(node.signature, 0.0)
        for parent in node.parents:
            below[parent] = max(below.get(parent, 0.0), longest[node.signature])
    return longest


def run_plan(
    plan: Plan,
    executor: Executor,
    events: Events | None = None,
    *,
    retries: int = 3,
    pause_s: float = 1.0,
    tick_s: float = 1.0,
) -> Summary:
    """Run all pending nodes of a plan; a failed node blocks its dependents and nothing else.

    Args:
        plan: what to run.
        executor: where.
        events: follows the run.
        retries: attempts without progress, after the first, of a node that was lost, ran out of memory or met a
            damaged input. An error in the job itself is never retried.
        pause_s: pause before the first retry in seconds; doubled each time, up to a minute.
        tick_s: longest wait in seconds.
    """
    return _Loop(plan, executor, events or Events(), retries, pause_s, tick_s).run()


class _Loop:
    def __init__(
        self, plan: Plan, executor: Executor, events: Events, retries: int, pause_s: float, tick_s: float
    ) -> None:
        self.executor, self.events = executor, events
        self.retries, self.pause_s, self.tick_s = retries, pause_s, tick_s
        self.known = {planned.node.signature: planned.node for planned in plan.nodes}
        self.nodes = {planned.node.signature: planned.node for planned in plan.pending}
        self.cached = len(self.known) - len(self.nodes)
        self.rank = remaining_path(plan)
        self.children: dict[str, list[str]] = {signature: [] for signature in self.known}
        """Of all known nodes: a cached one may turn out to be damaged."""
        self.unmet: dict[str, set[str]] = {}
        """Parents that a pending node waits for."""
        for signature, node in self.known.items():
            for parent in dict.fromkeys(node.parents):
                if parent in self.known:
                    self.children[parent].append(signature)
            if signature in self.nodes:
                self.unmet[signature] = {parent for parent in node.parents if parent in self.nodes}
        # One queue per needs, so that a job that does not fit holds up only jobs with the same needs.
        self.ready: dict[Needs, list[tuple[float, int, str]]] = {}
        self.later: list[tuple[float, str]] = []
        """(time.monotonic, signature) of the nodes that pause before their next attempt."""
        self.number = {signature: index for index, signature in enumerate(self.known)}
        for signature, parents in self.unmet.items():
            if not parents:
                self._push(signature)
        self.running: dict[str, float] = {}
        self.tries: dict[str, int] = {}
        self.reached: dict[str, int] = {}
        self.done: set[str] = set()
        self.blocked: set[str] = set()
        self.summary = Summary()

    def _push(self, signature: str) -> None:
        queue = self.ready.setdefault(self.executor.needs(self.nodes[signature]), [])
        heapq.heappush(queue, (-self.rank.get(signature, 0.0), self.number[signature], signature))

    def _next(self) -> str | None:
        while self.later and self.later[0][0] <= time.monotonic():
            self._push(heapq.heappop(self.later)[1])
        while True:
            fitting = [(queue[0], needs) for needs, queue in self.ready.items() if queue and self.executor.fits(needs)]
            if not fitting:
                return None
            needs = min(fitting)[1]
            signature = heapq.heappop(self.ready[needs])[2]
            if self.executor.needs(self.nodes[signature]) == needs:
                return signature
            self._push(signature)  # its needs have changed: the first GPU has joined the cluster

    def run(self) -> Summary:
        """Run until nothing is left that could."""
        began = time.monotonic()
        while True:
            self.summary.stopped = self.summary.stopped or self.events.should_stop()
            while not self.summary.stopped and (signature := self._next()) is not None:
                self.events.on_start(self.nodes[signature])
                self.running[signature] = time.monotonic() - began
                self.executor.submit(self.nodes[signature])
            may_fit = self.executor.hold(self._standing())
            if self.running:
                for finished in self.executor.wait(self.tick_s):
                    start = self.running.pop(finished.signature)
                    node = self.nodes[finished.signature]
                    self.summary.timeline.append((node.name, start, time.monotonic() - began))
                    self._settle(finished)
                    self.events.on_finish(node, finished)
            elif (self.later or (may_fit and any(self.ready.values()))) and not self.summary.stopped:
                self._sleep()
            else:
                break
            self.events.on_tick()
        self.summary.done = len(self.done)
        self._check_nothing_left()
        return self.summary

    def _sleep(self) -> None:
        """Wait for the first pause to end, at most a tick."""
        pause_s = self.later[0][0] - time.monotonic() if self.later else self.tick_s
        time.sleep(min(self.tick_s, max(0.0, pause_s)))

    def _standing(self) -> Standing:
        ready = {needs: len(queue) for needs, queue in self.ready.items() if queue}
        ended = {"done": len(self.done), "failed": len(self.summary.failed), "blocked": len(self.summary.blocked)}
        waiting = len(self.nodes) - len(self.running) - sum(ready.values()) - sum(ended.values())
        return Standing(cached=self.cached, running=len(self.running), waiting=waiting, ready=ready, **ended)

    def _settle(self, finished: Finished) -> None:
        signature = finished.signature
        match finished.outcome:
            case "done":
                self._finish(signature)
            case "stopped":
                self.summary.stopped = True
            case "preempted":
                self._pause(signature, 0.0)
            case "busy":
                self._pause(signature, BUSY_PAUSE_S)
            case "failed":
                self._fail(signature, finished.cause)
            case "lost" | "memory" | "damaged":
                self._again(finished)

    def _finish(self, signature: str) -> None:
        """Count a node as done, and start the children that waited for nothing else."""
        self.done.add(signature)
        for child in self.children[signature]:
            waits = self.unmet.get(child)
            if waits is not None and signature in waits:
                waits.discard(signature)
                if not waits and self._is_open(child):
                    self._push(child)

    def _is_open(self, signature: str) -> bool:
        """Whether a node is neither running nor accounted for."""
        return signature in self.nodes and not (
            signature in self.running
            or signature in self.done
            or signature in self.blocked
            or signature in self.summary.failed
        )

    def _again(self, finished: Finished) -> None:
        """Retry, unless there were too many attempts without progress."""
        signature = finished.signature
        if finished.reached > self.reached.get(signature, 0):
            self.tries[signature] = 0
        self.reached[signature] = finished.reached
        tries = self.tries[signature] = self.tries.get(signature, 0) + 1
        if tries > self.retries:
            self._fail(signature, f"{finished.cause} (gave up after {count(tries, 'attempt')} without progress)")
        elif finished.outcome == "damaged":
            self._redo(signature, finished.damaged)
        elif finished.outcome == "memory" and not self.executor.give_room(self.nodes[signature]):
            self._fail(signature, f"{finished.cause} (it already had all the memory there is)")
        else:
            self._pause(signature, min(LONGEST_PAUSE_S, self.pause_s * 2 ** (tries - 1)))

    def _redo(self, signature: str, damaged: Iterable[str]) -> None:
        """Compute damaged inputs of a node again, then the node; until then, none of their children starts."""
        for parent in damaged:
            if parent in self.blocked or parent in self.summary.failed:
                self._block([signature])
                return
            if parent not in self.nodes or parent in self.done:
                self.done.discard(parent)
                node = self.nodes[parent] = self.known[parent]
                self.unmet[parent] = {p for p in node.parents if p in self.nodes and p not in self.done}
                for child in self.children[parent]:
                    if child in self.nodes and child not in self.done:
                        self.unmet[child].add(parent)
                if not self.unmet[parent]:
                    self._push(parent)
        self._take_back()
        self._pause(signature, 0.0)

    def _take_back(self) -> None:
        """Take nodes that wait for a parent again out of the queues; `_finish` of the parent puts them back."""
        for queue in self.ready.values():
            queue[:] = [entry for entry in queue if not self.unmet[entry[2]]]
            heapq.heapify(queue)
        self.later = [entry for entry in self.later if not self.unmet[entry[1]]]
        heapq.heapify(self.later)

    def _pause(self, signature: str, seconds: float) -> None:
        """Start a node again after a pause, or when the parents that it waits for are done."""
        if not self.unmet[signature]:
            heapq.heappush(self.later, (time.monotonic() + seconds, signature))

    def _fail(self, signature: str, cause: str) -> None:
        self.summary.failed[signature] = cause
        self._block(self.children[signature])

    def _block(self, nodes: Iterable[str]) -> None:
        """Give up nodes and all that depend on them, but for those that are running: they may have read their input."""
        waiting = list(nodes)
        while waiting:
            signature = waiting.pop()
            if self._is_open(signature):
                self.blocked.add(signature)
                self.summary.blocked.append(signature)
                waiting += self.children[signature]

    def _check_nothing_left(self) -> None:
        accounted = len(self.done) + len(self.summary.failed) + len(self.summary.blocked)
        if not self.summary.stopped and accounted != len(self.nodes):
            for needs, queue in self.ready.items():
                for _, _, signature in queue:
                    self._fail(signature, f"needs {needs}, more than the cluster has")
