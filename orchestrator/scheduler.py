"""The scheduler: ready nodes first come those with the longest remaining path; only what fits is admitted.

It knows nodes, needs and outcomes - neither Ray nor torch - so it can be tested with a fake executor.
"""

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.graph import Node
from orchestrator.plan import Plan

__all__ = ["Executor", "Finished", "Needs", "Summary", "run_plan"]


@dataclass(frozen=True, order=True)
class Needs:
    """What a job takes from the cluster while it runs."""

    cpus: float = 1.0
    gpus: float = 0.0


@dataclass(frozen=True)
class Finished:
    """Outcome of a submitted node."""

    signature: str
    outcome: str
    """'done'; 'stopped' (asked to, can go on); 'failed' (an error in the job); 'lost' (its node or process died)."""
    cause: str = ""


class Executor(Protocol):
    """Runs nodes somewhere."""

    def needs(self, node: Node) -> Needs:
        """What the node takes here."""

    def fits(self, needs: Needs) -> bool:
        """Whether a job with these needs can start now."""

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
    retries: int = 2,
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
        retries: new attempts of a node that was lost; an error in the job itself is never repeated.
        on_start: called when a node is submitted.
        on_finish: called with its outcome.
        on_tick: called between waits, at least every `tick_s`.
        should_stop: when true, nothing more is submitted and the running nodes are awaited.
        tick_s: longest wait in seconds.
    """
    return _Run(plan, executor, retries).go(on_start, on_finish, on_tick, should_stop, tick_s)


class _Run:
    def __init__(self, plan: Plan, executor: Executor, retries: int) -> None:
        self.executor, self.retries = executor, retries
        self.nodes = {planned.node.signature: planned.node for planned in plan.pending}
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
        self.number = {signature: index for index, signature in enumerate(self.nodes)}
        for signature, count in self.unmet.items():
            if count == 0:
                self._push(signature)
        self.running: dict[str, float] = {}
        self.attempts: dict[str, int] = {}
        self.summary = Summary()

    def _push(self, signature: str) -> None:
        queue = self.ready.setdefault(self.executor.needs(self.nodes[signature]), [])
        heapq.heappush(queue, (-self.rank[signature], self.number[signature], signature))

    def _next(self) -> str | None:
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
            if not self.running:
                break
            for finished in self.executor.wait(tick_s):
                start = self.running.pop(finished.signature)
                node = self.nodes[finished.signature]
                self.summary.timeline.append((node.name, start, time.monotonic() - began))
                self._settle(finished)
                on_finish(node, finished)
            on_tick()
        self._check_nothing_left()
        return self.summary

    def _settle(self, finished: Finished) -> None:
        signature = finished.signature
        if finished.outcome == "done":
            self.summary.done += 1
            for child in self.children[signature]:
                self.unmet[child] -= 1
                if self.unmet[child] == 0:
                    self._push(child)
        elif finished.outcome == "lost" and self.attempts.get(signature, 0) < self.retries:
            self.attempts[signature] = self.attempts.get(signature, 0) + 1
            self._push(signature)
        elif finished.outcome == "stopped":
            self.summary.stopped = True
        else:
            self.summary.failed[signature] = finished.cause
            self._block(signature)

    def _block(self, signature: str) -> None:
        waiting = list(self.children[signature])
        while waiting:
            child = waiting.pop()
            if child not in self.summary.blocked:
                self.summary.blocked.append(child)
                waiting += self.children[child]

    def _check_nothing_left(self) -> None:
        accounted = self.summary.done + len(self.summary.failed) + len(self.summary.blocked)
        if not self.summary.stopped and accounted != len(self.nodes):
            needs = next(needs for needs, queue in self.ready.items() if queue)
            for queue in self.ready.values():
                for _, _, signature in queue:
                    self.summary.failed[signature] = (
                        f"needs {needs.cpus:g} CPUs and {needs.gpus:g} GPUs, more than the cluster has"
                    )
                    self._block(signature)
