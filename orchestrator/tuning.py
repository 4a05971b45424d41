"""`sonogrid tune`: the blend again, in its node's own folder, from predictions that are there."""

from pathlib import Path
from typing import Any

from features.errors import InputError, StoreError
from features.files import read_json
from orchestrator.jobs import run_job
from orchestrator.launch import write_reports
from orchestrator.recipe import Execution
from orchestrator.run import Run

__all__ = ["tune_again"]


def tune_again(folder: Path, trials: int | None) -> dict[str, Any]:
    """Tune the weights of a run's members, with another number of trials if given.

    Raises:
        InputError: `trials` is not positive.
        StoreError: predictions are missing.
    """
    run = Run.open(folder)
    if trials is not None:
        if trials < 1:
            raise InputError(f"--trials {trials}: must be at least 1")
        blend = run.recipe.blend.model_copy(update={"trials": trials})
        run = Run(run.folder, run.recipe.model_copy(update={"blend": blend}), run.data_root, run.store, run.manifest)
    assert run.graph.blend is not None
    node = run.graph.nodes[run.graph.blend]
    for parent in node.parents:
        if run.store.state(run.graph.nodes[parent]).state != "done":
            name = run.graph.nodes[parent].name
            raise StoreError(f"{name} is not done yet; finish the grid first with: sonogrid resume {folder}")
    if run.store.state(node).state != "done":
        run_job(run.job_spec(node, Execution()))
        run.store.refresh()
    run.save()
    write_reports(run)
    result: dict[str, Any] = read_json(run.store.folder(node) / "blend.json")
    return result
