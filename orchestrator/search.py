"""`sonogrid search`: a search over settings of a condition, on out-of-fold lwlrap.

Each trial is the condition with other settings. It becomes a condition of its own in a grid that grows by one with each
trial, so its folds are ordinary nodes of the store, and `status`, `logs`, `report` and MLflow show them. Folds are the
steps of a trial: after each, one that is worse than the median of the others at that step is pruned. The sampler works
in memory and is seeded by the number of finished trials: after an interruption it proposes the same again, and finds
the folds that are done.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console

from features.errors import GridError, InputError, TrackingError
from features.files import hash_of
from features.words import nearest, short
from orchestrator.blending.predictions import Predictions
from orchestrator.grids.condition import ConditionSettings, parents
from orchestrator.grids.ensembles import PublishedSettings
from orchestrator.grids.load import change_recipe
from orchestrator.grids.recipe import BlendSettings, Recipe
from orchestrator.launch import execute, forget, save
from orchestrator.run.bound import Run
from orchestrator.run.execution import Execution
from orchestrator.run.owner import Owner, own
from orchestrator.run.same import require_same
from orchestrator.run.selection import Selection, plan_of
from orchestrator.store.patient import patient
from orchestrator.studies.record import About, Record, continue_studies
from orchestrator.studies.samplers import Sampler, make_sampler
from orchestrator.studies.space import rounded, trial_name
from orchestrator.studies.storage import JOURNAL
from orchestrator.tracking import Place, bring_up_to_date
from trainers.lwlrap import lwlrap

__all__ = ["SearchResult", "SearchTrial", "search", "searched_recipe"]

STARTUP = 4
"""Trials that are never pruned: before them, a median says little."""
STATES = {TrialState.COMPLETE: "done", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}

Space = Mapping[str, BaseDistribution]


@dataclass(frozen=True)
class SearchTrial:
    """A finished trial."""

    name: str
    """Of its condition."""
    settings: dict[str, Any]
    state: str
    """done, pruned or failed."""
    lwlrap: float | None
    """On the clips of the folds that were trained; None if it failed before the first."""
    folds: int
    """Folds that were trained."""


@dataclass(frozen=True)
class SearchResult:
    """What a search found."""

    condition: str
    trials: tuple[SearchTrial, ...]
    """All finished trials, in order."""
    stopped: bool
    """Whether Ctrl-C or SIGTERM ended it early."""

    @property
    def best(self) -> SearchTrial | None:
        """The trial with the highest lwlrap on all folds; None if none is done."""
        done = [trial for trial in self.trials if trial.state == "done" and trial.lwlrap is not None]
        return max(done, key=lambda trial: trial.lwlrap or 0.0, default=None)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        best = self.best
        return {
            "condition": self.condition,
            "trials": [vars(trial) for trial in self.trials],
            "best": None if best is None else vars(best),
            "stopped": self.stopped,
        }


def searched_recipe(recipe: Recipe, condition: str | None) -> tuple[Recipe, str]:
    """The part of a grid that a search needs, and the name of the condition.

    Args:
        recipe: the grid.
        condition: its name; None: the first of the grid.

    Raises:
        InputError: there is no such condition.
    """
    name = condition or next(iter(recipe.conditions))
    if name not in recipe.conditions:
        near = nearest(name, recipe.conditions)
        hint = f"did you mean '{near}'?" if near else f"there are {', '.join(recipe.conditions)}"
        raise InputError(f"--condition {short(name)}: the grid has no such condition; {hint}")
    wanted = [name]
    for one in wanted:
        wanted += [other for other in parents(recipe.conditions[one].train).values() if other not in wanted]
    changes = {
        "name": f"{recipe.name[:57]}-search",
        "conditions": {one: settings for one, settings in recipe.conditions.items() if one in wanted},
        "blend": BlendSettings(trials=0, seed=recipe.blend.seed),
        "members": (),
        "paper_weights": {},
        "ensembles": {},
        "published": PublishedSettings(),
        "comparisons": {},
    }
    return recipe.model_copy(update=changes), name


def search(
    run: Run,
    condition: str,
    space: Space,
    *,
    trials: int,
    sampler: Sampler,
    selection: Selection,
    execution: Execution,
    console: Console,
) -> SearchResult:
    """Search until there are so many trials, those of earlier calls included.

    Args:
        run: `searched_recipe` bound to a dataset and a store.
        condition: the one whose settings are searched.
        space: setting -> values.
        trials: number of trials.
        sampler: what proposes them.
        selection: how the dataset was bound.
        execution: where and how jobs run.
        console: shows progress.

    Raises:
        GridError: the condition has no such setting, or it can't have a value of the space.
        InputError: the folder holds another grid, or another process runs it.
    """
    for path, distribution in space.items():
        for value in _ends(distribution):
            _changed(run.recipe, condition, {path: value})
    require_same(run)
    run = replace(run, store=patient(run.store, console.print))
    with own(run.folder) as owner, ExitStack() as at_end:
        run = run.owned_by(owner.number)
        with continue_studies(run.folder / JOURNAL, None, f"{run.recipe.name}") as studies:
            record = studies.open(_study_name(run, condition, space), _about(run, condition, space))
            todo = _Search(run, condition, space, selection, execution, console, record, owner, at_end)
            stopped = todo.until(trials, sampler)
        try:
            bring_up_to_date(todo.run_of(()))
        except TrackingError as error:
            console.print(f"warning: {error}", style="yellow")
    return SearchResult(condition, tuple(map(_summary, record.finished())), stopped)


@dataclass(frozen=True)
class _Search:
    run: Run
    condition: str
    space: Space
    selection: Selection
    execution: Execution
    console: Console
    record: Record
    owner: Owner
    at_end: ExitStack

    def until(self, trials: int, sampler: Sampler) -> bool:
        """Run trials until there are so many; returns whether it was stopped."""
        while (number := len(finished := self.record.finished())) < trials:
            seed = int(np.random.default_rng([self.run.recipe.blend.seed, number]).integers(2**31))
            known = [trial for trial in finished if trial.state == TrialState.COMPLETE]
            study = optuna.create_study(
                direction="maximize",
                sampler=make_sampler(sampler, seed, known),
                pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP),
            )
            study.add_trials(finished)
            asked = study.ask(dict(self.space))
            settings = {path: rounded(asked.params[path], values) for path, values in self.space.items()}
            self.console.print(f"trial {number + 1} of {trials}: {_words(settings)}", soft_wrap=True)
            found = self._tried(asked, settings)
            if found is None:
                return True
            self.record.put(found)
        return False

    def _tried(self, asked: optuna.Trial, settings: dict[str, Any]) -> FrozenTrial | None:
        """A trial, fold by fold; None if it was stopped."""
        name = trial_name(settings)
        steps: dict[int, float] = {}
        about: dict[str, Any] = {"condition": name}
        state = TrialState.COMPLETE
        folds = range(self.run.recipe.data.folds)
        for fold in folds:
            run = self.run_of([settings])
            failure = self._run(run, name, fold)
            if failure is None:
                return None
            if failure:
                about["failed"], state = failure, TrialState.FAIL
                self.console.print(f"  failed: {failure}", soft_wrap=True)
                break
            steps[fold] = _score(run, name, range(fold + 1))
            asked.report(steps[fold], fold)
            pruned = fold < folds[-1] and asked.should_prune()
            of = f"fold {fold}" if fold == 0 else f"folds 0 to {fold}"
            self.console.print(f"  {of}: lwlrap {steps[fold]:.4f}{', pruned' if pruned else ''}")
            if pruned:
                state = TrialState.PRUNED
                break
        value = None if state == TrialState.FAIL else steps[max(steps)]
        return optuna.create_trial(
            state=state,
            params=settings,
            distributions=dict(self.space),
            value=value,
            intermediate_values=steps,
            user_attrs=about,
        )

    def _run(self, run: Run, name: str, fold: int) -> str | None:
        """Train and predict a fold; returns the cause of a failure, '' if it went well, None if it was stopped."""
        selection = replace(self.selection, conditions=(name,), folds=(fold,))
        plan = plan_of(run, selection)
        asked = replace(self.selection, conditions=tuple(run.recipe.conditions)).asked()
        save(run, plan, {**asked, "execution": self.execution.asked(), **Place.of(run.folder).record()})
        if not plan.pending:
            return ""
        forget(run, plan)
        summary = execute(run, plan, self.execution, self.console, set(), self.owner, self.at_end)
        self.owner.check()
        run.store.refresh()
        if summary.stopped:
            return None
        return next(iter(summary.failed.values()), "")

    def run_of(self, more: Sequence[Mapping[str, Any]]) -> Run:
        """The run with a condition for each trial so far, and for `more`."""
        recipe = self.run.recipe
        needed = {other for one in recipe.conditions.values() for other in parents(one.train).values()}
        conditions = {name: one for name, one in recipe.conditions.items() if name in needed}
        tried = [trial.params for trial in self.record.finished()]
        for settings in (*tried, *more):
            conditions[trial_name(settings)] = _changed(recipe, self.condition, settings)
        if not conditions:
            conditions = dict(recipe.conditions)
        return replace(self.run, recipe=recipe.model_copy(update={"conditions": conditions}), recorded=None)


def _changed(recipe: Recipe, condition: str, settings: Mapping[str, Any]) -> ConditionSettings:
    """The condition with other settings."""
    changes = [f"conditions.{condition}.{path}={value}" for path, value in settings.items()]
    try:
        return change_recipe(recipe, changes).conditions[condition]
    except GridError as error:
        raise GridError(str(error).replace("--set", "--space", 1)) from None


def _ends(distribution: BaseDistribution) -> tuple[Any, ...]:
    """Values that stand for all: a wrong setting, or bounds that it may not reach, are found before the first trial."""
    if isinstance(distribution, optuna.distributions.CategoricalDistribution):
        return tuple(distribution.choices)
    assert isinstance(distribution, optuna.distributions.FloatDistribution | optuna.distributions.IntDistribution)
    return (distribution.low, distribution.high)


def _score(run: Run, name: str, folds: Sequence[int]) -> float:
    """lwlrap of the mean of a condition's members on the curated clips of some folds."""
    scores, truths = [], []
    truth = run.manifest.targets("curated")  # (N, C)
    for fold in folds:
        node = run.graph.nodes[run.graph.predict[name, fold]]
        part = Predictions.open(run.store.results(node), run.manifest, (fold,))
        scores.append(part.read("curated").mean(axis=(0, 1, 2)))  # (n, C)
        truths.append(truth[part.rows("curated")])
    return float(lwlrap(np.concatenate(truths), np.concatenate(scores)))


def _study_name(run: Run, condition: str, space: Space) -> str:
    """What is searched, and a hash of all that its values depend on."""
    content = [
        {name: one.model_dump(mode="json") for name, one in run.recipe.conditions.items()},
        run.recipe.data.model_dump(mode="json"),
        run.manifest.content_hash(),
        {path: repr(values) for path, values in space.items()},
    ]
    return f"{condition}: {', '.join(space)} {hash_of(content)[:8]}"


def _about(run: Run, condition: str, space: Space) -> About:
    facts = {
        "grid": run.recipe.name.removesuffix("-search"),
        "condition": condition,
        "RUN": str(run.folder.resolve()),
        "data": str(run.data_root),
    }
    lines = "\n".join(f"- **{key}**: {value}" for key, value in facts.items())
    note = f"""\
# Settings of {condition}: {", ".join(space)}

Each trial trains {condition} with other settings, fold by fold. Its value is the lwlrap of the mean of its snapshots
and pads on the clips of the folds so far, which no network of it has learned from; with all folds, `out-of-fold` of
the report. A trial that is below the median of the others after the same fold is pruned. The attribute `condition` is
its name in `sonogrid status`, `logs` and `report`, and in MLflow.

{lines}
"""
    return About(note, facts, "out-of-fold lwlrap")


def _summary(trial: FrozenTrial) -> SearchTrial:
    steps = trial.intermediate_values
    return SearchTrial(
        name=str(trial.user_attrs.get("condition", "")),
        settings=dict(trial.params),
        state=STATES[trial.state],
        lwlrap=steps[max(steps)] if steps else None,
        folds=len(steps),
    )


def _words(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{path} {value}" for path, value in settings.items())
