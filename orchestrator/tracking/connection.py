"""The connection to MLflow: where its runs are kept, and a client that gives up quickly when
MLflow cannot be reached.

A RUN records where that is, so that it is the same from whatever folder a command is typed.
"""

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from orchestrator.redact import redact
from orchestrator.run.record import read_run_json

__all__ = ["Calls", "Place", "WatchedClient", "connect", "experiment_id"]

DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
DATABASE_S = 5.0
"""Time in which a database has to accept a connection."""
FAIL_SOON = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""By default MLflow repeats a call for minutes while its server is away. The mirror itself tries again."""
SLOWEST_UPLOAD = 100_000.0
"""Bytes per second. A slower upload counts as one that does not end."""
SERVER_ROOT = "_MLFLOW_SERVER_ARTIFACT_ROOT"
"""Environment variable in which MLflow's server tells its own processes where artifacts are."""
SQLITE, DATABASE, ARTIFACTS = "sqlite:///", "mlflow.db", "mlruns"
"""MLflow's own names."""


@dataclass(frozen=True)
class Place:
    """Where MLflow keeps its runs and their artifacts."""

    uri: str
    artifacts: str | None = None
    """The folder or URI of the artifacts; None: MLflow decides."""

    @classmethod
    def of(cls, folder: Path) -> Self:
        """That of the RUN in a folder: as the environment says, else as RUN records, else where MLflow itself looks."""
        import mlflow

        recorded = (read_run_json(folder) or {}).get("asked", {}).get("mlflow")
        if recorded is None or mlflow.is_tracking_uri_set():  # type: ignore[no-untyped-call]
            return cls._at(mlflow.get_tracking_uri())
        place = cls._at(str(recorded))
        if place.folder is not None and not place.folder.is_dir():  # RUN came from another machine
            return cls._at(f"{SQLITE}{folder.resolve() / DATABASE}")
        return place

    @classmethod
    def _at(cls, uri: str) -> Self:
        root = os.environ.get("MLFLOW_DEFAULT_ARTIFACT_ROOT")
        if uri.startswith(SQLITE):
            path = Path(unquote(uri.removeprefix(SQLITE))).absolute()
            return cls(f"{SQLITE}{path}", root or str(path.parent / ARTIFACTS))
        # A server decides itself where artifacts go.
        return cls(uri, None if uri.startswith("http") else root)

    @property
    def folder(self) -> Path | None:
        """That of the database, if it is a file."""
        return Path(self.uri.removeprefix(SQLITE)).parent if self.uri.startswith(SQLITE) else None

    def record(self) -> dict[str, str]:
        """What RUN records; nothing of a URI that holds a password."""
        return {"mlflow": self.uri} if redact(self.uri) == self.uri else {}


class Calls:
    """Which call of MLflow is under way. Another thread asks whether MLflow still answers."""

    def __init__(self) -> None:
        self._current: tuple[float, int] | None = None
        """When the call began (`time.monotonic`), and how many bytes it uploads."""

    def made(self, call: Callable[[], Any], n_bytes: int = 0) -> Any:
        """Make a call, and return what it returns."""
        self._current = (time.monotonic(), n_bytes)
        try:
            return call()
        finally:
            self._current = None

    def overdue(self, patience_s: float) -> bool:
        """Whether the call that is under way takes longer than `patience_s` and the time that its upload may take."""
        current = self._current
        if current is None:
            return False
        began, n_bytes = current
        return time.monotonic() - began > patience_s + n_bytes / SLOWEST_UPLOAD


class WatchedClient:
    """An `MlflowClient` whose calls are seen by a `Calls`."""

    def __init__(self, client: Any, calls: Calls) -> None:
        self._client, self._calls = client, calls

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        def call(*arguments: Any, **more: Any) -> Any:
            n_bytes = Path(arguments[1]).stat().st_size if name == "log_artifact" else 0
            return self._calls.made(lambda: method(*arguments, **more), n_bytes)

        return call


def connect(place: Place) -> Any:
    """An `MlflowClient` of a tracking store.

    Raises:
        OSError: the tracking store is a database and does not answer.
    """
    for name, value in FAIL_SOON.items():
        os.environ.setdefault(name, value)
    import mlflow

    _require_database(place.uri)
    for noisy in ("mlflow", "alembic"):  # they log every table they create
        logging.getLogger(noisy).setLevel(logging.WARNING)
    with _artifact_root(place.artifacts):
        return mlflow.MlflowClient(place.uri)


@contextmanager
def _artifact_root(root: str | None) -> Iterator[None]:
    """Keep MLflow from making its folder of artifacts in the working folder, as it does on opening a database."""
    if root is None or "://" in root or SERVER_ROOT in os.environ:
        yield
        return
    os.environ[SERVER_ROOT] = root
    try:
        yield
    finally:
        del os.environ[SERVER_ROOT]


def experiment_id(client: Any, name: str, place: Place) -> str:
    """The id of an experiment, which is created if it is missing, and restored if it was deleted."""
    from mlflow.exceptions import MlflowException

    try:
        return _active_experiment(client, name, place)
    except MlflowException:  # another process created or restored it at this moment
        return _active_experiment(client, name, place)


def _active_experiment(client: Any, name: str, place: Place) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None and found.lifecycle_stage == "deleted":  # MLflow keeps its name, so no other can be created
        client.restore_experiment(found.experiment_id)
    root = None if place.artifacts is None else f"{place.artifacts.rstrip('/')}/{name}"
    identity: str = found.experiment_id if found else client.create_experiment(name, root)
    return identity


def _require_database(uri: str) -> None:
    """Check once whether a database answers; MLflow itself would try ten times, for minutes."""
    parts = urlsplit(uri)
    port = DATABASE_PORTS.get(parts.scheme.partition("+")[0])
    if port is not None and parts.hostname is not None:
        socket.create_connection((parts.hostname, parts.port or port), DATABASE_S).close()
