"""The connection to MLflow: where its runs are kept, and a client that gives up quickly when
MLflow cannot be reached."""

import logging
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

__all__ = ["Calls", "WatchedClient", "connect", "experiment_id", "tracking_uri"]

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


def tracking_uri() -> str:
    """Where MLflow keeps its runs, as MLflow resolves it: by default `sqlite:///mlflow.db` in the working folder."""
    import mlflow

    uri: str = mlflow.get_tracking_uri()
    return uri


def connect() -> Any:
    """An `MlflowClient` of the tracking store.

    Raises:
        OSError: the tracking store is a database and does not answer.
    """
    for name, value in FAIL_SOON.items():
        os.environ.setdefault(name, value)
    import mlflow

    _require_database(tracking_uri())
    for noisy in ("mlflow", "alembic"):  # they log every table they create
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return mlflow.MlflowClient()


def experiment_id(client: Any, name: str) -> str:
    """The id of an experiment, which is created if it is missing, and restored if it was deleted."""
    from mlflow.exceptions import MlflowException

    try:
        return _active_experiment(client, name)
    except MlflowException:  # another process created or restored it at this moment
        return _active_experiment(client, name)


def _active_experiment(client: Any, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None and found.lifecycle_stage == "deleted":  # MLflow keeps its name, so no other can be created
        client.restore_experiment(found.experiment_id)
    identity: str = found.experiment_id if found else client.create_experiment(name, _artifacts(name))
    return identity


def _require_database(uri: str) -> None:
    """Check once whether a database answers; MLflow itself would try ten times, for minutes."""
    parts = urlsplit(uri)
    port = DATABASE_PORTS.get(parts.scheme.partition("+")[0])
    if port is not None and parts.hostname is not None:
        socket.create_connection((parts.hostname, parts.port or port), DATABASE_S).close()


def _artifacts(experiment: str) -> str | None:
    """Where artifacts go: a server decides that itself; with a database, MLflow's environment variable does."""
    root = os.environ.get("MLFLOW_DEFAULT_ARTIFACT_ROOT")
    return None if root is None or tracking_uri().startswith("http") else f"{root.rstrip('/')}/{experiment}"
