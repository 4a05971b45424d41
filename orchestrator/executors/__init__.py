"""Where jobs run: in this process, or on a Ray cluster.

    inline.py    every job in this process, one after the other
    ray/         Ray tasks and Ray Train jobs on a cluster; the only room that imports ray and grpc
    ledger.py    which machine has room for which job, without Ray
    outcome.py   what became of a job, read from the marks in its folder

Both implement the `Executor` protocol of `planning.scheduler`. The scheduler decides what runs when; they submit jobs
and report how these ended. A job's outcome is what its folder says: an exception from another machine matters only
without a mark.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.planning.scheduler import Executor
    from orchestrator.run.bound import Run
    from orchestrator.run.execution import Execution
    from trainers.supervisor import Stop

__all__ = ["open_executor"]


def open_executor(run: "Run", execution: "Execution", stopping: "Callable[[], Stop]" = lambda: "no") -> "Executor":
    """The executor that an execution names; close it when the run ends.

    Args:
        run: whose nodes are submitted.
        execution: how and where they run.
        stopping: asked again and again whether running jobs should stop.

    Raises:
        GridError: the execution names a condition that the grid does not have.
        InputError: the cluster can't be reached, or can't run the grid.
    """
    if execution.executor == "inline":
        from orchestrator.executors.inline import InlineExecutor

        return InlineExecutor(run, execution, stopping)
    from orchestrator.executors.ray.executor import RayExecutor

    return RayExecutor(run, execution, stopping)
