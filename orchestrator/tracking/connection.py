"""The connection to MLflow: where its runs are kept, and a client for it that fails soon when it is away."""

import logging
import os
import socket
from typing import Any
from urllib.parse import urlsplit

__all__ = ["connect", "experiment_id", "tracking_uri"]

DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
DATABASE_S = 5.0
"""Time in which a database has to accept a connection."""
FAIL_SOON = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""By default MLflow repeats a call for minutes while its server is away. The mirror itself tries again."""


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
    """The id of an experiment, which is created if it is missing."""
    found = client.get_experiment_by_name(name)
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
