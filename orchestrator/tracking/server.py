"""`sonogrid ui`: MLflow's own server over the tracking store, on localhost."""

import os
import signal
import socket
import subprocess
import sys

from rich.console import Console

from features.errors import InputError
from orchestrator.run.bound import Run
from orchestrator.tracking.mirror import bring_up_to_date, tracking_uri

__all__ = ["serve"]


def _require_free(port: int) -> None:
    """The server would say it in a page of its own log, and end as if all was well."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError as error:
            raise InputError(f"--port {port} can't be used ({error.strerror}): choose another one") from None


def serve(run: Run, port: int, console: Console) -> int:
    """Bring the view up to date and serve it until Ctrl-C; gives the server's exit code.

    Where `MLFLOW_TRACKING_URI` names a server, that one is brought up to date and its address is printed.
    """
    bring_up_to_date(run)
    uri = tracking_uri()
    if not uri.startswith("http"):
        _require_free(port)
    if uri.startswith("http"):
        console.print("MLflow is up to date on the server that MLFLOW_TRACKING_URI names", highlight=False)
        return 0
    console.print(f"http://127.0.0.1:{port}  experiment {run.recipe.name}; Ctrl-C ends it", highlight=False)
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    # A shell that starts us in the background has SIGINT ignored; SIGTERM must not leave the server behind either.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    # One worker and no job queue: this serves one person a view. The URI may hold a password, which is nothing for the
    # list of processes.
    environment = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **os.environ, "MLFLOW_BACKEND_STORE_URI": uri}
    server = subprocess.Popen(command, env=environment)
    try:
        return server.wait()
    except KeyboardInterrupt:
        server.terminate()
        server.wait()
        return 0
