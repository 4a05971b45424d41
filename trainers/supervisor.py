"""Whoever runs a job, as the job sees it: asked whether to stop, told of progress, warned before files are written.

A training loop that is called by hand needs none; `orchestrator.attempt` has the one that a grid's jobs get.
"""

from typing import Literal

__all__ = ["Stop", "Supervisor"]

Stop = Literal["no", "epoch", "now"]
"""Go on; stop with the epoch (a person asked); stop at this step (the machine is about to go)."""


class Supervisor:
    """Lets a job run undisturbed."""

    def stop(self) -> Stop:
        """Whether the job should stop; asked after every step."""
        return "no"

    def progress(self, **where: int) -> None:
        """A piece of work was done, for instance `epoch=3, step=120`; must be cheap."""

    def before_write(self) -> None:
        """Files are about to be written.

        Raises:
            JobError: this job is not the one that may write any more.
        """

    def after_write(self) -> None:
        """Files that the job can be continued from were written."""
