"""The services in memory: an S3 client under the real `S3ObjectStore`, and MLflow's client under the real mirror."""

import hashlib
import io
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError, IncompleteReadError

from orchestrator.store.objects.s3 import ATTEMPTS, S3ObjectStore
from tests.simulator.faults import CallFailedError, Faults, TornError

__all__ = ["Bucket", "MlflowServer", "S3Client", "open_bucket"]


class Bucket:
    """Objects by key."""

    def __init__(self, changed: Callable[[str, bytes | None, bytes | None], None]) -> None:
        self.objects: dict[str, bytes] = {}
        self.changed = changed

    def put(self, key: str, data: bytes) -> None:
        self.changed(key, self.objects.get(key), data)
        self.objects[key] = data

    def delete(self, key: str) -> None:
        if key in self.objects:
            self.changed(key, self.objects[key], None)
            del self.objects[key]


def _error(code: str, status: int, repeated: int = 0) -> ClientError:
    about = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    about["ResponseMetadata"]["RetryAttempts"] = repeated
    return ClientError(about, "simulated")


class TornBody(io.BytesIO):
    """An answer that breaks off after half of its bytes."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data[: len(data) // 2])
        self.rest = len(data) - len(data) // 2

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        if not found and self.rest:
            raise IncompleteReadError(actual_bytes=0, expected_bytes=self.rest)
        return found


class S3Client:
    """The calls of boto3's client that `S3ObjectStore` makes; it repeats requests without an answer, as boto3 does."""

    exceptions = SimpleNamespace(ClientError=ClientError)

    def __init__(self, bucket: Bucket, faults: Faults) -> None:
        self._bucket, self._faults = bucket, faults

    def _ask(self, operation: str, key: str, do: Callable[[int], Any], *, changes: bool = False) -> Any:
        for attempt in range(ATTEMPTS):
            try:
                return self._faults.request(operation, key, lambda n=attempt: do(n), changes)
            except CallFailedError as error:
                if isinstance(error, TornError) and operation == "get":
                    raise
                self._faults.kernel.pause(self._faults.kernel.draw() * min(16.0, 2.0**attempt))
        raise EndpointConnectionError(endpoint_url="s3")

    def put_object(self, Bucket: str, Key: str, Body: bytes, IfNoneMatch: str = "") -> None:
        def put(attempt: int) -> None:
            if IfNoneMatch and Key in self._bucket.objects:
                raise _error("PreconditionFailed", 412, attempt)
            self._bucket.put(Key, Body)

        self._ask("create" if IfNoneMatch else "put", Key, put, changes=True)

    def upload_fileobj(self, file: Any, Bucket: str, Key: str) -> None:
        self.put_object(Bucket, Key, file.read())

    def head_object(self, Bucket: str, Key: str) -> None:
        if not self._ask("head", Key, lambda _: Key in self._bucket.objects):
            raise _error("404", 404)

    def get_object(self, Bucket: str, Key: str, Range: str = "bytes=0-", IfMatch: str = "") -> dict[str, Any]:
        torn = False
        try:
            data = self._ask("get", Key, lambda _: self._bucket.objects.get(Key))
        except TornError:
            torn, data = True, self._bucket.objects.get(Key)
        if data is None:
            raise _error("NoSuchKey", 404)
        tag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        if IfMatch not in ("", tag):
            raise _error("PreconditionFailed", 412)
        rest = data[int(Range.removeprefix("bytes=").removesuffix("-")) :]
        return {"ETag": tag, "Body": TornBody(rest) if torn else io.BytesIO(rest)}

    def delete_object(self, Bucket: str, Key: str) -> None:
        self._ask("delete", Key, lambda _: self._bucket.delete(Key), changes=True)

    def get_paginator(self, _: str) -> "S3Client":
        return self

    def paginate(self, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:
        def found(_: int) -> list[dict[str, Any]]:
            objects = self._bucket.objects
            return [{"Key": key, "Size": len(data)} for key, data in objects.items() if key.startswith(Prefix)]

        yield {"Contents": self._ask("list", Prefix, found)}


def open_bucket(client: S3Client) -> S3ObjectStore:
    """The real object store over a client."""
    store = S3ObjectStore.__new__(S3ObjectStore)
    store.bucket, store.prefix, store.url = "bucket", "", "s3://bucket"
    store._client = client
    return store


class Page(list[Any]):
    """A page of runs."""

    token = None


class MlflowServer:
    """MLflow's runs, and the calls of its client that the mirror makes."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._number = itertools.count()
        self.runs: dict[str, dict[str, Any]] = {}
        self.experiments: dict[str, str] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(type(self), f"do_{name}")

        def call(*arguments: Any, **more: Any) -> Any:
            return self._faults.mlflow(name, lambda: method(self, *arguments, **more))

        return call

    def do_get_experiment_by_name(self, name: str) -> Any:
        found = self.experiments.get(name)
        return None if found is None else SimpleNamespace(experiment_id=found, lifecycle_stage="active")

    def do_create_experiment(self, name: str, artifacts: str | None) -> str:
        from mlflow.exceptions import MlflowException

        if name in self.experiments:
            raise MlflowException(f"{name} exists")
        return self.experiments.setdefault(name, f"e{len(self.experiments)}")

    def do_create_run(self, experiment: str, start_time: int, tags: dict[str, str], run_name: str) -> Any:
        # Ids are random, so the one that sorts first is not the oldest.
        word = hashlib.md5(f"{next(self._number)}".encode(), usedforsecurity=False).hexdigest()
        self.runs[word] = {
            "experiment": experiment, "name": run_name, "tags": dict(tags), "params": {}, "points": {}, "artifacts": {},
            "status": "RUNNING", "start": start_time, "end": None, "deleted": False, "datasets": {},
        }  # fmt: skip
        return self._shown(word)

    def _shown(self, word: str) -> Any:
        run = self.runs[word]
        latest: dict[str, tuple[int, int, float]] = {}
        for name, step, value, when in run["points"]:
            latest[name] = max(latest.get(name, (-1, -1, 0.0)), (step, when, value))
        return SimpleNamespace(
            data=SimpleNamespace(
                tags=dict(run["tags"]), params=dict(run["params"]), metrics={name: m[2] for name, m in latest.items()}
            ),
            info=SimpleNamespace(run_id=word, status=run["status"], end_time=run["end"]),
            inputs=SimpleNamespace(
                dataset_inputs=[SimpleNamespace(dataset=SimpleNamespace(digest=digest)) for digest in run["datasets"]]
            ),
        )

    def do_get_run(self, word: str) -> Any:
        return self._shown(word)

    def do_search_runs(self, experiments: list[str], text: str, max_results: int, page_token: Any) -> Page:
        key = text.partition("'")[2].rstrip("'")
        return Page(
            self._shown(word)
            for word, run in self.runs.items()
            if run["experiment"] in experiments and not run["deleted"]
            and (not key or run["tags"].get("sonogrid.signature") == key)
        )  # fmt: skip

    def _active(self, word: str) -> dict[str, Any]:
        from mlflow.exceptions import MlflowException

        if self.runs[word]["deleted"]:
            raise MlflowException(f"run {word} must be in the 'active' state")
        return self.runs[word]

    def do_delete_run(self, word: str) -> None:
        self._active(word)["deleted"] = True

    def do_log_batch(self, word: str, metrics: Any = (), params: Any = (), tags: Any = ()) -> None:
        run = self._active(word)
        run["params"].update({param.key: param.value for param in params if param.key not in run["params"]})
        run["tags"].update({tag.key: tag.value for tag in tags})
        for metric in metrics:
            run["points"][metric.key, metric.step, metric.value, metric.timestamp] = None

    def do_log_inputs(self, word: str, datasets: list[Any]) -> None:
        found = self._active(word)["datasets"]
        for each in datasets:
            found.setdefault(each.dataset.digest, (each.dataset.name, each.dataset.source, each.dataset.profile))

    def do_get_metric_history(self, word: str, name: str) -> list[Any]:
        points = self.runs[word]["points"]
        return [SimpleNamespace(step=step, timestamp=when) for key, step, _, when in points if key == name]

    def do_update_run(self, word: str, status: str) -> None:
        self._active(word)["status"] = status

    def do_set_terminated(self, word: str, status: str, ended: int | None) -> None:
        self._active(word).update(status=status, end=ended)

    def do_log_artifact(self, word: str, path: str, place: str) -> None:
        run = self._active(word)
        run["artifacts"][f"{place}/{Path(path).name}"] = Path(path).read_bytes()

    def view(self) -> list[dict[str, Any]]:
        """What a person sees, without ids and times."""
        keys = {word: run["tags"].get("sonogrid.signature") for word, run in self.runs.items()}
        shown = []
        for run in self.runs.values():
            if not run["deleted"]:
                tags = {tag: keys.get(text, text) for tag, text in run["tags"].items()}
                points = sorted((name, step, value) for name, step, value, _ in run["points"])
                parts = {name: run[name] for name in ("name", "params", "status", "artifacts", "datasets")}
                shown.append({**parts, "tags": tags, "points": points})
        return sorted(shown, key=lambda run: (run["name"], run["tags"].get("sonogrid.signature", "")))
