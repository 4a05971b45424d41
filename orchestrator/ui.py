"""`sonogrid ui`: MLflow's own server over the tracking store, on localhost."""

import os
import signal
import subprocess
import sys

from rich.console import Console

from orchestrator.run import Run
from orchestrator.tracking import Mirror, tracking_uri

__all__ = ["serve"]


def serve(run: Run, port: int, console: Console) -> int:
    """Bring the view up to date and serve it until Ctrl-C; gives the server's exit code.

    Where `MLFLOW_TRACKING_URI` names a server, that one is brought up to date and its address is printed.
    """
    Mirror(run).sync()
    uri = tracking_uri()
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
