"""The terminal of a launch while it runs: a bar for features (clips/s, time left), one line per finished job."""

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from orchestrator.planning.plan import Plan
from orchestrator.planning.scheduler import Events, Finished
from orchestrator.run.bound import Run
from orchestrator.store.node import Node
from orchestrator.store.results import TrainResult

__all__ = ["LaunchView"]

SHOWN = 8
"""Number of running training jobs whose epochs are read and shown every second."""


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
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal,
        )  # fmt: skip
        self.features: TaskID | None = None
        if self.clips_total:
            self.features = self.progress.add_task("features", total=self.clips_total, rate="clips")
        self.jobs = self.progress.add_task("jobs", total=self.jobs_total, rate="")
        self.progress.start()
        self.running: dict[str, Node] = {}
        self.shards_running = 0
        self.shards_since = 0.0
        self.shards_s = 0.0

    def on_start(self, node: Node) -> None:
        """Print that a training job started."""
        self.running[node.signature] = node
        if node.shard is not None:
            if self.shards_running == 0:
                self.shards_since = time.monotonic()
            self.shards_running += 1
        if node.kind == "train":
            self.console.print(f"{self._clock()}  {node.name} started")

    def on_finish(self, node: Node, finished: Finished) -> None:
        """Print the outcome of a job."""
        self.running.pop(node.signature, None)
        if node.shard is not None:
            self.shards_running -= 1
            if finished.outcome == "done":
                self._shard_done(len(node.shard.clips))
                return
        if finished.outcome == "done":
            self.jobs_done += 1
            self.progress.update(self.jobs, completed=self.jobs_done)
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
        rate = self.clips_done / self.shards_s
        if self.features is not None:
            self.progress.update(self.features, completed=self.clips_done, rate=f"{rate:.1f} clips/s")
        if self.clips_done == self.clips_total:
            self.console.print(f"{self._clock()}  features of {self.clips_total} clips done, {rate:.1f} clips/s")

    def on_tick(self) -> None:
        """Show the epochs of running jobs."""
        if self.progress.disable:
            return
        trainings = [node for node in self.running.values() if node.kind == "train"]
        parts = []
        for node in trainings[:SHOWN]:
            assert node.condition is not None
            total = self.run.recipe.conditions[node.condition].train.total_epochs
            parts.append(f"{node.name} {len(self.run.store.history(node))}/{total}")
        if len(trainings) > SHOWN:
            parts.append(f"and {len(trainings) - SHOWN} more")
        self.progress.update(self.jobs, rate="  ".join(parts))

    def close(self) -> None:
        """Remove the bars."""
        self.progress.stop()

    def _clock(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self.began), 60)
        return f"{minutes:3d}:{seconds:02d}"
