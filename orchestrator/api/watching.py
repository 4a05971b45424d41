"""What a run is doing, in a terminal and in MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.api.given import Place, open_run, quiet

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.views.status import Status

__all__ = ["logs", "status", "sync", "ui"]


def status(run: Place) -> Status:
    """The state of every job, read from the store only.

    Raises:
        InputError: there is no run in the folder.
        StoreError: run.json is damaged, or the store is gone.
    """
    from orchestrator.run.record import RecordedRun
    from orchestrator.views.status import read_status

    return read_status(RecordedRun.open(Path(run)))


def logs(run: Place, job: str, *, attempt: int | None = None, follow: bool = False) -> Iterator[str]:
    """The lines of a job's log, read from the store only.

    Args:
        run: RUN folder.
        job: its name, as `status` shows it.
        attempt: by default the latest.
        follow: wait for more lines until the job is done or failed.

    Raises:
        InputError: there is no such run, job or attempt.
    """
    from orchestrator.run.record import RecordedRun
    from orchestrator.views.logs import find_job, find_log, follow_log, log_lines

    recorded = RecordedRun.open(Path(run))
    node = find_job(recorded, job)
    return follow_log(recorded, node, attempt) if follow else log_lines(find_log(recorded, node, attempt))


def ui(run: Place, *, port: int = 5000, console: Console | None = None) -> int:
    """Bring MLflow up to date and serve it and Optuna Dashboard on localhost until Ctrl-C; returns MLflow's exit code.

    Raises:
        InputError: the port is in use or not allowed.
        TrackingError: MLflow cannot be reached.
    """
    from orchestrator.ui import show

    return show(open_run(run), port, console or quiet())


def sync(run: Place) -> None:
    """Bring MLflow up to date with the store.

    Raises:
        TrackingError: MLflow cannot be reached.
    """
    from orchestrator.tracking.mirror import bring_up_to_date

    bring_up_to_date(open_run(run))
