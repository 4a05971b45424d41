"""`sonogrid tune`: more trials for the weights of a finished blend; what is better becomes a node of its own.

The studies of a RUN are in RUN/optuna.journal, or in a database that several processes share. They begin with the
trials of the blend's job and are continued by every call. The job of a blend is a pure function of its settings: what
the search has found is written there as `blend.mixtures`. So a result that is done never changes.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from features.errors import InputError, StoreError
from features.words import count
from orchestrator.blending.about import about_study
from orchestrator.blending.bagging import Mixture
from orchestrator.blending.continued import Continued, continue_study
from orchestrator.blending.result import Blend, BlendResult
from orchestrator.blending.run import find_parts
from orchestrator.blending.search import can_search
from orchestrator.blending.tune import Parts
from orchestrator.grids.recipe import BlendSettings, MixtureSettings
from orchestrator.jobs.run import run_job
from orchestrator.pages import PAGE
from orchestrator.redact import redact
from orchestrator.report.build import write_reports
from orchestrator.run.bound import Run
from orchestrator.run.execution import Execution
from orchestrator.run.owner import own
from orchestrator.store.node import Node
from orchestrator.studies.record import Studies, continue_studies, stored_trials
from orchestrator.studies.samplers import Sampler, find_sampler
from orchestrator.studies.storage import JOURNAL, database_url

__all__ = ["TunedAgain", "begin_studies", "tune_again"]

PATIENCE_S = 120.0
"""How long to wait while another process writes the blend."""


@dataclass(frozen=True)
class TunedAgain:
    """A blend that was tuned again."""

    blend: Blend
    leaky: bool
    """Whether a member saw labels of the clips that it is scored on."""
    studies: tuple[Continued, ...]
    """Of all folds, and without each fold; none if there is nothing to search."""
    changed: bool
    """Whether the blend has other weights than before."""
    budget: int | None
    """Largest number of predictions of the blend."""
    where: str
    """Where the studies are kept."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        studies = [
            {
                "study": one.study,
                "trials_before": one.before,
                "trials": one.trials,
                "best": one.best.value,
                "baselines": one.baselines,
                "gain": one.gain,
            }
            for one in self.studies
        ]
        about = {"studies": studies, "changed": self.changed, "budget": self.budget, "where": self.where}
        return {**self.blend.as_dict(), "leaky": self.leaky, **about}


def tune_again(
    folder: Path,
    trials: int | None,
    budget: int | None = None,
    *,
    sampler: str = "tpe",
    storage: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> TunedAgain:
    """Search the weights of a run's members on, from the trials that there are.

    Args:
        folder: RUN.
        trials: number of trials of each study, those of earlier searches included; by default as in the grid.
        budget: largest number of predictions of the blend; by default as before.
        sampler: what proposes trials.
        storage: URL of a database for the studies, in which several processes may search at once.
        say: called with each line of progress.

    Raises:
        InputError: `trials` is not positive, `budget` is too small for one member, there is no such sampler, or another
            process runs the run.
        StoreError: predictions are missing, or the database fails.
    """
    run = Run.open(folder)
    if trials is not None and trials < 1:
        raise InputError(f"--trials {trials}: must be at least 1")
    if budget is not None and budget < run.recipe.data.folds:
        folds = run.recipe.data.folds
        raise InputError(f"--budget {budget}: a member needs {folds} predictions, one per fold; give at least {folds}")
    kind = find_sampler(sampler)
    database = storage or database_url()
    if database is not None:
        # Several processes may search at once; one at a time writes the result.
        return _tune(run, trials, budget, kind, database, say)
    with own(folder) as owner:
        return _tune(run.owned_by(owner.number), trials, budget, kind, None, say)


def _tune(
    run: Run,
    trials: int | None,
    budget: int | None,
    sampler: Sampler,
    database: str | None,
    say: Callable[[str], None],
) -> TunedAgain:
    node = _blend_of(run)
    for parent in node.parents:
        if run.store.state(run.graph.nodes[parent]).state != "done":
            name = run.graph.nodes[parent].name
            raise StoreError(f"{name} is not done yet; finish the grid first with: sonogrid resume {run.folder}")
    settings = run.recipe.blend
    if budget is not None and budget != settings.budget:
        settings = settings.model_copy(update={"budget": budget, "mixtures": {}})
    elif settings.budget is not None and budget is None:
        say(f"at most {count(settings.budget, 'prediction')}, as set before; --budget K changes it")
    inputs = {role: [run.store.results(run.graph.nodes[s]) for s in group] for role, group in node.inputs.items()}
    members, parts = find_parts(inputs, run.manifest, settings, node.payload["paper_weights"])
    names = [str(member) for member in members.members]
    search = _Search(run, parts, names, sampler, trials or settings.trials, database, say)
    begin_studies(run, database)
    with continue_studies(run.folder / JOURNAL, database, _prefix(run, parts.inputs)) as studies:
        found = search.all_in(studies)
    mixtures = {
        name: MixtureSettings(**vars(one.mixture))
        for name, one in zip(parts.names, found, strict=True)
        if one is not None and one.better
    }
    result = parts.result([Mixture() if one is None else one.mixture for one in found])
    with _owned(run, shared=database is not None) as now:
        changed = settings.budget != now.recipe.blend.budget or not _is_there(now, result)
        wanted = settings.model_copy(update={"trials": 0, "mixtures": mixtures})
        tuned = _with_blend(now, wanted) if changed else now
        blend = Blend.read(tuned.store.results(_blend_of(tuned)))
    searched = tuple(one for one in found if one is not None)
    where = str(run.folder / JOURNAL) if database is None else redact(database)
    return TunedAgain(blend, "blend" in tuned.leaky, searched, changed, settings.budget, where)


@dataclass(frozen=True)
class _Search:
    """The search of all weights of a blend: on all clips, and without each fold."""

    run: Run
    parts: Parts
    members: list[str]
    sampler: Sampler
    trials: int
    database: str | None
    say: Callable[[str], None]

    @cached_property
    def _own_seed(self) -> tuple[int, ...]:
        """Processes that search at once must not try the same; what one alone does can be repeated."""
        return () if self.database is None else (os.getpid(), time.time_ns())

    def all_in(self, studies: Studies) -> list[Continued | None]:
        """Continue every study; None where nothing can be searched."""
        facts = _facts(self.run)
        found: list[Continued | None] = []
        for name, bagged in zip(self.parts.names, self.parts.bagged, strict=True):
            if not can_search(bagged):
                found.append(None)
                continue
            record = studies.open(name, about_study(name, len(self.members), facts))
            known = len(record.tried)
            begun = f"continues {count(known, 'trial')}" if known else "begins with the baselines"
            more = f", up to {self.trials} by {self.sampler}" if known < self.trials else ": none is missing"
            self.say(f"{name}: {begun}{more}")
            found.append(
                continue_study(
                    bagged,
                    self.parts.groups,
                    record,
                    self.members,
                    trials=self.trials,
                    sampler=self.sampler,
                    # Processes that search at once must not try the same; one alone can be repeated.
                    seed=[
                        self.run.recipe.blend.seed,
                        *([] if self.database is None else [os.getpid(), time.time_ns()]),
                    ],
                )
            )
        return found


def _blend_of(run: Run) -> Node:
    assert run.graph.blend is not None
    return run.graph.nodes[run.graph.blend]


def begin_studies(run: Run, database: str | None) -> None:
    """Have the trials of the blend's job in the studies of the run, where people see and continue them.

    There are none if the blend is not done, or its job used a database.

    Raises:
        StoreError: a result is damaged, or the database fails.
    """
    if run.graph.blend is None or run.store.state(_blend_of(run)).state != "done":
        return
    folder = run.store.results(_blend_of(run))
    members = len(Blend.read(folder).members)
    for study, trials in stored_trials(folder / "study.journal").items():
        inputs, _, name = study.partition(" ")
        with continue_studies(run.folder / JOURNAL, database, _prefix(run, inputs)) as studies:
            record = studies.open(name, about_study(name, members, _facts(run)))
            for trial in trials if record.is_new else ():
                record.put(trial)


def _prefix(run: Run, inputs: str) -> str:
    """What the names of the studies begin with."""
    return f"{run.recipe.name} blend {inputs[:12]}"


def _facts(run: Run) -> dict[str, str]:
    return {"grid": run.recipe.name, "RUN": str(run.folder.resolve()), "data": str(run.data_root)}


def _is_there(run: Run, result: BlendResult) -> bool:
    """Whether the blend that the run has is done and has these weights."""
    node = _blend_of(run)
    if run.store.state(node).state != "done":
        return False
    now = Blend.read(run.store.results(node)).result
    pairs = ((now.weights, result.weights), (now.fold_weights, result.fold_weights))
    return all(np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=0, atol=1e-9) for a, b in pairs)


def _with_blend(run: Run, settings: BlendSettings) -> Run:
    """The run with another blend, which is computed unless it is there."""
    run = replace(run, recipe=run.recipe.model_copy(update={"blend": settings}), recorded=None)
    node = _blend_of(run)
    if run.store.state(node).state != "done":
        run_job(run.claim(node, Execution().of_job()))
        run.store.refresh(node)
    run.save()
    report = write_reports(run)
    if (run.folder / PAGE).exists():
        from orchestrator.pages.write import write_pages  # here: pictures and torch take a second to import

        write_pages(run, report, {"html": run.folder / PAGE})
    return run


@contextmanager
def _owned(run: Run, *, shared: bool) -> Iterator[Run]:
    """The run as it is now, owned by this process; another one that tunes it is waited for."""
    if not shared:
        yield run
        return
    deadline = time.monotonic() + PATIENCE_S
    with ExitStack() as owning:
        while True:
            try:
                owner = owning.enter_context(own(run.folder))
                break
            except InputError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        yield Run.open(run.folder).owned_by(owner.number)
