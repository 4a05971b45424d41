"""`sonogrid tune`: tunes the blend again from existing predictions, and writes the result to a node of its own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.errors import InputError, StoreError
from orchestrator.blending.result import Blend
from orchestrator.jobs.run import run_job
from orchestrator.report.build import write_reports
from orchestrator.run.bound import Run
from orchestrator.run.execution import Execution
from orchestrator.run.owner import own

__all__ = ["TunedAgain", "tune_again"]


@dataclass(frozen=True)
class TunedAgain:
    """A blend that was tuned again."""

    blend: Blend
    leaky: bool
    """Whether a member saw labels of the clips that it is scored on."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {**self.blend.as_dict(), "leaky": self.leaky}


def tune_again(folder: Path, trials: int | None, budget: int | None = None) -> TunedAgain:
    """Tune the weights of a run's members, with another number of trials or another budget if given.

    Raises:
        InputError: `trials` is not positive, or `budget` is too small for one member.
        StoreError: predictions are missing.
    """
    run = Run.open(folder)
    if trials is not None and trials < 1:
        raise InputError(f"--trials {trials}: must be at least 1")
    if budget is not None and budget < run.recipe.data.folds:
        folds = run.recipe.data.folds
        raise InputError(f"--budget {budget}: a member needs {folds} predictions, one per fold; give at least {folds}")
    changes = {key: value for key, value in (("trials", trials), ("budget", budget)) if value is not None}
    if changes:
        blend = run.recipe.blend.model_copy(update=changes)
        run = Run(run.folder, run.recipe.model_copy(update={"blend": blend}), run.data_root, run.store, run.manifest)
    assert run.graph.blend is not None
    node = run.graph.nodes[run.graph.blend]
    for parent in node.parents:
        if run.store.state(run.graph.nodes[parent]).state != "done":
            name = run.graph.nodes[parent].name
            raise StoreError(f"{name} is not done yet; finish the grid first with: sonogrid resume {folder}")
    with own(folder) as owner:
        run = run.owned_by(owner.number)
        if run.store.state(node).state != "done":
            run_job(run.claim(node, Execution().of_job()))
            run.store.refresh(node)
        run.save()
        write_reports(run)
    return TunedAgain(Blend.read(run.store.results(node)), "blend" in run.leaky)
