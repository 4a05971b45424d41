"""When a training began and ended, from the marks of its node."""

from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.store.marks import DoneMark
from orchestrator.tracking.times import JobState, Times, job_times

HISTORY = [{"time": 110.0, "seconds": 10.0}, {"time": 120.0, "seconds": 10.0}]


def times(state: JobState, history: list[dict[str, float]], sign: Any = None) -> Times:
    store: Any = SimpleNamespace(
        history=lambda _: history,
        done=lambda _: DoneMark(started=104.0, seconds=20.0),
        alive=lambda _: sign,
    )
    node: Any = None
    return job_times(store, node, state)


def test_a_finished_job_ends_as_its_mark_says_and_begins_with_its_first_epoch() -> None:
    """An attempt that continued another one knows its own start alone."""
    assert times("done", HISTORY) == Times(100.0, 124.0)
    assert times("done", []) == Times(104.0, 124.0)


@pytest.mark.parametrize(("state", "ended"), [("running", None), ("killed", 130.0), ("failed", 130.0)])
def test_another_job_ends_with_its_last_sign_of_life(state: JobState, ended: float | None) -> None:
    sign = SimpleNamespace(started=95.0, time=130.0)
    assert times(state, HISTORY, sign) == Times(95.0, ended)
    assert times("killed", HISTORY) == Times(100.0, 120.0)


def test_mlflow_takes_milliseconds() -> None:
    assert (Times(1.5, 2.0004).started_ms, Times(1.5, 2.0004).ended_ms, Times(1.5, None).ended_ms) == (1500, 2000, None)
