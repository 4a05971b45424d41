"""The Ray executor at its end: no thread is within Ray when it is shut down."""

import threading
import time
from pathlib import Path

import pytest
import ray

from orchestrator.executors.ray.executor import RayExecutor, _Submitted
from orchestrator.grids.load import load_grid
from orchestrator.jobs.spec import JobSpec
from orchestrator.run.execution import Execution
from orchestrator.run.selection import prepare

pytestmark = pytest.mark.ray


def _for_ever(_: JobSpec) -> bool:
    while True:
        time.sleep(1.0)


class Unreachable(RayExecutor):
    """Its jobs do not end, and can't be ended: their machine is cut off."""

    run_in_task = staticmethod(_for_ever)

    def _end(self, job: object) -> None:
        pass


@pytest.mark.long
def test_a_job_that_was_given_up_is_not_waited_for_within_ray_when_ray_closes(
    tmp_path: Path, small_data: Path, tiny_grid: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = prepare(load_grid(str(tiny_grid)), small_data, tmp_path / "run")
    run.save()
    nodes = [node for node in run.graph.nodes.values() if node.shard is not None][:2]
    executor = Unreachable(run, Execution())
    within: list[str] = []
    shutdown = ray.shutdown

    def look() -> None:
        names = {node.name for node in nodes}
        within.extend(thread.name for thread in threading.enumerate() if thread.name in names)
        shutdown()

    monkeypatch.setattr(ray, "shutdown", look)
    for node in nodes:
        executor.submit(node)
    time.sleep(3.0)
    executor._give_up(executor._running[nodes[0].signature], "its machine is gone")
    (lost,) = executor.wait(5.0)
    assert lost.outcome == "lost"
    assert {thread.name for thread in threading.enumerate()} >= {node.name for node in nodes}
    executor.close()
    assert within == []
    assert not ray.is_initialized()


def test_time_in_which_nobody_looked_at_a_job_is_no_standstill() -> None:
    """The driver waited for a store that was away, or was suspended: so did the job, perhaps."""
    job = _Submitted(None, None, None, [])  # type: ignore[arg-type]
    job.changed = job.seen = time.monotonic() - 3_600
    job.count_only(30.0)
    assert 20 < time.monotonic() - job.changed < 40
    job.count_only(30.0)
    assert 20 < time.monotonic() - job.changed < 40, "short pauses between two looks count"
