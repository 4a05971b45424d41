"""`sonogrid ui`: a run in MLflow and its searches in Optuna Dashboard, side by side on localhost."""

import threading
from contextlib import ExitStack

from rich.console import Console

from features.errors import StoreError
from orchestrator.run.bound import Run
from orchestrator.studies.dashboard import serve_dashboard
from orchestrator.studies.storage import JOURNAL, database_url
from orchestrator.tracking import Place
from orchestrator.tracking.server import serve
from orchestrator.tune import begin_studies

__all__ = ["show"]


def show(run: Run, port: int, console: Console) -> int:
    """Serve MLflow, and Optuna Dashboard if there are trials, until Ctrl-C; returns the exit code of MLflow's server.

    The dashboard takes the next free port after MLflow's.

    Raises:
        InputError: the port is in use or not allowed.
        StoreError: the database of the studies fails.
        TrackingError: MLflow can't be reached.
    """
    database = database_url()
    try:
        begin_studies(run, database)
    except StoreError as error:  # all that is not damaged can be looked at
        console.print(f"warning: {error}", style="yellow")
    with ExitStack() as at_end:
        shown = database is not None or (run.folder / JOURNAL).exists()
        if shown:
            address = at_end.enter_context(serve_dashboard(run.folder / JOURNAL, database, port + 1))
            console.print(f"Optuna Dashboard: {address}", soft_wrap=True)
        code = serve(run, port, console)
        if shown and Place.of(run.folder).uri.startswith("http"):  # MLflow is served elsewhere
            console.print("Ctrl-C ends Optuna Dashboard")
            try:
                threading.Event().wait()
            except KeyboardInterrupt:
                return code
    return code
