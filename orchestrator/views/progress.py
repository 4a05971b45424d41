"""The terminal of a launch while it runs.

A terminal shows the grid as a table, with one cell per condition and fold. Below it are the running jobs and the time
left. A thread redraws it every second, because the inline executor blocks the main thread. One line per finished job is
printed above the table; without a terminal, only these lines are printed.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from features.errors import StoreError
from features.words import count
from orchestrator.planning.plan import Plan
from orchestrator.planning.scheduler import Events, Finished
from orchestrator.run.bound import Run
from orchestrator.store.node import Node
from orchestrator.store.patient import span
from orchestrator.store.results import TrainResult
from orchestrator.views.cells import Cell, Cells, CellState
from orchestrator.views.time_left import TimeLeft

__all__ = ["LaunchView"]

READ = 8
"""Number of running trainings whose epochs are read at a time."""
NAMED = 4
"""Number of running jobs that are named."""
LINES_BELOW = 4
"""Lines of the terminal that the picture of the grid leaves free."""


class LaunchView(Events):
    """Draws the scheduler's events on a console."""

    def __init__(self, run: Run, plan: Plan, console: Console) -> None:
        self.run, self.console = run, console
        shards = [planned.node for planned in plan.pending if planned.node.shard is not None]
        self.clips_total = sum(len(node.shard.clips) for node in shards if node.shard is not None)
        self.jobs_total = len(plan.pending) - len(shards)
        self.jobs_done = 0
        self.clips_done = 0
        self.began = time.monotonic()
        self.left = TimeLeft(plan, self._epochs, self._network)
        self.running: dict[str, Node] = {}
        self.shards_running = 0
        self.shards_since = 0.0
        self.shards_s = 0.0
        self.cells: dict[str, dict[int, Cell]] = {}
        """Condition -> fold -> what is shown of it; empty without a terminal."""
        for planned in plan.nodes if console.is_terminal else ():
            if (place := _place(planned.node)) is not None:
                name, fold = place
                self.cells.setdefault(name, {})[fold] = Cell("waiting", self._epochs(planned.node))
                if planned.action == "cached":
                    self._show(planned.node, "done")
        self._read = 0
        self.live = Live(
            console=console, auto_refresh=console.is_terminal, refresh_per_second=1, transient=True,
            get_renderable=self.draw,
        )  # fmt: skip
        if console.is_terminal:
            self.live.start()

    def on_start(self, node: Node) -> None:
        """Print that a training job started, where no picture shows it."""
        self.running[node.signature] = node
        self.left.started(node, time.monotonic())
        if node.shard is not None:
            if self.shards_running == 0:
                self.shards_since = time.monotonic()
            self.shards_running += 1
        self._show(node, "running")
        if node.kind == "train" and not self.console.is_terminal:
            self.console.print(f"{self._clock()}  {node.name} started")

    def on_finish(self, node: Node, finished: Finished) -> None:
        """Print the outcome of a job."""
        self.running.pop(node.signature, None)
        done = finished.outcome == "done"
        if done and node.kind == "train" and self.console.is_terminal:
            self.left.reached(node, _ends(self.run.store.history(node)), time.monotonic())
        self.left.ended(node, time.monotonic(), done=done)
        self._show(node, "done" if done else "failed" if finished.outcome == "failed" else "waiting")
        if node.shard is not None:
            self.shards_running -= 1
            if done:
                self._shard_done(len(node.shard.clips))
                return
        if done:
            self.jobs_done += 1
            score = ""
            if node.kind == "train":
                result = TrainResult.of(self.run.store.done(node))
                score = f"  lwlrap {result.last_lwlrap:.3f} (best {result.best_lwlrap:.3f})"
            self.console.print(f"{self._clock()}  {node.name} done{score}")
        else:
            self.console.print(f"{self._clock()}  {node.name} {finished.outcome}: {finished.cause}")

    def _shard_done(self, clips: int) -> None:
        self.clips_done += clips
        # Only time in which shards were built counts: some wait for training jobs that are more urgent.
        now = time.monotonic()
        self.shards_s, self.shards_since = self.shards_s + now - self.shards_since, now
        if self.clips_done == self.clips_total:
            self.console.print(f"{self._clock()}  features of {self.clips_total} clips done, {self._rate()}")

    def _rate(self) -> str:
        return f"{self.clips_done / self.shards_s:.1f} clips/s"

    # --- the picture

    def draw(self) -> RenderableType:
        """The grid, what runs, and the time left. Called by a thread."""
        self._read_epochs()
        lines = []
        if self.clips_done < self.clips_total:
            rate = f", {self._rate()}" if self.clips_done else ""
            lines.append(f"features of {self.clips_done} of {count(self.clips_total, 'clip')}{rate}")
        left = self.left.seconds(time.monotonic())
        more = "" if left is None else f", about {span(left)} left"
        lines.append(f"{self._clock()}  {self.jobs_done} of {count(self.jobs_total, 'job')} done{more}")
        if others := [node for node in list(self.running.values()) if _place(node) is None]:
            lines.append(f"also running: {_names(others)}")
        room = max(3, self.console.height - len(lines) - LINES_BELOW)
        return Group(Cells(self.cells, room), Text("\n".join(lines)))

    def _read_epochs(self) -> None:
        """Read how far some of the running trainings are, others each time if there are many."""
        trainings = [node for node in list(self.running.values()) if node.kind == "train"]
        self._read = (self._read + READ) % len(trainings) if len(trainings) > READ else 0
        for node in [*trainings[self._read :], *trainings[: self._read]][:READ]:
            try:
                history = self.run.store.history(node)
            except (OSError, StoreError):  # the next look may succeed
                return
            if node.signature in self.running:
                self.left.reached(node, _ends(history), time.monotonic())
                self._show(node, "running", tuple(float(record["lwlrap"]) for record in history))

    def _epochs(self, node: Node) -> int:
        assert node.condition is not None
        return self.run.recipe.conditions[node.condition].train.total_epochs

    def _network(self, node: Node) -> str:
        assert node.condition is not None
        return self.run.recipe.conditions[node.condition].train.network.kind

    def _show(self, node: Node, state: CellState, scores: tuple[float, ...] = ()) -> None:
        """Change what is shown of a training; without new scores, the ones before stay."""
        place = _place(node)
        if place is None or not self.cells:
            return
        name, fold = place
        scores = scores or self.cells[name][fold].scores
        if state == "done":
            scores = (*scores, TrainResult.of(self.run.store.done(node)).last_lwlrap)
        self.cells[name][fold] = Cell(state, self._epochs(node), scores)

    def close(self) -> None:
        """Remove the picture."""
        self.live.stop()

    def _clock(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self.began), 60)
        return f"{minutes:3d}:{seconds:02d}"


def _place(node: Node) -> tuple[str, int] | None:
    """Condition and fold of a training; None for one that only makes labels for another, and for other jobs."""
    if node.kind != "train" or node.condition is None or len(node.held_out) != 1 or node.round is not None:
        return None
    return node.condition, node.held_out[0]


def _ends(history: Sequence[Mapping[str, Any]]) -> list[float]:
    """When the epochs of a training ended, on its own clock."""
    return [float(record["time"]) for record in history]


def _names(nodes: list[Node]) -> str:
    """Some of the jobs by name, and how many there are of each kind beyond."""
    names = [node.name for node in nodes[:NAMED]]
    more = Counter(node.kind for node in nodes[NAMED:])
    return ", ".join([*names, *(f"{number} more {kind}" for kind, number in more.items())])
