"""The MLflow runs of one experiment. Every write is remembered, in MLflow itself, and never made twice."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from orchestrator.tracking.connection import connect, experiment_id

__all__ = ["Mirrored", "RunStatus", "Runs"]

RunStatus = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]
"""MLflow's words for the status of a run."""

KEY = "sonogrid.signature"
"""Tag by which a run is found again: the signature of its work."""
ARTIFACTS = "sonogrid.artifacts"
SCORE = "sonogrid.score"
BATCH = 900
"""MLflow takes at most 1,000 metrics per call."""
PARAMS = 100
"""MLflow takes at most this many parameters per call."""
LONGEST_VALUE = 500
NOT_METRICS = frozenset({"epoch", "time"})


@dataclass
class Mirrored:
    """A run in MLflow, as far as it is known here."""

    id: str
    tags: dict[str, str]
    status: str
    step: int | None = None
    """The last epoch that has metrics; None until MLflow was asked."""

    def has_artifacts(self, place: str, signature: str) -> bool:
        """Whether the files of a node were copied to a place."""
        return self.tags.get(f"{ARTIFACTS}.{place}") == signature


class Runs:
    """The runs of an experiment, by the key of their work."""

    def __init__(self, client: Any, experiment: str) -> None:
        self._client, self._experiment = client, experiment
        self._by_key: dict[str, Mirrored] = {}

    @classmethod
    def of_experiment(cls, name: str) -> "Runs":
        """Connect to MLflow, and read the runs of an experiment, which is created if it is missing.

        Raises:
            Exception: whatever MLflow raises if it cannot be reached.
        """
        client = connect()
        runs = cls(client, experiment_id(client, name))
        runs._read()
        return runs

    def _read(self) -> None:
        token = None
        while True:
            page = self._client.search_runs([self._experiment], max_results=1000, page_token=token)
            for found in page:
                key = found.data.tags.get(KEY)
                if key:
                    self._by_key[key] = Mirrored(found.info.run_id, dict(found.data.tags), found.info.status)
            token = page.token
            if not token:
                return

    def __getitem__(self, key: str) -> Mirrored:
        return self._by_key[key]

    def ensure(self, key: str, name: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> Mirrored:
        """The run with a key; if it is missing, it is created with a name, parameters and tags."""
        if key not in self._by_key:
            from mlflow.entities import Param

            tags = {KEY: key, **tags}
            created = self._client.create_run(self._experiment, run_name=name, tags=tags)
            values = [Param(k, str(v)[:LONGEST_VALUE]) for k, v in params.items()]
            for start in range(0, len(values), PARAMS):
                self._client.log_batch(created.info.run_id, params=values[start : start + PARAMS])
            self._by_key[key] = Mirrored(created.info.run_id, dict(tags), "RUNNING")
        return self._by_key[key]

    def tag(self, run: Mirrored, key: str, value: str) -> None:
        """Set a tag."""
        if run.tags.get(key) != value:
            self._client.set_tag(run.id, key, value)
            run.tags[key] = value

    def set_status(self, run: Mirrored, status: RunStatus) -> None:
        """Set the status; all but RUNNING also set the time at which the run ended."""
        if run.status == status:
            return
        if status == "RUNNING":
            self._client.update_run(run.id, status=status)
        else:
            self._client.set_terminated(run.id, status)
        run.status = status

    def metrics(self, run: Mirrored, history: Sequence[Mapping[str, Any]]) -> None:
        """Add the epochs of a history that MLflow does not have yet, one point per metric and epoch."""
        from mlflow.entities import Metric

        if run.step is None:
            logged = self._client.get_metric_history(run.id, "lwlrap") if history else []
            run.step = max((metric.step for metric in logged), default=0)
        last = run.step
        new = [record for record in history if record["epoch"] > last]
        size = max(1, BATCH // max((len(record) for record in new), default=1))
        for start in range(0, len(new), size):
            part = new[start : start + size]
            points = [
                Metric(key, float(value), int(record["time"] * 1000), int(record["epoch"]))
                for record in part
                for key, value in record.items()
                if key not in NOT_METRICS
            ]
            self._client.log_batch(run.id, metrics=points)
            run.step = int(part[-1]["epoch"])

    def artifacts(self, run: Mirrored, place: str, signature: str, files: Iterable[Path]) -> None:
        """Copy the files of a finished node, once."""
        if not run.has_artifacts(place, signature):
            for path in files:
                self._client.log_artifact(run.id, str(path), place)
            # Set last, so that an interrupted copy is made again.
            self.tag(run, f"{ARTIFACTS}.{place}", signature)

    def scores(self, run: Mirrored, scores: Mapping[str, float | None]) -> None:
        """Add one point for each score that exists; a tag remembers its value."""
        for name, value in scores.items():
            tag = f"{SCORE}.{name}"
            if value is not None and run.tags.get(tag) != repr(value):
                self._client.log_metric(run.id, name, value)
                self.tag(run, tag, repr(value))
