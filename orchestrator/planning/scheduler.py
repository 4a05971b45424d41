"""The scheduler: of the ready nodes those with the longest remaining path first; only what fits is admitted.

It knows nodes, needs and outcomes - neither Ray nor torch - so it can be tested with a fake executor. What it does
about an outcome:

    done       the node's children may run
    failed     an error in the job: not repeated; its dependents wait, every other branch goes on
    lost       its process or machine died, or it made no progress: tried again after a pause, up to a limit
    memory     too little memory: tried again with more room, up to a limit
    preempted  its machine is about to go: tried again at once
    damaged    an input is not what it was: computed again first
    busy       another run that shares the store works on it: looked at again later
    stopped    asked to, can go on
"""

import heapq
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from orchestrator.planning.plan import Plan
from orchestrator.store.node import Node

__all__ = ["Executor", "Finished", "Needs", "Outcome", "Standing", "Summary", "run_plan"]

Outcome = Literal["done", "failed", "lost", "memory", "preempted", "damaged", "busy", "stopped"]
LONGEST_PAUSE_S = 60.0
BUSY_PAUSE_S = 5.0


@dataclass(frozen=True, order=True)
class Needs:
    """What a job takes from the cluster while it runs: so much for each of its workers."""

    cpus: float = 1.0
    gpus: float = 0.0
    workers: int = 1
    gpu: str = ""
    """Type of GPU; empty: any."""

    def __str__(self) -> str:
        """For people."""
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
    """How far the node has come, in steps: a job that gets further each time it is lost is not given up."""
    damaged: tuple[str, ...] = ()
    """Signatures of the inputs that have to be computed again."""


@dataclass(frozen=True)
class Standing:
    """How a run stands, for whoever watches it."""

    cached: int
    running: int
    done: int
    failed: int
    blocked: int
    """Wait for a failed one."""
    waiting: int
    """Wait for others to end, or pause before their next attempt."""
    ready: dict[Needs, int]
    """How many could start if there were room for them."""


class Executor(Protocol):
    """Runs nodes somewhere."""

    def needs(self, node: Node) -> Needs:
        """What the node takes here."""

    def fits(self, needs: Needs) -> bool:
        """Whether a job with these needs can start now."""

    def give_room(self, node: Node) -> bool:
        """Give the node more memory from now on; False if there is no more to give."""

    def hold(self, standing: Standing) -> bool:
        """Told how the run stands whenever nothing more fits, also while nothing runs, and so the time to look for new
        machines; whether jobs that don't fit may do so later."""

    def submit(self, node: Node) -> None:
        """Start a node; never blocks for long, except that an inline executor runs it."""

    def wait(self, timeout_s: float) -> list[Finished]:
        """Outcomes since the last call; waits for the first one at most this long."""

    def close(self) -> None:
        """End everything that was started."""


@dataclass
class Summary:
    """How a run ended."""

    done: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    """Signature -> cause."""
    blocked: list[str] = field(default_factory=list)
    """Nodes that wait for a failed one."""
    stopped: bool = False
    timeline: list[tuple[str, float, float]] = field(default_factory=list)
    """(node name, start, end) in seconds since the run began."""


def remaining_path(plan: Plan) -> dict[str, float]:
    """Cost of the longest chain of nodes that begins at each node."""
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
    *,
    retries: int = 3,
    pause_s: float = 1.0,
    on_start: Callable[[Node], None] = lambda _: None,
    on_finish: Callable[[Node, Finished], None] = lambda _, __: None,
    on_tick: Callable[[], None] = lambda: None,
    should_stop: Callable[[], bool] = lambda: False,
    tick_s: float = 1.0,
) -> Summary:
    """Run all pending nodes of a plan; a failed node stops its dependents and nothing else.

    Args:
        plan: what to run.
        executor: where.
        retries: new attempts of a node that was lost, ran out of memory or met a damaged input, without having got
            any further since; an error in the job itself is never repeated.
        pause_s: before the first of these attempts; doubled each time, up to a minute.
        on_start: called when a node is submitted.
        on_finish: called with its outcome.
        on_tick: called between waits, at least every `tick_s`.
        should_stop: when true, nothing more is submitted and the running nodes are awaited.
        tick_s: longest wait in seconds.
    """
    return _Run(plan, executor, retries, pause_s).go(on_start, on_finish, on_tick, should_stop, tick_s)


class _Run:
    def __init__(self, plan: Plan, executor: Executor, retries: int, pause_s: float) -> None:
        self.executor, self.retries, self.pause_s = executor, retries, pause_s
        self.known = {planned.node.signature: planned.node for planned in plan.nodes}
        self.nodes = {planned.node.signature: planned.node for planned in plan.pending}
        self.cached = len(self.known) - len(self.nodes)
        self.rank = remaining_path(plan)
        self.children: dict[str, list[str]] = {signature: [] for signature in self.nodes}
        self.unmet: dict[str, int] = {}
        for signature, node in self.nodes.items():
            parents = {parent for parent in node.parents if parent in self.nodes}
            self.unmet[signature] = len(parents)
            for parent in parents:
                self.children[parent].append(signature)
        # One queue for each kind of needs: the head of a queue that doesn't fit hides nobody of another kind.
        self.ready: dict[Needs, list[tuple[float, int, str]]] = {}
        self.later: list[tuple[float, str]] = []
        """(when, signature) of nodes that pause before their next attempt."""
        self.number = {signature: index for index, signature in enumerate(self.known)}
        for signature, count in self.unmet.items():
            if count == 0:
                self._push(signature)
        self.running: dict[str, float] = {}
        self.tries: dict[str, int] = {}
        self.reached: dict[str, int] = {}
        self.done: set[str] = set()
        self.summary = Summary()

    def _push(self, signature: str) -> None:
        queue = self.ready.setdefault(self.executor.needs(self.nodes[signature]), [])
        heapq.heappush(queue, (-self.rank.get(signature, 0.0), self.number[signature], signature))

    def _next(self) -> str | None:
        while self.later and self.later[0][0] <= time.monotonic():
            self._push(heapq.heappop(self.later)[1])
        fitting = [(queue[0], needs) for needs, queue in self.ready.items() if queue and self.executor.fits(needs)]
        if not fitting:
            return None
        return heapq.heappop(self.ready[min(fitting)[1]])[2]

    def go(
        self,
        on_start: Callable[[Node], None],
        on_finish: Callable[[Node, Finished], None],
        on_tick: Callable[[], None],
        should_stop: Callable[[], bool],
        tick_s: float,
    ) -> Summary:
        began = time.monotonic()
        while True:
            self.summary.stopped = self.summary.stopped or should_stop()
            while not self.summary.stopped and (signature := self._next()) is not None:
                on_start(self.nodes[signature])
                self.running[signature] = time.monotonic() - began
                self.executor.submit(self.nodes[signature])
            may_fit = self.executor.hold(self._standing())
            if self.running:
                for finished in self.executor.wait(tick_s):
                    start = self.running.pop(finished.signature)
                    node = self.nodes[finished.signature]
                    self.summary.timeline.append((node.name, start, time.monotonic() - began))
                    self._settle(finished)
                    on_finish(node, finished)
            elif (self.later or (may_fit and any(self.ready.values()))) and not self.summary.stopped:
                time.sleep(min(tick_s, max(0.0, self.later[0][0] - time.monotonic())) if self.later else tick_s)
            else:
                break
            on_tick()
        self.summary.done = len(self.done)
        self._check_nothing_left()
        return self.summary

    def _standing(self) -> Standing:
        ready = {needs: len(queue) for needs, queue in self.ready.items() if queue}
        ended = {"done": len(self.done), "failed": len(self.summary.failed), "blocked": len(self.summary.blocked)}
        waiting = len(self.nodes) - len(self.running) - sum(ready.values()) - sum(ended.values())
        return Standing(cached=self.cached, running=len(self.running), waiting=waiting, ready=ready, **ended)

    def _settle(self, finished: Finished) -> None:
        signature = finished.signature
        match finished.outcome:
            case "done":
                self.done.add(signature)
                for child in self.children[signature]:
                    self.unmet[child] -= 1
                    if self.unmet[child] == 0:
                        self._push(child)
            case "stopped":
                self.summary.stopped = True
            case "preempted":
                self._push(signature)
            case "busy":
                self._pause(signature, BUSY_PAUSE_S)
            case "failed":
                self._fail(signature, finished.cause)
            case "lost" | "memory" | "damaged":
                self._again(finished)

    def _again(self, finished: Finished) -> None:
        """Another attempt, unless there were enough of them that led nowhere."""
        signature = finished.signature
        if finished.reached > self.reached.get(signature, 0):
            self.tries[signature] = 0
        self.reached[signature] = finished.reached
        tries = self.tries[signature] = self.tries.get(signature, 0) + 1
        if tries > self.retries:
            self._fail(signature, f"{finished.cause} (attempt {tries} without progress; no more are made)")
        elif finished.outcome == "damaged":
            self._redo(signature, finished.damaged)
        elif finished.outcome == "memory" and not self.executor.give_room(self.nodes[signature]):
            self._fail(signature, f"{finished.cause} (it had all the room that there is)")
        else:
            self._pause(signature, min(LONGEST_PAUSE_S, self.pause_s * 2 ** (tries - 1)))

    def _redo(self, signature: str, damaged: Iterable[str]) -> None:
        """Compute inputs of a node again, then the node."""
        waits = 0
        for parent in damaged:
            if parent not in self.nodes or parent in self.done:
                self.done.discard(parent)
                self.nodes[parent] = self.known[parent]
                self.children[parent] = []
                self.unmet[parent] = 0
                self._push(parent)
            self.children[parent].append(signature)
            waits += 1
        self.unmet[signature] = waits
        if waits == 0:
            self._push(signature)

    def _pause(self, signature: str, seconds: float) -> None:
        heapq.heappush(self.later, (time.monotonic() + seconds, signature))

    def _fail(self, signature: str, cause: str) -> None:
        self.summary.failed[signature] = cause
        waiting = list(self.children[signature])
        while waiting:
            child = waiting.pop()
            if child not in self.summary.blocked:
                self.summary.blocked.append(child)
                waiting += self.children[child]

    def _check_nothing_left(self) -> None:
        accounted = len(self.done) + len(self.summary.failed) + len(self.summary.blocked)
        if not self.summary.stopped and accounted != len(self.nodes):
            for needs, queue in self.ready.items():
                for _, _, signature in queue:
                    self._fail(signature, f"needs {needs}, more than the cluster has")
