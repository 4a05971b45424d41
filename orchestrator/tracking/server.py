"""`sonogrid ui`: MLflow's own server for the tracking store, on localhost."""

import os
import signal
import socket
import subprocess
import sys

from rich.console import Console

from features.errors import InputError, StoreError
from orchestrator.redact import redact
from orchestrator.run.bound import Run
from orchestrator.tracking.connection import Place, connect, experiment_id
from orchestrator.tracking.mirror import bring_up_to_date
from orchestrator.tracking.shared_views import CURVES, TABLE, save_views, view_url

__all__ = ["serve"]

QUIET = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONWARNINGS": "ignore",
         "MLFLOW_LOGGING_LEVEL": "WARNING"}  # fmt: skip
"""Environment of the server, unless the user's says otherwise: no job queue, which one user does not need, no
telemetry, which also opens a window on the page, and no notes to the server's developers."""


def _require_free(port: int) -> None:
    """Check that a port is free; the server itself would hide the error in its log and exit with 0."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError as error:
            raise InputError(f"--port {port} can't be used ({error.strerror}): choose another one") from None


def serve(run: Run, port: int, console: Console) -> int:
    """Bring MLflow up to date and serve it until Ctrl-C; returns the exit code of the server.

    If `MLFLOW_TRACKING_URI` names a server, that one is brought up to date and none is started. Damaged results are
    left out, with a warning.

    Raises:
        InputError: the port is in use or not allowed.
        TrackingError: MLflow can't be reached.
    """
    place = Place.of(run.folder)
    try:
        bring_up_to_date(run)
    except StoreError as error:  # all that is not damaged can be looked at
        console.print(f"warning: {error}", style="yellow")
    client = connect(place)
    experiment = experiment_id(client, run.recipe.name, place)
    save_views(client, experiment)
    remote = place.uri.startswith("http")
    if remote:
        console.print("MLflow is up to date on the server that MLFLOW_TRACKING_URI names:")
    else:
        _require_free(port)
        console.print(f"experiment {run.recipe.name}; Ctrl-C ends the server")
    server_url = redact(place.uri) if remote else f"http://127.0.0.1:{port}"
    for view, about in {TABLE: "runs", CURVES: "curves"}.items():
        console.print(f"{about:<8}{view_url(server_url, experiment, view)}", soft_wrap=True)
    if remote:
        return 0
    # One worker is enough for one user, and a line per request is of no use to them.
    command = [
        sys.executable, "-W", "ignore::DeprecationWarning", "-m", "mlflow", "server", "--host", "127.0.0.1",
        "--port", str(port), "--workers", "1", "--uvicorn-opts", "--log-level warning",
    ]  # fmt: skip
    # A process that a shell starts in the background ignores SIGINT; SIGTERM must not leave the server behind either.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    # The URI may hold a password, so it must not appear in the list of processes.
    environment = {**QUIET, **os.environ, "MLFLOW_BACKEND_STORE_URI": place.uri}
    server = subprocess.Popen(command, env=environment, cwd=place.folder)  # it makes a folder for artifacts
    try:
        return server.wait()
    except KeyboardInterrupt:
        server.terminate()
        server.wait()
        return 0
