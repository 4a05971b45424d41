"""`sonogrid status --watch --json`: what happens to the jobs of a run, for programs, read from the store only."""

import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from features.errors import StoreAwayError
from orchestrator.run.record import RecordedRun
from orchestrator.views.status import looks

__all__ = ["events"]


def events(run: RecordedRun, every_s: float = 2.0) -> Iterator[dict[str, Any]]:
    """Every job as it is now, then each again when its state or epoch has changed, until all are done.

    Args:
        run: the run.
        every_s: seconds from one look at the store to the next.

    Returns:
        Those of `status --json` for a job, and `time`, when it was seen, in Unix seconds.

    Raises:
        StoreError: a mark stays damaged. A store that does not answer is waited for.
    """
    seen: dict[str, tuple[str, int | None]] = {}
    for found in looks(run, every_s):
        if isinstance(found, StoreAwayError):
            continue
        for job in found.jobs:
            now = (job.state, job.epoch)
            if seen.get(job.name) != now:
                seen[job.name] = now
                yield {"time": round(time.time(), 3), **asdict(job)}
