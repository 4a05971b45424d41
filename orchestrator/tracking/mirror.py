"""MLflow as a view of the store: what is missing there is added, what is there is left alone.

An experiment a grid; a parent run a condition, a child run a fold, one run for the blend. Runs are found again by a tag
that holds the signature of the work, metrics by their last step, so that mirroring twice, from a later launch or from
another machine, adds no second run and no second point. Workers never talk to MLflow: an outage delays this view and
nothing else.
"""

import logging
import os
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from features.errors import SonogridError, TrackingError
from features.files import hash_of
from orchestrator.grids.load import settings_of
from orchestrator.redact import one_line, redact
from orchestrator.run.bound import Run
from orchestrator.store.marks import DoneMark
from orchestrator.store.node import Node
from orchestrator.views.report import build_report
from orchestrator.views.report_types import Report

__all__ = ["Mirror", "MirrorThread", "bring_up_to_date", "tracking_uri"]

KEY = "sonogrid.signature"
ARTIFACTS = "sonogrid.artifacts"
BATCH = 900
"""MLflow takes at most 1,000 metrics a call."""
LONGEST_VALUE = 500
PATIENCE_S = 60.0
"""At a launch's end, for a server that does not answer."""
DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
DATABASE_S = 5.0
"""In which a database has to take a connection."""
OWN_FIELDS = frozenset({"epoch", "time"})


def tracking_uri() -> str:
    """Where MLflow keeps its runs: what MLflow resolves, by default `sqlite:///mlflow.db` in the working folder."""
    import mlflow

    uri: str = mlflow.get_tracking_uri()
    return uri


def _require_database(uri: str) -> None:
    """Ask once whether a tracking store that is a database is there: MLflow itself would ask ten times, for minutes.

    Raises:
        OSError: it does not answer.
    """
    parts = urlsplit(uri)
    port = DATABASE_PORTS.get(parts.scheme.partition("+")[0])
    if port is not None and parts.hostname is not None:
        socket.create_connection((parts.hostname, parts.port or port), DATABASE_S).close()


class Mirror:
    """Brings MLflow up to date with the store of a run."""

    def __init__(self, run: Run) -> None:
        # With the server away a call would otherwise be repeated for minutes; the mirror itself tries again.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        self.run = run
        self._client: Any = None
        self._experiment = ""
        self._ids: dict[str, str] = {}
        self._tags: dict[str, dict[str, str]] = {}
        self._status: dict[str, str] = {}
        self._steps: dict[str, int] = {}
        self._complete: set[str] = set()
        """Conditions that have nothing new: of thousands of jobs most are done most of the time."""
        self._summarised: object = None
        self.rest_until = 0.0
        """When (`time.monotonic`) summaries may be computed again."""
        self._revision = _git_revision()

    def sync(self, states: Mapping[str, str] | None = None) -> None:
        """Add everything that is new in the store.

        Args:
            states: what a driver knows better than the store: node signature -> 'running' or 'killed'.

        Raises:
            Exception: whatever MLflow raises when it can't be reached.
        """
        self._connect()
        states = states or {}
        for name, jobs in self._jobs.items():
            if name in self._complete and not any(node.signature in states for job in jobs for node in job):
                continue
            self._complete.discard(name)
            nodes = [node for node, _ in jobs]
            found = {node.signature: self._state(node, states) for node in nodes}
            touched = [job for job in jobs if found[job[0].signature] != "new"]
            if touched:
                parent = self._parent(name, nodes[: self.run.recipe.data.folds])
                for node, prediction in touched:
                    self._fold(name, node, prediction, parent, found[node.signature])
                self._set_status(parent, _joint_status(list(found.values())))
            if set(found.values()) == {"done"} and self._is_mirrored(jobs):
                self._complete.add(name)
        self._summaries()

    @cached_property
    def _jobs(self) -> dict[str, list[tuple[Node, Node]]]:
        """Condition -> its trainings with their predictions."""
        nodes, graph = self.run.graph.nodes, self.run.graph
        return {
            name: [(nodes[train], nodes[predict]) for train, predict in graph.jobs_of(name)]
            for name in self.run.recipe.conditions
        }

    def _is_mirrored(self, jobs: list[tuple[Node, Node]]) -> bool:
        """Whether the predictions of a condition's finished trainings are done and copied too."""
        return all(
            self._tags[self._ids[node.signature]].get(f"{ARTIFACTS}.predictions") == prediction.signature
            and self.run.store.state(prediction).state == "done"
            for node, prediction in jobs
        )

    def _state(self, node: Node, states: Mapping[str, str]) -> str:
        state = self.run.store.state(node).state
        if state in ("done", "failed"):
            return state
        if node.signature in states or state == "new":
            return states.get(node.signature, "new")
        return "running" if self.run.store.is_alive(node) else "killed"

    def _connect(self) -> None:
        """Experiment and existing runs, once."""
        if self._client is not None:
            return
        import mlflow

        _require_database(tracking_uri())
        for noisy in ("mlflow", "alembic"):  # they announce every table they make
            logging.getLogger(noisy).setLevel(logging.WARNING)
        client = mlflow.MlflowClient()
        name = self.run.recipe.name
        experiment = client.get_experiment_by_name(name)
        self._experiment = experiment.experiment_id if experiment else client.create_experiment(name, _artifacts(name))
        token = None
        while True:
            page = client.search_runs([self._experiment], max_results=1000, page_token=token)
            for found in page:
                key = found.data.tags.get(KEY)
                if key:
                    self._ids[key] = found.info.run_id
                    self._tags[found.info.run_id] = dict(found.data.tags)
                    self._status[found.info.run_id] = found.info.status
            token = page.token
            if not token:
                break
        self._client = client

    def _ensure(self, key: str, name: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> str:
        """The run with a key, made with its params and tags if it isn't there."""
        if key not in self._ids:
            from mlflow.entities import Param

            base = {KEY: key, "sonogrid.grid": self.run.recipe.name, "sonogrid.revision": self._revision}
            made = self._client.create_run(self._experiment, run_name=name, tags={**base, **tags})
            identity = made.info.run_id
            values = [Param(k, str(v)[:LONGEST_VALUE]) for k, v in params.items()]
            for start in range(0, len(values), 100):
                self._client.log_batch(identity, params=values[start : start + 100])
            self._ids[key], self._tags[identity], self._status[identity] = identity, {**base, **tags}, "RUNNING"
        return self._ids[key]

    def _parent(self, name: str, nodes: list[Node]) -> str:
        key = hash_of({"condition": [node.signature for node in nodes]})
        return self._ensure(key, name, settings_of(self.run.recipe.conditions[name]), {"sonogrid.condition": name})

    def _fold(self, name: str, node: Node, prediction: Node, parent: str, state: str) -> None:
        tags = {"mlflow.parentRunId": parent, "sonogrid.condition": name, "sonogrid.fold": node.split}
        params = {**settings_of(self.run.recipe.conditions[name]), "fold": node.split}
        identity = self._ensure(node.signature, f"{name} fold {node.split}", params, tags)
        self._metrics(identity, self.run.store.history(node))
        self._tag(identity, "sonogrid.state", state)
        if state == "done":
            mark = self.run.store.done(node)
            for package, version in mark.versions.items():
                self._tag(identity, f"sonogrid.version.{package}", version)
            self._artifacts(identity, "train", node)
            if self.run.store.state(prediction).state == "done":
                self._artifacts(identity, "predictions", prediction)
        self._set_status(identity, {"done": "FINISHED", "failed": "FAILED", "killed": "KILLED"}.get(state, "RUNNING"))

    def _metrics(self, identity: str, history: list[dict[str, Any]]) -> None:
        from mlflow.entities import Metric

        if identity not in self._steps:
            logged = self._client.get_metric_history(identity, "lwlrap") if history else []
            self._steps[identity] = max((metric.step for metric in logged), default=0)
        new = [record for record in history if record["epoch"] > self._steps[identity]]
        width = max((len(record) for record in new), default=1)
        for start in range(0, len(new), max(1, BATCH // width)):
            part = new[start : start + max(1, BATCH // width)]
            points = [
                Metric(key, float(value), int(record["time"] * 1000), int(record["epoch"]))
                for record in part
                for key, value in record.items()
                if key not in OWN_FIELDS
            ]
            self._client.log_batch(identity, metrics=points)
            self._steps[identity] = int(part[-1]["epoch"])

    def _artifacts(self, identity: str, place: str, node: Node) -> None:
        """Copy a finished node's files, once; the tag is set last, so that an interrupted copy is done again."""
        tag = f"{ARTIFACTS}.{place}"
        if self._tags[identity].get(tag) != node.signature:
            folder = self.run.store.results(node)
            for name in (*self.run.store.done(node).files, DoneMark.FILE):
                self._client.log_artifact(identity, str(folder / name), place)
            self._tag(identity, tag, node.signature)

    def _tag(self, identity: str, key: str, value: str) -> None:
        if self._tags[identity].get(key) != value:
            self._client.set_tag(identity, key, value)
            self._tags[identity][key] = value

    def _set_status(self, identity: str, status: str) -> None:
        if self._status[identity] == status:
            return
        if status == "RUNNING":
            self._client.update_run(identity, status=status)
        else:
            self._client.set_terminated(identity, status)
        self._status[identity] = status

    def _summaries(self) -> None:
        """Scores of whole conditions and of the blend; computed anew only when a prediction or a score was added.

        That takes longer the more there is: the pause after it is nine times as long.
        """
        if time.monotonic() < self.rest_until:
            return
        score = self.run.folder / "score.json"
        scored = score.stat().st_mtime_ns if score.exists() else None
        graph = self.run.graph
        ends = (*graph.predict.values(), *([graph.blend] if graph.blend else []))
        known = {prediction.signature for name in self._complete for _, prediction in self._jobs[name]}
        done = [s for s in ends if s in known or self.run.store.state(graph.nodes[s]).state == "done"]
        present = (scored, done)
        if present == self._summarised:
            return
        began = time.monotonic()
        report = build_report(self.run)
        for condition in report.conditions:
            name = condition.name
            nodes = [
                self.run.graph.nodes[self.run.graph.train[name, fold]] for fold in range(self.run.recipe.data.folds)
            ]
            scores = condition.scores()
            if any(value is not None for value in scores.values()):
                parent = self._parent(name, nodes)
                self._scores(parent, scores)
                self._tag(parent, "sonogrid.leaky", str(name in report.leaky).lower())
        self._blend(report)
        self._summarised = present
        self.rest_until = time.monotonic() + 9 * (time.monotonic() - began)

    def _blend(self, report: Report) -> None:
        assert self.run.graph.blend is not None
        node = self.run.graph.nodes[self.run.graph.blend]
        if self.run.store.state(node).state != "done":
            return
        params = {f"blend.{key}": value for key, value in self.run.recipe.blend.model_dump(mode="json").items()}
        identity = self._ensure(node.signature, "blend", params, {"sonogrid.state": "done"})
        self._scores(identity, {**report.blend.scores(), "test_lwlrap": report.test.lwlrap if report.test else None})
        self._tag(identity, "sonogrid.leaky", str("blend" in report.leaky).lower())
        for ensemble in report.ensembles:
            key = "ensemble/" + ensemble.name.replace("+", " ")  # MLflow has no '+' in names
            self._scores(identity, {f"{key}/{score}": value for score, value in ensemble.scores().items()})
            self._tag(identity, f"sonogrid.leaky.{key}", str(ensemble.leaky).lower())
        self._artifacts(identity, "blend", node)
        self._set_status(identity, "FINISHED")

    def _scores(self, identity: str, scores: Mapping[str, float | None]) -> None:
        """One point a score; a tag remembers which value was logged."""
        for key, value in scores.items():
            tag = f"sonogrid.score.{key}"
            if value is not None and self._tags[identity].get(tag) != repr(value):
                self._client.log_metric(identity, key, value)
                self._tag(identity, tag, repr(value))


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


def _joint_status(states: list[str]) -> str:
    if all(state == "done" for state in states):
        return "FINISHED"
    if "running" in states:
        return "RUNNING"
    return "FAILED" if "failed" in states else "KILLED" if "killed" in states else "RUNNING"


def _artifacts(experiment: str) -> str | None:
    """Where an experiment's artifacts go; a server decides that itself, for a database MLflow's variable says it."""
    root = os.environ.get("MLFLOW_DEFAULT_ARTIFACT_ROOT")
    return None if root is None or tracking_uri().startswith("http") else f"{root.rstrip('/')}/{experiment}"


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


class MirrorThread:
    """Mirrors in the background while a grid runs; an outage is waited out."""

    def __init__(self, run: Run, states: dict[str, str], every_s: float = 5.0) -> None:
        self.mirror = Mirror(run)
        self.states = states
        self.every_s = every_s
        self.trouble: str | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="mlflow-mirror", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def _loop(self) -> None:
        while not self._ending.wait(self.every_s):
            self._try()

    def _try(self) -> bool:
        try:
            self.mirror.sync(dict(self.states))
        except Exception as error:
            # Whatever the client, the database or the network raises: the view is late, nothing more.
            self.trouble = f"{type(error).__name__}: {one_line(error)}"
            return False
        self.trouble = None
        return True

    def _last_try(self) -> bool:
        self.mirror.rest_until = 0.0
        return self._try()

    def finish(self) -> str | None:
        """Stop, after a last mirroring; gives what is wrong if MLflow could not be reached."""
        self._ending.set()
        self._thread.join(PATIENCE_S)
        if self._thread.is_alive():
            return self.trouble or "MLflow does not answer"
        deadline = time.monotonic() + PATIENCE_S / 2
        while not self._last_try() and time.monotonic() < deadline:
            time.sleep(1.0)
        return self.trouble
