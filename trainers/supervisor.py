"""The interface between a job and whoever runs it: stop requests, progress reports, permission to write.

A training loop that is called by hand needs no supervisor; the jobs of a grid have `orchestrator.jobs.attempt`.
"""

from typing import Literal

__all__ = ["Stop", "Supervisor"]

Stop = Literal["no", "epoch", "now"]
"""Continue; stop after the epoch (a person asked); stop at this step (the machine is about to be lost)."""


class Supervisor:
    """Default supervisor: a job runs to its end."""

    def stop(self) -> Stop:
        """Whether the job should stop; asked after every step."""
        return "no"

    def progress(self, **where: int) -> None:
        """Report a piece of work, for instance `epoch=3, step=120`; must be cheap."""

    def before_write(self) -> None:
        """Called before files are written.

        Raises:
            JobError: this job may no longer write.
        """

    def after_write(self) -> None:
        """Called after files were written that the job can continue from."""
