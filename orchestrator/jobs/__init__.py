"""What a job does, in whatever process it runs: it reads its inputs' folders, computes, and writes its own folder.

    spec.py       `JobSpec`: an attempt at a node, its work, and how to execute it
    execution.py  how to execute it: GPUs, workers, the device
    run.py        `run_job`: an attempt from its first read to its done-mark
    attempt.py    may the attempt still write, is it alive, should it stop; its log
    inputs.py     the manifest and the results that a job reads
    registry.py   the kinds of jobs
    shard.py, train.py, predict.py, pseudo.py, distill.py, blend.py   one kind each
    failures.py   the class and the cause of an error

A job knows neither the scheduler nor Ray: the inline executor runs it in the driver, the Ray executor in a worker, a
developer in a debugger. Only the attempt that the node's lease names may write. What an attempt writes becomes the
node's results in one step, when it is finished. Torch is imported where a job starts to compute.
"""

from typing import TYPE_CHECKING, Any

from orchestrator.jobs.spec import JobSpec

if TYPE_CHECKING:
    from orchestrator.jobs.run import run_job

__all__ = ["JobSpec", "run_job"]


def __getattr__(name: str) -> Any:
    """Import `run_job` on first use: it needs torch, and a plan needs only specs."""
    if name != "run_job":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from orchestrator.jobs.run import run_job

    return run_job
