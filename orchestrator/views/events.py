"""`sonogrid status --watch --json`: what happens to the jobs of a run, for programs, read from the store only."""

import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from features.errors import StoreError
from orchestrator.run.record import RecordedRun
from orchestrator.views.status import TRIES, read_status

__all__ = ["events"]


def events(run: RecordedRun, every_s: float = 2.0) -> Iterator[dict[str, Any]]:
    """Every job as it is now, then each again when its state or epoch has changed, until all are done.

    Args:
        run: the run.
        every_s: seconds from one look at the store to the next.

    Returns:
        Those of `status --json` for a job, and `time`, when it was seen, in Unix seconds.

    Raises:
        StoreError: a mark stays damaged, or the store does not answer.
    """
    seen: dict[str, tuple[str, int | None]] = {}
    failures = 0
    while True:
        try:
            status = read_status(run)
        except StoreError:  # a file may have been renamed while it was read; try again
            failures += 1
            if failures == TRIES:
                raise
            time.sleep(every_s)
            continue
        failures = 0
        for job in status.jobs:
            now = (job.state, job.epoch)
            if seen.get(job.name) != now:
                seen[job.name] = now
                yield {"time": round(time.time(), 3), **asdict(job)}
        if all(job.is_done for job in status.jobs):
            return
        time.sleep(every_s)
