"""MLflow as a view of the store: what is missing there is added, what is there is left alone.

Each grid has an experiment, with a parent run for each condition, a child run for each fold, and one run for the blend.
Runs are found again by the signature of their work, metrics by their last step. Mirroring twice, from a later launch or
from another machine, adds no second run and no second point. Workers never talk to MLflow: an outage delays this view
and nothing else.
"""

import subprocess
import time
from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import Literal

from features.errors import SonogridError, TrackingError
from features.files import hash_of
from orchestrator.grids.load import settings_of
from orchestrator.redact import one_line, redact
from orchestrator.run.bound import Run
from orchestrator.store.marks import DoneMark
from orchestrator.store.node import Node
from orchestrator.tracking.connection import tracking_uri
from orchestrator.tracking.runs import Mirrored, Runs, RunStatus
from orchestrator.views.report import build_report
from orchestrator.views.report_types import Report

__all__ = ["JobState", "Mirror", "bring_up_to_date"]

JobState = Literal["new", "running", "killed", "failed", "done"]
"""State of a training job in MLflow's tag `sonogrid.state`. *killed*: it began, has not ended, and shows no sign of
life."""

STATUS: dict[JobState, RunStatus] = {
    "new": "RUNNING", "running": "RUNNING", "killed": "KILLED", "failed": "FAILED", "done": "FINISHED",
}  # fmt: skip
REST = 9
"""The pause after computing summaries, as a multiple of the time they took."""


class Mirror:
    """Brings MLflow up to date with the store of a run."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.rest_until = 0.0
        """When (`time.monotonic`) summaries may be computed again."""
        self._complete: set[str] = set()
        """Conditions with nothing new: of thousands of jobs, most are done most of the time."""
        self._summarised: object = None
        self._tags = {"sonogrid.grid": run.recipe.name, "sonogrid.revision": _git_revision()}

    def sync(self, running: Collection[str] = ()) -> None:
        """Add everything that is new in the store.

        Args:
            running: signatures of the jobs that the driver has submitted, whatever the store says.

        Raises:
            Exception: whatever MLflow raises if it cannot be reached.
        """
        _ = self._runs  # connects, so that an outage is noticed even if there is nothing to add
        for name, jobs in self._jobs.items():
            if name not in self._complete or any(node.signature in running for job in jobs for node in job):
                self._condition(name, jobs, running)
        self._summaries()

    @cached_property
    def _runs(self) -> Runs:
        """The runs in MLflow; a property that fails is computed again by the next `sync`."""
        return Runs.of_experiment(self.run.recipe.name)

    @cached_property
    def _jobs(self) -> dict[str, list[tuple[Node, Node]]]:
        """Condition -> its training jobs, each with its prediction job."""
        nodes, graph = self.run.graph.nodes, self.run.graph
        return {
            name: [(nodes[train], nodes[predict]) for train, predict in graph.jobs_of(name)]
            for name in self.run.recipe.conditions
        }

    def _condition(self, name: str, jobs: list[tuple[Node, Node]], running: Collection[str]) -> None:
        self._complete.discard(name)
        states = [self._state(node, running) for node, _ in jobs]
        if any(state != "new" for state in states):
            parent = self._parent(name)
            for (node, prediction), state in zip(jobs, states, strict=True):
                if state != "new":
                    self._fold(name, node, prediction, parent, state)
            self._runs.set_status(parent, _joint_status(states))
        if all(state == "done" for state in states) and self._is_mirrored(jobs):
            self._complete.add(name)

    def _is_mirrored(self, jobs: list[tuple[Node, Node]]) -> bool:
        """Whether the predictions of a condition's finished training jobs are done and copied too."""
        return all(
            self._runs[node.signature].has_artifacts("predictions", prediction.signature)
            and self.run.store.state(prediction).state == "done"
            for node, prediction in jobs
        )

    def _state(self, node: Node, running: Collection[str]) -> JobState:
        state = self.run.store.state(node).state
        if state in ("done", "failed"):
            return state
        if node.signature in running:
            return "running"
        if state == "new":
            return "new"
        return "running" if self.run.store.is_alive(node) else "killed"

    def _parent(self, name: str) -> Mirrored:
        graph = self.run.graph
        key = hash_of({"condition": [graph.train[name, fold] for fold in range(self.run.recipe.data.folds)]})
        tags = {**self._tags, "sonogrid.condition": name}
        return self._runs.ensure(key, name, settings_of(self.run.recipe.conditions[name]), tags)

    def _fold(self, name: str, node: Node, prediction: Node, parent: Mirrored, state: JobState) -> None:
        tags = {
            **self._tags,
            "mlflow.parentRunId": parent.id,
            "sonogrid.condition": name,
            "sonogrid.fold": node.split,
        }
        params = {**settings_of(self.run.recipe.conditions[name]), "fold": node.split}
        mirrored = self._runs.ensure(node.signature, f"{name} fold {node.split}", params, tags)
        self._runs.metrics(mirrored, self.run.store.history(node))
        self._runs.tag(mirrored, "sonogrid.state", state)
        if state == "done":
            for package, version in self.run.store.done(node).versions.items():
                self._runs.tag(mirrored, f"sonogrid.version.{package}", version)
            self._artifacts(mirrored, "train", node)
            if self.run.store.state(prediction).state == "done":
                self._artifacts(mirrored, "predictions", prediction)
        self._runs.set_status(mirrored, STATUS[state])

    def _artifacts(self, mirrored: Mirrored, place: str, node: Node) -> None:
        if not mirrored.has_artifacts(place, node.signature):  # asked first, as looking up results takes time
            folder = self.run.store.results(node)
            names = (*self.run.store.done(node).files, DoneMark.FILE)
            self._runs.artifacts(mirrored, place, node.signature, (folder / name for name in names))

    def _summaries(self) -> None:
        """Scores of whole conditions and of the blend, whenever a prediction or the test labels are new.

        They take longer the more results there are, so a pause follows that is `REST` times as long.
        """
        if time.monotonic() < self.rest_until:
            return
        present = self._inputs_of_summaries()
        if present == self._summarised:
            return
        began = time.monotonic()
        report = build_report(self.run)
        for condition in report.conditions:
            scores = condition.scores()
            if any(value is not None for value in scores.values()):
                parent = self._parent(condition.name)
                self._runs.scores(parent, scores)
                self._runs.tag(parent, "sonogrid.leaky", _flag(condition.name in report.leaky))
        self._blend(report)
        self._summarised = present
        self.rest_until = time.monotonic() + REST * (time.monotonic() - began)

    def _inputs_of_summaries(self) -> object:
        """A value that changes with the finished predictions, the blend and the test labels."""
        score = self.run.folder / "score.json"
        scored = score.stat().st_mtime_ns if score.exists() else None
        graph = self.run.graph
        ends = (*graph.predict.values(), *([graph.blend] if graph.blend else []))
        known = {prediction.signature for name in self._complete for _, prediction in self._jobs[name]}
        done = [s for s in ends if s in known or self.run.store.state(graph.nodes[s]).state == "done"]
        return scored, done

    def _blend(self, report: Report) -> None:
        assert self.run.graph.blend is not None
        node = self.run.graph.nodes[self.run.graph.blend]
        if self.run.store.state(node).state != "done":
            return
        params = {f"blend.{key}": value for key, value in self.run.recipe.blend.model_dump(mode="json").items()}
        mirrored = self._runs.ensure(node.signature, "blend", params, {**self._tags, "sonogrid.state": "done"})
        test = report.test.lwlrap if report.test else None
        self._runs.scores(mirrored, {**report.blend.scores(), "test_lwlrap": test})
        self._runs.tag(mirrored, "sonogrid.leaky", _flag("blend" in report.leaky))
        for ensemble in report.ensembles:
            key = "ensemble/" + ensemble.name.replace("+", " ")  # MLflow allows no '+' in names
            self._runs.scores(mirrored, {f"{key}/{score}": value for score, value in ensemble.scores().items()})
            self._runs.tag(mirrored, f"sonogrid.leaky.{key}", _flag(ensemble.leaky))
        self._artifacts(mirrored, "blend", node)
        self._runs.set_status(mirrored, "FINISHED")


def bring_up_to_date(run: Run) -> None:
    """Mirror once, now.

    Raises:
        TrackingError: MLflow can't be reached.
    """
    try:
        Mirror(run).sync()
    except SonogridError:
        raise
    except Exception as error:  # whatever the client, the database or the network raises
        why = f"{type(error).__name__}: {one_line(error)}"
        raise TrackingError(
            f"MLflow at {redact(tracking_uri())} can't be reached ({why}); start it and try again"
        ) from None


def _joint_status(states: Collection[JobState]) -> RunStatus:
    """Status of a condition's run, given the states of its jobs."""
    if all(state == "done" for state in states):
        return "FINISHED"
    if "running" in states:
        return "RUNNING"
    return "FAILED" if "failed" in states else "KILLED" if "killed" in states else "RUNNING"


def _flag(value: bool) -> str:
    return str(value).lower()


def _git_revision() -> str:
    """The revision of the code, for a tag; 'unknown' outside a checkout."""
    folder = Path(__file__).resolve().parent
    try:
        shown = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty"],
            capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return shown.stdout.strip() or "unknown"
