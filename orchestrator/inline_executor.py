"""The inline executor: every job in this process, one after the other. For tests, debugging and single machines."""

from collections.abc import Callable

from features.errors import SonogridError
from orchestrator.graph import Node
from orchestrator.jobs import cause_of, run_job
from orchestrator.recipe import Execution
from orchestrator.run import Run
from orchestrator.scheduler import Finished, Needs

__all__ = ["InlineExecutor"]


class InlineExecutor:
    """Runs a node when it is submitted."""

    def __init__(self, run: Run, execution: Execution, should_stop: Callable[[], bool] = lambda: False) -> None:
        self.run, self.execution, self.should_stop = run, execution, should_stop
        self._finished: list[Finished] = []

    def needs(self, node: Node) -> Needs:
        """What the node asks for; on one process nothing is counted."""
        return Needs(node.cpus)

    def fits(self, needs: Needs) -> bool:  # noqa: ARG002 - the interface
        """One job at a time, whatever it needs."""
        return not self._finished

    def submit(self, node: Node) -> None:
        """Run the node to its end."""
        try:
            done = run_job(self.run.job_spec(node, self.execution), self.should_stop)
        except (SonogridError, ArithmeticError, LookupError, OSError, RuntimeError, TypeError, ValueError) as error:
            self._finished.append(Finished(node.signature, "failed", cause_of(error)))
        else:
            self._finished.append(Finished(node.signature, "done" if done else "stopped"))

    def wait(self, timeout_s: float) -> list[Finished]:  # noqa: ARG002 - the interface
        """The outcome of the last node."""
        finished, self._finished = self._finished, []
        return finished

    def close(self) -> None:
        """Nothing was started."""
