"""When work began and ended, and how a training job stands, as the store has it."""

import time
from dataclasses import dataclass
from typing import Literal

from orchestrator.store.interfaces import ReaderStore
from orchestrator.store.node import Node

__all__ = ["JobState", "Times", "job_times"]

JobState = Literal["new", "running", "killed", "failed", "done"]
"""State of a training job in MLflow's tag `sonogrid.state`. *killed*: it began, has not ended, and shows no sign of
life."""


@dataclass(frozen=True)
class Times:
    """When work began and ended, as its job recorded it, in Unix seconds."""

    started: float
    ended: float | None
    """None while it runs, and where no sign of life tells."""

    @property
    def started_ms(self) -> int:
        """MLflow's form."""
        return round(self.started * 1000)

    @property
    def ended_ms(self) -> int | None:
        """MLflow's form."""
        return None if self.ended is None else round(self.ended * 1000)


def job_times(store: ReaderStore, node: Node, state: JobState) -> Times:
    """When a training job began and ended, or was last seen."""
    history = store.history(node)
    starts = [record["time"] - record.get("seconds", 0.0) for record in history[:1]]
    if state == "done":
        mark = store.done(node)
        return Times(min([mark.started, *starts]), mark.started + mark.seconds)
    sign = store.alive(node)
    seen = [record["time"] for record in history[-1:]]
    if sign is not None and sign.started:
        starts.append(sign.started)
        seen.append(sign.time)
    return Times(min(starts, default=time.time()), None if state == "running" else max(seen, default=None))
