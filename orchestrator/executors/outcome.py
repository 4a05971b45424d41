"""What became of a job, read from its folder: the marks there say more than an exception from another machine.

With a done-mark it is done. If another run has claimed the node since, that run works on it. With a failure it raised,
and the mark has the class of the error. With none of these it was stopped, or its process or machine was lost: only a
lost job is worth another attempt as it is.
"""

from orchestrator.jobs.failures import OUT_OF_MEMORY
from orchestrator.planning.scheduler import Finished
from orchestrator.run.bound import Run
from orchestrator.store.node import Node

__all__ = ["outcome_of"]


def outcome_of(run: Run, node: Node, error: str = "", *, asked: bool) -> Finished:
    """Read the outcome of an attempt that has ended.

    Args:
        run: the run, with its store.
        node: the node of the attempt.
        error: the exception seen by the executor, in words; empty if the job returned.
        asked: whether the executor has asked it to stop. If not, its results became void while they were computed.
    """
    store, signature = run.store, node.signature
    store.refresh(node)
    name = store.name(node)
    if store.done_mark(name) is not None:
        return Finished(signature, "done")
    claim = store.latest_claim(name)
    if claim is not None and not claim.is_of(run.identity):
        return Finished(signature, "busy")
    reached = store.reached(node)
    failure = store.failure(name)
    if failure is None and not error:
        return Finished(signature, "stopped" if asked else "lost", "stopped before its end", reached)
    if failure is None:
        return Finished(signature, "memory" if OUT_OF_MEMORY.search(error) else "lost", error, reached)
    cause = failure.cause
    if failure.failure_class == "damaged":
        inputs = [run.graph.nodes[parent] for parent in dict.fromkeys(node.parents)]
        for parent in inputs:
            store.refresh(parent)
        damaged = tuple(
            parent.signature
            for parent in inputs
            if store.is_void(store.name(parent)) or store.state(parent).state != "done"
        )
        return Finished(signature, "damaged", cause, reached, damaged)
    return Finished(signature, "memory" if failure.failure_class == "memory" else "failed", cause, reached)
