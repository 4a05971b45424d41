"""MLflow as a view of the store: what is missing there is added, what is there is left alone.

Each grid has an experiment, with a parent run for each condition, a child run for each fold, and one run for the blend.
Runs are found again by the signature of their work, metrics by their last step. Mirroring twice, from a later launch or
from another machine, adds no second run and no second point. Mirroring after a kill at any moment completes what is
there. Runs begin and end when their jobs did. Workers never talk to MLflow, so an outage delays this view and nothing
else.
"""

import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from features.errors import SonogridError, StoreError, TrackingError
from features.files import hash_of, sha256_file
from orchestrator.grids.load import settings_of
from orchestrator.pages import PAGE
from orchestrator.pages.overview import FOLDER as OVERVIEW
from orchestrator.pages.overview import MADE, overview_files, refresh_overviews
from orchestrator.redact import one_line, redact
from orchestrator.report.build import build_report
from orchestrator.report.types import ConditionReport, Report
from orchestrator.run.bound import Run
from orchestrator.store.marks import DoneMark
from orchestrator.store.node import Node
from orchestrator.tracking.connection import Calls, Place
from orchestrator.tracking.facts import Facts, best_of, cost_of, cost_of_all
from orchestrator.tracking.runs import GENERATION, PARENT, BehindError, Mirrored, Runs, RunStatus, condition_key
from orchestrator.tracking.times import JobState, Times, job_times

__all__ = ["Mirror", "bring_up_to_date"]

STATE = "sonogrid.state"
"""Tag with the state of a training job, a `JobState`."""
NOTE = "mlflow.note.content"
"""MLflow's own tag: the description. One that a person wrote is left alone."""

STATUS: dict[JobState, RunStatus] = {
    "new": "RUNNING", "running": "RUNNING", "killed": "KILLED", "failed": "FAILED", "done": "FINISHED",
}  # fmt: skip
REST = 9
"""The pause after computing summaries, as a multiple of the time they took."""


class Mirror:
    """Brings MLflow up to date with the store of a run."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.place = Place.of(run.folder)
        self.facts = Facts(run)
        self.calls = Calls()
        self.rest_until = 0.0
        """When (`time.monotonic`) summaries may be computed again."""
        self._complete: set[str] = set()
        """Conditions with nothing new: of thousands of jobs, most are done most of the time."""
        self._times_of: dict[str, Times] = {}
        """Times of the conditions that have a run in MLflow."""
        self._generation_of: dict[str, int] = {}
        """For these, the sum of the generations of their training jobs."""
        self._summarised: object = None
        self._trouble: SonogridError | None = None
        self._tags = {"sonogrid.grid": run.recipe.name, "sonogrid.revision": _git_revision(), **self.facts.tags()}

    def sync(self, running: Collection[str] = ()) -> None:
        """Add everything that is new in the store. What is wrong with one condition does not stop the others.

        Args:
            running: signatures of the jobs that the driver has submitted, whatever the store says.

        Raises:
            StoreError: a result or a mark is damaged; everything else was mirrored.
            TrackingError: MLflow refuses to take something; everything else was mirrored.
            Exception: whatever MLflow raises if it cannot be reached.
        """
        self._trouble = None
        _ = self._runs  # connects, so that an outage is noticed even if there is nothing to add
        for name, jobs in self._jobs.items():
            if name not in self._complete or any(node.signature in running for job in jobs for node in job):
                self._apart(partial(self._condition, name, jobs, running))
        self._apart(self._summaries)
        if self._trouble is not None:
            raise self._trouble

    def forget(self) -> None:
        """Read everything again in the next `sync`, from MLflow too: people and other processes may change it."""
        self.__dict__.pop("_runs", None)
        self._complete.clear()
        self._summarised = None
        self.rest_until = 0.0

    def _apart(self, work: Callable[[], None]) -> None:
        """Do a part of the mirroring; what goes wrong is raised at the end, and only an outage of MLflow at once."""
        try:
            work()
        except SonogridError as error:
            self._trouble = self._trouble or error
        except BehindError:  # the next look at the store shows the newer results here too
            self._summarised = None
        except Exception:
            # MLflow is away, or no longer has what was read: a person or another process deleted a run.
            self.forget()
            _ = self._runs
            self._once_more(work)

    def _once_more(self, work: Callable[[], None]) -> None:
        try:
            work()
        except SonogridError as error:
            self._trouble = self._trouble or error
        except BehindError:
            self._summarised = None
        except Exception as error:
            self.forget()
            _ = self._runs
            uri = redact(self.place.uri)
            self._trouble = self._trouble or TrackingError(f"MLflow at {uri} refuses a write ({_in_words(error)})")

    @cached_property
    def _runs(self) -> Runs:
        """The runs in MLflow; a property that fails is computed again by the next `sync`."""
        return Runs.of_experiment(self.run.recipe.name, self.place, self.calls)

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
        begun = [(*job, state) for job, state in zip(jobs, states, strict=True) if state != "new"]
        if not begun:
            return
        times = [job_times(self.run.store, node, state) for node, _, state in begun]
        ends = [each.ended for each in times if each.ended is not None]
        status = _joint_status(states)
        ended = max(ends, default=None) if status != "RUNNING" else None
        whole = self._times_of[name] = Times(min(each.started for each in times), ended)
        self._generation_of[name] = sum(self.run.store.generation(node) for node, _ in jobs)
        for job, each in zip(begun, times, strict=True):
            self._apart(partial(self._fold, name, *job, each))
        parent = self._parent(name)
        if whole.ended_ms is not None and all(state == "done" for state in states):
            tags, figures = cost_of_all([self.run.store.done(node) for node, _ in jobs])
            self._runs.outcome(parent, tags, figures, whole.ended_ms)
        self._runs.set_status(parent, status, whole.ended_ms)
        if all(state == "done" for state in states) and self._is_mirrored(jobs):
            self._complete.add(name)

    def _is_mirrored(self, jobs: list[tuple[Node, Node]]) -> bool:
        """Whether the predictions of a condition's finished training jobs are done and copied too."""
        return all(
            self.run.store.state(prediction).state == "done"
            and self._runs.has_artifacts(node.signature, "predictions", self._result(prediction))
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
        key = condition_key(self.run, name)
        tags = {**self._tags, NOTE: self.facts.of_condition(name), "sonogrid.condition": name}
        return self._with_data(key, name, settings_of(self.run.recipe.conditions[name]), tags,
                               self._generation_of[name], self._times_of[name])  # fmt: skip

    def _with_data(
        self, key: str, name: str, params: Mapping[str, Any], tags: Mapping[str, str], generation: int, times: Times
    ) -> Mirrored:
        """The run with a key, for this generation of its results, with its dataset."""
        mirrored = self._runs.renewed(key, name, params, {**tags, GENERATION: str(generation)}, times.started_ms)
        self._runs.dataset(mirrored, *self.facts.dataset)
        return mirrored

    def _fold(self, name: str, node: Node, prediction: Node, state: JobState, times: Times) -> None:
        title = f"{name} fold {node.split}" + (f" round {node.round}" if node.round else "")
        tags = {
            **self._tags, PARENT: self._parent(name).id, NOTE: self.facts.of_fold(name, node),
            "sonogrid.condition": name, "sonogrid.fold": node.split,
        }  # fmt: skip
        about = (node.signature, title, {**settings_of(self.run.recipe.conditions[name]), "fold": node.split}, tags,
                 self.run.store.generation(node), times)  # fmt: skip
        mirrored = self._with_data(*about)
        history = self.run.store.history(node)
        rerun = state == "done" and mirrored.has_other_artifacts("train", self._result(node))
        if rerun or self._runs.has_other_points(mirrored, history):
            # Epochs were done again. MLflow can't replace points, which may differ now.
            self._runs.delete(node.signature)
            mirrored = self._with_data(*about)
        self._runs.metrics(mirrored, history)
        if state == "done" and times.ended_ms is not None:
            tags, figures = cost_of(self.run.store.done(node))
            self._runs.outcome(mirrored, tags | {STATE: state}, figures | best_of(history), times.ended_ms)
        else:
            self._runs.tag(mirrored, {STATE: state})
        self._runs.set_status(mirrored, STATUS[state], times.ended_ms)
        if state == "done":
            self._artifacts(mirrored, "train", node)
            if self.run.store.state(prediction).state == "done":
                self._artifacts(mirrored, "predictions", prediction)

    def _artifacts(self, mirrored: Mirrored, place: str, node: Node) -> None:
        result = self._result(node)
        if not mirrored.has_artifacts(place, result):  # asked first, as looking up results takes time
            folder = self.run.store.results(node)
            names = (*self.run.store.done(node).files, DoneMark.FILE)
            self._runs.artifacts(mirrored, place, result, (folder / name for name in names))

    def _result(self, node: Node) -> str:
        """A word for the result of a finished node, see `Mirrored.has_artifacts`."""
        return f"{node.signature} {self.run.store.done(node).started:.3f}"

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
        try:
            report = build_report(self.run)
            self._summarised = present
            for condition in report.conditions:
                self._apart(partial(self._scores, condition, condition.name in report.leaky))
            self._apart(partial(self._blend, report))
        finally:
            self.rest_until = time.monotonic() + REST * (time.monotonic() - began)

    def _scores(self, condition: ConditionReport, leaky: bool) -> None:
        """Scores of a whole condition."""
        scores = condition.scores()
        if condition.name not in self._times_of or all(value is None for value in scores.values()):
            return
        parent = self._parent(condition.name)
        graph, folds = self.run.graph, range(self.run.recipe.data.folds)
        trained = self._ended([graph.train[condition.name, fold] for fold in folds])
        predicted = self._predicted([condition.name])
        known = dict.fromkeys(scores, predicted)
        known |= {"cv_lwlrap": trained, "test_lwlrap": max(predicted, self._labels_since())}
        self._runs.scores(parent, scores, known)
        self._runs.tag(parent, {"sonogrid.leaky": _flag(leaky)})
        self._overview(parent, condition.name)

    def _overview(self, mirrored: Mirrored, name: str) -> None:
        """Copy pictures, tables and sounds about a condition or the blend, if they changed."""
        files = overview_files(self.run, name)
        if files:
            word = hash_of([[file.name, sha256_file(file)] for file in files])[:12]
            self._runs.artifacts(mirrored, OVERVIEW, f"overview {word}", files)

    def _inputs_of_summaries(self) -> object:
        """A value that changes with the finished predictions, the blend, the test labels and the report's page."""
        graph = self.run.graph
        ends = (*graph.predict.values(), *([graph.blend] if graph.blend else []))
        known = {prediction.signature for name in self._complete for _, prediction in self._jobs[name]}
        done = [s for s in ends if s in known or self.run.store.state(graph.nodes[s]).state == "done"]
        return self._labels_since(), self._page_since(), done

    def _labels_since(self) -> float:
        """When the test labels were passed to `sonogrid score`, in Unix seconds; 0 if they are not known."""
        path = self.run.folder / "score.json"
        return path.stat().st_mtime if path.exists() else 0.0

    def _page_since(self) -> float:
        """When the report, or what MLflow shows beside it, was written, in Unix seconds; 0 if there is none."""
        pages = (self.run.folder / PAGE, self.run.folder / OVERVIEW / MADE)
        return max((path.stat().st_mtime for path in pages if path.exists()), default=0.0)

    def _end(self, node: Node) -> float:
        """When a node was finished; 0 if it is not done."""
        if self.run.store.state(node).state != "done":
            return 0.0
        mark = self.run.store.done(node)
        return mark.started + mark.seconds

    def _ended(self, signatures: Iterable[str]) -> float:
        """When the last of some nodes was finished, in Unix seconds."""
        return max(self._end(self.run.graph.nodes[signature]) for signature in signatures)

    def _predicted(self, conditions: Iterable[str]) -> float:
        """When the last prediction of some conditions was finished, in Unix seconds."""
        folds = range(self.run.recipe.data.folds)
        return self._ended(self.run.graph.predict[name, fold] for name in conditions for fold in folds)

    def _blend(self, report: Report) -> None:
        assert self.run.graph.blend is not None
        node = self.run.graph.nodes[self.run.graph.blend]
        if self.run.store.state(node).state != "done":
            return
        mark = self.run.store.done(node)
        times = Times(mark.started, mark.started + mark.seconds)
        params = {f"blend.{key}": value for key, value in self.run.recipe.blend.model_dump(mode="json").items()}
        tags = {**self._tags, NOTE: self.facts.of_blend(), STATE: "done"}
        mirrored = self._with_data(node.signature, "blend", params, tags, self.run.store.generation(node), times)
        scores = {**report.blend.scores(), "test_lwlrap": report.test.lwlrap if report.test else None}
        ended, labels = mark.started + mark.seconds, self._labels_since()
        known = {name: max(ended, labels) if name == "test_lwlrap" else ended for name in scores}
        leaky = {"sonogrid.leaky": _flag("blend" in report.leaky)}
        for ensemble in report.ensembles:
            key = "ensemble/" + ensemble.name.replace("+", " ")  # MLflow allows no '+' in names
            scores |= {f"{key}/{score}": value for score, value in ensemble.scores().items()}
            made = self._predicted(self.run.recipe.ensembles[ensemble.name].members)
            known |= {f"{key}/oof_lwlrap": made, f"{key}/test_lwlrap": max(made, labels)}
            leaky[f"sonogrid.leaky.{key}"] = _flag(ensemble.leaky)
        self._runs.scores(mirrored, scores, known)
        assert times.ended_ms is not None
        tags, figures = cost_of(mark)
        self._runs.outcome(mirrored, tags | leaky, figures, times.ended_ms)
        self._runs.set_status(mirrored, "FINISHED", times.ended_ms)
        self._artifacts(mirrored, "blend", node)
        self._overview(mirrored, "blend")
        page = self.run.folder / PAGE
        if page.exists():
            self._runs.artifacts(mirrored, "report", f"{self._result(node)} {sha256_file(page)[:12]}", [page])


def bring_up_to_date(run: Run) -> None:
    """Mirror once, now, with pictures, tables and sounds of what is done.

    Raises:
        StoreError: a result or a mark is damaged; everything else was mirrored.
        TrackingError: MLflow can't be reached, or refuses to take something.
    """
    mirror = Mirror(run)
    with suppress(StoreError):  # the mirror comes to the same damage, and names it
        refresh_overviews(run)
    try:
        mirror.sync()
    except SonogridError:
        raise
    except Exception as error:  # whatever the client, the database or the network raises
        raise TrackingError(
            f"MLflow at {redact(mirror.place.uri)} can't be reached ({_in_words(error)}); start it and try again"
        ) from None


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {one_line(error)}"


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
