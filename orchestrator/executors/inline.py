"""The inline executor: every job in this process, one after the other. For tests, debugging and single machines."""

import sys
from collections.abc import Callable

from features.errors import BusyError
from orchestrator.executors.outcome import outcome_of
from orchestrator.jobs.execution import JobExecution
from orchestrator.jobs.failures import cause_of
from orchestrator.jobs.run import run_job
from orchestrator.planning.scheduler import Finished, Needs, Standing
from orchestrator.run.bound import Run
from orchestrator.run.execution import Execution
from orchestrator.store.node import Node
from trainers.supervisor import Stop

__all__ = ["InlineExecutor"]


class InlineExecutor:
    """Runs a node when it is submitted."""

    def __init__(self, run: Run, execution: Execution, stopping: Callable[[], Stop] = lambda: "no") -> None:
        self.run, self.execution, self.stopping = run, execution, stopping
        self._finished: list[Finished] = []

    def needs(self, node: Node) -> Needs:
        """The node's CPUs; nothing is counted in a single process."""
        return Needs(node.cpus)

    def execution_of(self, node: Node) -> JobExecution:
        """How a node is executed: what trains or predicts uses the GPU, if there is one, unless told not to."""
        if not node.trains:
            return self.execution.of_job()
        share = self.execution.share_of(node.condition)[0]
        if share is None:
            import torch

            share = float(torch.cuda.is_available())
        return self.execution.of_job(share)

    def fits(self, needs: Needs) -> bool:  # noqa: ARG002 - the interface
        """One job at a time, whatever it needs."""
        return not self._finished

    def give_room(self, node: Node) -> bool:  # noqa: ARG002 - the interface
        """No more room: a single process already has its whole machine."""
        return False

    def hold(self, standing: Standing) -> bool:  # noqa: ARG002 - the interface
        """Never wait: what does not fit one process now never will."""
        return False

    def submit(self, node: Node) -> None:
        """Run the node to its end."""
        self.run.store.refresh(node)
        if self.run.store.state(node).state == "done":  # by another run, or by an attempt believed lost
            self._finished.append(Finished(node.signature, "done"))
            return
        error = ""
        try:
            run_job(self.run.claim(node, self.execution_of(node)), self.stopping, say=_say)
        except BusyError:
            self._finished.append(Finished(node.signature, "busy"))
            return
        except Exception as reason:  # as in a process of its own, whatever a job raises is its outcome
            error = cause_of(reason)
        self._finished.append(outcome_of(self.run, node, error, asked=self.stopping() != "no"))

    def wait(self, timeout_s: float) -> list[Finished]:  # noqa: ARG002 - the interface
        """The outcome of the last node."""
        finished, self._finished = self._finished, []
        return finished

    def close(self) -> None:
        """Nothing was started."""


def _say(sentence: str) -> None:
    """Show a sentence of the job that runs; its logger has only the job's log."""
    print(sentence, file=sys.stderr, flush=True)
