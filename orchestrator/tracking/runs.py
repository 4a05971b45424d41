"""The MLflow runs of one experiment. What MLflow already has is never written again.

Every write can be the last one of a killed process, and several processes may mirror at the same time. So a run is
completed whenever it is looked up, and of several runs with one key all but one are deleted: the one whose id sorts
first stays, so that all processes choose the same.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from features.files import hash_of
from orchestrator.run.bound import Run
from orchestrator.tracking.connection import Calls, Place, WatchedClient, connect, experiment_id

__all__ = ["GENERATION", "PARENT", "BehindError", "Mirrored", "RunStatus", "Runs", "condition_key"]

RunStatus = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]
"""MLflow's words for the status of a run."""

KEY = "sonogrid.signature"
"""Tag by which a run is found again: the signature of its work."""
ARTIFACTS = "sonogrid.artifacts"
GENERATION = "sonogrid.generation"
"""Tag: the generation of results that the run shows, of a condition the sum over its folds."""
CONTEXT = "mlflow.data.context"
"""MLflow's own tag: what a dataset is used for."""
PARENT = "mlflow.parentRunId"
"""MLflow's own tag that makes a run the child of another."""
BATCH = 900
"""MLflow takes at most 1,000 metrics per call."""
PARAMS = 100
"""MLflow takes at most this many parameters per call."""
LONGEST_VALUE = 500
NOT_METRICS = frozenset({"epoch", "time"})


def _ms(record: Mapping[str, Any]) -> int:
    """When an epoch ended, in Unix milliseconds."""
    return int(record["time"] * 1000)


def condition_key(run: Run, name: str) -> str:
    """The key of the run of a condition: a hash of its training jobs."""
    return hash_of({"condition": [run.graph.train[name, fold] for fold in range(run.recipe.data.folds)]})


class BehindError(Exception):
    """MLflow shows newer results than this process has seen: another one was quicker to mirror them."""


@dataclass
class Mirrored:
    """A run in MLflow, as far as it is known here."""

    id: str
    tags: dict[str, str]
    params: set[str]
    """Names of its parameters; MLflow never changes their values."""
    latest: dict[str, float]
    """Metric -> its last value."""
    status: str
    ended_ms: int | None
    """When it ended; MLflow keeps this when a run starts again."""
    datasets: set[str]
    """Digests of the datasets that it notes as its inputs."""
    step: int | None = None
    """The last epoch that has metrics; None until MLflow was asked."""
    step_ms: frozenset[int] = frozenset()
    """When that epoch ended, in Unix milliseconds. More than one time: two attempts were mirrored together."""

    @classmethod
    def of(cls, run: Any) -> Self:
        """What is known of an MLflow `Run`."""
        data, info, inputs = run.data, run.info, run.inputs
        digests = {each.dataset.digest for each in inputs.dataset_inputs} if inputs else set()
        return cls(
            info.run_id, dict(data.tags), set(data.params), dict(data.metrics), info.status, info.end_time, digests
        )

    def has_artifacts(self, place: str, result: str) -> bool:
        """Whether the files of a result were copied to a place.

        Args:
            place: the artifacts' folder.
            result: the signature of its node, a blank, and a word that differs if the node is computed again.
        """
        # Older versions noted the signature alone.
        return self.tags.get(f"{ARTIFACTS}.{place}") in (result, result.partition(" ")[0])

    def has_other_artifacts(self, place: str, result: str) -> bool:
        """Whether the files of an earlier result of the node were copied to a place."""
        return f"{ARTIFACTS}.{place}" in self.tags and not self.has_artifacts(place, result)


class Runs:
    """The runs of an experiment, by the key of their work."""

    def __init__(self, client: WatchedClient, experiment: str) -> None:
        self._client, self._experiment = client, experiment
        self._by_key: dict[str, Mirrored] = {}

    @classmethod
    def of_experiment(cls, name: str, place: Place, calls: Calls | None = None) -> "Runs":
        """Connect to MLflow, and read the runs of an experiment, which is created if it is missing.

        Raises:
            Exception: whatever MLflow raises if it cannot be reached.
        """
        calls = calls or Calls()
        client = WatchedClient(calls.made(lambda: connect(place)), calls)
        runs = cls(client, experiment_id(client, name, place))
        found: dict[str, list[Any]] = {}
        for run in runs._search():
            key = run.data.tags.get(KEY)
            if key:
                found.setdefault(key, []).append(run)
        runs._by_key = {key: runs._one_of(same) for key, same in found.items()}
        return runs

    def _search(self, filter_string: str = "") -> list[Any]:
        found: list[Any] = []
        token = None
        while True:
            page = self._client.search_runs([self._experiment], filter_string, max_results=1000, page_token=token)
            found += page
            token = page.token
            if not token:
                return found

    def _with_key(self, key: str) -> Mirrored | None:
        found = self._search(f"tags.`{KEY}` = '{key}'")
        return self._one_of(found) if found else None

    def _one_of(self, same: Sequence[Any]) -> Mirrored:
        """The run that stays of those with one key; the others are deleted."""
        stays, *doubles = sorted(same, key=lambda run: str(run.info.run_id))
        for double in doubles:
            self._client.delete_run(double.info.run_id)
        return Mirrored.of(stays)

    def __getitem__(self, key: str) -> Mirrored:
        return self._by_key[key]

    def has_artifacts(self, key: str, place: str, result: str) -> bool:
        """Whether the run with a key is there and has the files of a result."""
        run = self._by_key.get(key)
        return run is not None and run.has_artifacts(place, result)

    def delete(self, key: str) -> None:
        """Delete the run with a key."""
        self._client.delete_run(self._by_key[key].id)
        del self._by_key[key]

    def ensure(
        self, key: str, name: str, params: Mapping[str, Any], tags: Mapping[str, str], started_ms: int
    ) -> Mirrored:
        """The run with a key, with all its parameters and tags; it is created if it is missing.

        Args:
            key: the signature of its work.
            name: its name, if it is created.
            params: its parameters; those that it has keep their values.
            tags: its tags; those that it has keep their values, but for a parent that was deleted.
            started_ms: when its work began, in Unix milliseconds, if it is created.
        """
        run = self._by_key.get(key) or self._with_key(key)
        if run is None:
            created = self._client.create_run(
                self._experiment, start_time=started_ms, tags={KEY: key, **tags}, run_name=name
            )
            # Another process may have created one since the search.
            run = self._with_key(key) or Mirrored.of(created)
        self._by_key[key] = run
        self._params(run, {name: value for name, value in params.items() if name not in run.params})
        self.tag(run, {tag: value for tag, value in tags.items() if tag not in run.tags})
        if PARENT in tags and run.tags[PARENT] not in {known.id for known in self._by_key.values()}:
            self.tag(run, {PARENT: tags[PARENT]})
        return run

    def renewed(
        self, key: str, name: str, params: Mapping[str, Any], tags: Mapping[str, str], started_ms: int
    ) -> Mirrored:
        """The same, but a run that shows an earlier generation of results is replaced: MLflow never changes points.

        Raises:
            BehindError: the run shows a later generation.
        """
        run = self.ensure(key, name, params, tags, started_ms)
        shown, generation = int(run.tags[GENERATION]), int(tags[GENERATION])
        if shown > generation:
            raise BehindError(key)
        if shown < generation:
            self.delete(key)
            run = self.ensure(key, name, params, tags, started_ms)
        return run

    def _params(self, run: Mirrored, params: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        values = [Param(key, str(value)[:LONGEST_VALUE]) for key, value in params.items()]
        for start in range(0, len(values), PARAMS):
            self._client.log_batch(run.id, params=values[start : start + PARAMS])
        run.params |= params.keys()

    def tag(self, run: Mirrored, tags: Mapping[str, str]) -> None:
        """Set tags."""
        from mlflow.entities import RunTag

        new = {key: value for key, value in tags.items() if run.tags.get(key) != value}
        if new:
            self._client.log_batch(run.id, tags=[RunTag(key, value) for key, value in new.items()])
            run.tags.update(new)

    def dataset(self, run: Mirrored, name: str, digest: str, source: str, profile: str) -> None:
        """Note the dataset that a run learned from, once.

        Args:
            run: the run.
            name: of the dataset.
            digest: a word for its content.
            source: where it lies.
            profile: what is in it, as JSON.
        """
        from mlflow.entities import Dataset, DatasetInput, InputTag

        if digest not in run.datasets:
            data = Dataset(name, digest, "local", source, profile=profile)
            self._client.log_inputs(run.id, datasets=[DatasetInput(data, [InputTag(CONTEXT, "training")])])
            run.datasets.add(digest)

    def outcome(self, run: Mirrored, tags: Mapping[str, str], figures: Mapping[str, float], known_ms: int) -> None:
        """Note what a piece of work came to, in one call.

        Args:
            run: the run.
            tags: tags to set.
            figures: metrics that never change; those that the run has are left alone.
            known_ms: when they became known, in Unix milliseconds. MLflow drops a point that it has, so two processes
                add one point together.
        """
        from mlflow.entities import Metric, RunTag

        new_tags = {key: value for key, value in tags.items() if run.tags.get(key) != value}
        new = {key: value for key, value in figures.items() if key not in run.latest}
        if new or new_tags:
            self._client.log_batch(
                run.id,
                metrics=[Metric(key, value, known_ms, 0) for key, value in new.items()],
                tags=[RunTag(key, value) for key, value in new_tags.items()],
            )
            run.tags.update(new_tags)
            run.latest.update(new)

    def set_status(self, run: Mirrored, status: RunStatus, ended_ms: int | None = None) -> None:
        """Set the status and, unless it is RUNNING, when the work ended, in Unix milliseconds; by default now."""
        if status == "RUNNING":
            if run.status != status:
                self._client.update_run(run.id, status=status)
        elif run.status != status or ended_ms not in (None, run.ended_ms):
            self._client.set_terminated(run.id, status, ended_ms)
            run.ended_ms = ended_ms
        run.status = status

    def metrics(self, run: Mirrored, history: Sequence[Mapping[str, Any]]) -> None:
        """Add the epochs of a history that MLflow does not have yet, one point per metric and epoch."""
        from mlflow.entities import Metric

        if not history:
            return
        last = self._last_step(run)
        new = [record for record in history if record["epoch"] > last]
        size = max(1, BATCH // max((len(record) for record in new), default=1))
        for start in range(0, len(new), size):
            part = new[start : start + size]
            points = [
                Metric(key, float(value), _ms(record), int(record["epoch"]))
                for record in part
                for key, value in record.items()
                if key not in NOT_METRICS
            ]
            self._client.log_batch(run.id, metrics=points)
            run.step, run.step_ms = int(part[-1]["epoch"]), frozenset({_ms(part[-1])})

    def has_other_points(self, run: Mirrored, history: Sequence[Mapping[str, Any]]) -> bool:
        """Whether a run shows epochs of an attempt that another one did again, as its checkpoint was lost or older."""
        if not history:
            return False
        last = self._last_step(run)
        return any(run.step_ms != {_ms(record)} for record in history if record["epoch"] == last)

    def _last_step(self, run: Mirrored) -> int:
        if run.step is None:
            logged = self._client.get_metric_history(run.id, "lwlrap")
            run.step = max((metric.step for metric in logged), default=0)
            run.step_ms = frozenset(metric.timestamp for metric in logged if metric.step == run.step)
        return run.step

    def artifacts(self, run: Mirrored, place: str, result: str, files: Iterable[Path]) -> None:
        """Copy the files of a result, see `Mirrored.has_artifacts`, once."""
        if not run.has_artifacts(place, result):
            for path in files:
                self._client.log_artifact(run.id, str(path), place)
            # Set last, so that an interrupted copy is made again.
            self.tag(run, {f"{ARTIFACTS}.{place}": result})

    def scores(self, run: Mirrored, scores: Mapping[str, float | None], known: Mapping[str, float]) -> None:
        """Add one point for each score that exists and is new.

        Args:
            run: the run.
            scores: name -> score.
            known: name -> when the score became known, in Unix seconds. MLflow drops a point that it has, so two
                processes that see the same time add one point together. A score that replaces another is of now, to be
                the last one.
        """
        from mlflow.entities import Metric

        there = {name: value for name, value in scores.items() if value is not None}
        if there.items() <= run.latest.items():
            return
        run.latest = dict(self._client.get_run(run.id).data.metrics)  # another process may have added them
        new = {name: value for name, value in there.items() if run.latest.get(name) != value}
        if new:
            since = {name: time.time() if name in run.latest else known[name] for name in new}
            points = [Metric(name, value, int(since[name] * 1000), 0) for name, value in new.items()]
            self._client.log_batch(run.id, metrics=points)
            run.latest.update(new)
