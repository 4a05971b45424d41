"""Grids: read, priced, run, resumed, and searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.errors import InputError
from features.words import count
from orchestrator.api.given import Place, as_recipe, as_relabel, bind, checked, quiet, require_places, within_time

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.grids.recipe import Recipe
    from orchestrator.launch import LaunchResult
    from orchestrator.planning.cost import Cost
    from orchestrator.planning.plan import Plan
    from orchestrator.run.execution import Execution
    from orchestrator.search import SearchResult
    from orchestrator.tune import TunedAgain

__all__ = ["PricedPlan", "launch", "load_grid", "plan", "resume", "search", "tune"]


def load_grid(grid: Place, *, settings: Sequence[str] = (), overlays: Sequence[str] = ()) -> Recipe:
    """Read a grid into a Recipe, the complete list of its settings.

    Raises:
        GridError: there is no such grid or overlay, or a field is unknown or wrong.
    """
    from orchestrator.grids.load import load_grid as load

    return load(str(grid), settings, overlays)


@dataclass(frozen=True, repr=False)
class PricedPlan:
    """What a launch would do, and what that costs."""

    grid: str
    plan: Plan
    """Every job with what happens to it and why, in an order in which they could run."""
    cost: Cost
    """Operations, GPU hours, disk and time of the jobs that have to run."""
    assumed_data: bool
    """Whether no dataset was given, so that the sizes of FSDKaggle2019 were assumed."""
    notes: tuple[str, ...] = ()
    """What of the grid the dataset can't serve, one sentence each."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        nodes = [planned.as_dict() for planned in self.plan.nodes]
        return {"nodes": nodes, "cost": {"assumed_data": self.assumed_data, **self.cost.as_dict()}}

    def __repr__(self) -> str:
        pending, machines = len(self.plan.pending), self.cost.machines
        cached = len(self.plan.nodes) - pending
        hours = self.cost.total.gpu_s(machines) / 3600
        gpus = count(machines.gpus, f"{machines.gpu.name} GPU")
        return (
            f"<PricedPlan of grid {self.grid}: {count(pending, 'job')} to run, {cached} cached; {hours:,.2f} GPU "
            f"hours, {self.cost.makespan_s / 3600:,.2f} h on {gpus}>"
        )


def plan(
    grid: Place | Recipe,
    data: Place | None = None,
    out: Place | None = None,
    *,
    only: Sequence[str] = (),
    folds: Sequence[int] = (),
    overlays: Sequence[str] = (),
    settings: Sequence[str] = (),
    store: Place | None = None,
    skip_bad: bool = False,
    relabel: Place | None = None,
    time_limit_s: float | None = None,
    gpu: str = "A100",
    gpus: int = 8,
    utilisation: float = 0.3,
) -> PricedPlan:
    """What a launch would do, why, and what it would cost; nothing is run.

    Args:
        grid: name of a shipped grid, a YAML file, or a Recipe from `load_grid`.
        data: by default, the sizes of FSDKaggle2019 are assumed.
        out: RUN folder whose finished work is taken into account; by default all work is new.
        only: conditions that are wanted, with what they need; by default all.
        folds: folds that are wanted; by default all.
        overlays: names of overlays of the grid.
        settings: changes to the grid, such as 'defaults.epochs=20'.
        store: folder, s3:// or gs:// URL where results lie; by default RUN/store.
        skip_bad: leave bad clips out instead of refusing the dataset.
        relabel: CSV of labels that replace those of the dataset, such as the one that `review` writes.
        time_limit_s: choose conditions and epochs that fit into so many seconds on this machine.
        gpu: GPU model assumed for the estimate.
        gpus: how many of them.
        utilisation: fraction of the peak FLOP/s to assume, above 0 and at most 1.

    Raises:
        GridError: the grid is wrong, or asks for what the dataset does not have.
        DataError: the dataset has problems.
    """
    from orchestrator.planning.cost import Cost, Machines
    from orchestrator.planning.gpus import find_gpu
    from orchestrator.run.selection import Selection, plan_of
    from orchestrator.run.unstored import NOWHERE, assumed_run, unstored_run

    machines = Machines(find_gpu(gpu), gpus, utilisation)
    selection = Selection(tuple(only), tuple(folds), skip_bad=skip_bad, relabel=as_relabel(relabel))
    require_places(data, out, store)
    recipe = as_recipe(grid, settings, overlays)
    if data is None:
        for option, value in (("out", out), ("store", store), ("skip-bad", skip_bad), ("relabel", relabel)):
            if value:
                raise InputError(f"--{option} needs --data: without data there is nothing to compare")
        run = assumed_run(recipe)
    elif out is None and store is None:
        selection.check(recipe)
        run = unstored_run(recipe, Path(data), skip_bad=skip_bad, relabel=selection.relabel)
    else:
        run = bind(recipe, selection, data, NOWHERE if out is None else out, store)
    if time_limit_s is not None:
        if data is None:
            raise InputError("--time-limit needs --data: speeds are measured on its clips")
        run, selection = within_time(run, selection, None, time_limit_s)
    chosen = plan_of(run, selection)
    return PricedPlan(recipe.name, chosen, Cost.of(chosen, run.recipe, run.manifest, machines), data is None, run.notes)


def launch(
    grid: Place | Recipe,
    data: Place,
    out: Place,
    *,
    only: Sequence[str] = (),
    folds: Sequence[int] = (),
    overlays: Sequence[str] = (),
    settings: Sequence[str] = (),
    store: Place | None = None,
    skip_bad: bool = False,
    relabel: Place | None = None,
    time_limit_s: float | None = None,
    force: Sequence[str] = (),
    execution: Execution | None = None,
    labels: Place | None = None,
    console: Console | None = None,
) -> LaunchResult:
    """Run everything of a grid that is not done. Launching again resumes.

    Args:
        grid: name of a shipped grid, a YAML file, or a Recipe from `load_grid`.
        data: folder of the dataset, or its dataset.yaml.
        out: RUN folder; made if it is not there.
        only: conditions that are wanted, with what they need; by default all.
        folds: folds that are wanted; by default all.
        overlays: names of overlays of the grid.
        settings: changes to the grid, such as 'defaults.epochs=20'.
        store: folder, s3:// or gs:// URL where results lie; by default RUN/store.
        skip_bad: leave bad clips out instead of refusing the dataset.
        relabel: CSV of labels that replace those of the dataset, such as the one that `review` writes.
        time_limit_s: choose conditions and epochs that fit into so many seconds on this machine.
        force: names of jobs to run again even if they are done.
        execution: where and how jobs run; by default on Ray, on this machine.
        labels: CSV of the test labels, if they are known: the report then has the test scores.
        console: shows progress and tables; by default nothing is printed.

    Returns:
        Failed jobs with their causes, and the report. A failed job raises nothing.

    Raises:
        GridError: the grid is wrong, or asks for what the dataset does not have.
        DataError: the dataset has problems.
        InputError: a folder cannot be used, holds another grid, or another process runs it.
    """
    from orchestrator.launch import launch as drive
    from orchestrator.run.command import launch_command
    from orchestrator.run.selection import Selection

    execution = checked(execution)
    selection = Selection(tuple(only), tuple(folds), force=tuple(force), skip_bad=skip_bad, relabel=as_relabel(relabel))
    if isinstance(grid, (str, Path)):
        command = launch_command(
            grid,
            data,
            out,
            overlays=overlays,
            settings=settings,
            store=store,
            relabel=relabel,
            time_limit_s=time_limit_s,
            selection=selection,
            execution=execution,
        )
        selection = replace(selection, command=command)
    require_places(data, out, store)
    run = bind(as_recipe(grid, settings, overlays), selection, data, out, store)
    if time_limit_s is not None:
        run, selection = within_time(run, selection, execution, time_limit_s)
    return drive(run, execution, selection, console or quiet(), labels=None if labels is None else Path(labels))


def resume(
    run: Place,
    *,
    settings: Sequence[str] = (),
    skip_bad: bool = False,
    everything: bool = False,
    failed: bool = False,
    force: Sequence[str] = (),
    execution: Execution | None = None,
    console: Console | None = None,
) -> LaunchResult:
    """Launch again what a RUN folder describes: the same conditions and folds, with bad clips set aside as before.

    Args:
        run: RUN folder.
        settings: changes to the grid, such as 'defaults.epochs=20'.
        skip_bad: leave bad clips out instead of refusing the dataset.
        everything: run the whole grid, also if the last launch was for a part of it.
        failed: run the failed jobs and the jobs that wait for nothing else.
        force: names of jobs to run again even if they are done.
        execution: where and how jobs run; by default as the last launch did, on this machine or at RAY_ADDRESS.
        console: shows progress and tables; by default nothing is printed.

    Returns:
        Failed jobs with their causes, and the report. A failed job raises nothing.

    Raises:
        InputError: there is no run in the folder, or another process runs it.
    """
    from orchestrator.launch import resume as drive
    from orchestrator.run.execution import Execution
    from orchestrator.run.selection import Selection

    selection = Selection(failed=failed, force=tuple(force))
    return drive(
        Path(run), checked(execution or Execution.of_run(Path(run))), console or quiet(),
        skip_bad=skip_bad, selection=selection, everything=everything, changes=tuple(settings),
    )  # fmt: skip


def search(
    grid: Place | Recipe,
    data: Place,
    out: Place,
    *,
    space: Sequence[str],
    trials: int = 30,
    condition: str | None = None,
    sampler: str = "tpe",
    overlays: Sequence[str] = (),
    settings: Sequence[str] = (),
    store: Place | None = None,
    skip_bad: bool = False,
    execution: Execution | None = None,
    console: Console | None = None,
) -> SearchResult:
    """Search settings of a condition on out-of-fold lwlrap. Searching again continues.

    Args:
        grid: name of a shipped grid, a YAML file, or a Recipe from `load_grid`.
        data: folder of the dataset, or its dataset.yaml.
        out: RUN folder of the search; made if it is not there.
        space: what is searched, such as 'lr_max=log:1e-4..1e-2', 'epochs=10..40' or 'network.width=8,16,32'.
        trials: number of trials, those of earlier calls included.
        condition: whose settings they are; by default the first of the grid.
        sampler: what proposes trials: 'tpe', 'cmaes' or 'gp'.
        overlays: names of overlays of the grid.
        settings: changes to the grid, such as 'defaults.epochs=20'.
        store: folder, s3:// or gs:// URL where results lie; by default RUN/store.
        skip_bad: leave bad clips out instead of refusing the dataset.
        execution: where and how jobs run; by default on Ray, on this machine.
        console: shows progress; by default nothing is printed.

    Raises:
        GridError: the grid is wrong, or the condition has no such setting or value.
        DataError: the dataset has problems.
        InputError: a text of the space has another form, or another process runs the folder.
    """
    from orchestrator.run.selection import Selection
    from orchestrator.search import search as drive
    from orchestrator.search import searched_recipe
    from orchestrator.studies.samplers import find_sampler
    from orchestrator.studies.space import read_space

    if trials < 1:
        raise InputError(f"--trials {trials}: must be at least 1")
    searched, kind = read_space(space), find_sampler(sampler)
    execution = checked(execution)
    recipe, name = searched_recipe(as_recipe(grid, settings, overlays), condition)
    require_places(data, out, store)
    selection = Selection(skip_bad=skip_bad)
    return drive(
        bind(recipe, selection, data, out, store), name, searched, trials=trials, sampler=kind, selection=selection,
        execution=execution, console=console or quiet(),
    )  # fmt: skip


def tune(
    run: Place,
    *,
    trials: int | None = None,
    budget: int | None = None,
    sampler: str = "tpe",
    storage: str | None = None,
    console: Console | None = None,
) -> TunedAgain:
    """Search the weights of the blend on, from the trials that there are. The blend changes only for a clear gain.

    Args:
        run: RUN folder.
        trials: number of trials of each study, those of earlier searches included; by default as many as the grid says.
        budget: largest number of predictions of the blend; by default as before.
        sampler: what proposes trials: 'tpe', 'cmaes' or 'gp'.
        storage: URL of a database for the studies, in which several processes may search at once; by default
            SONOGRID_OPTUNA_STORAGE, else RUN/optuna.journal.
        console: shows what is searched; by default nothing is printed.

    Raises:
        InputError: `trials` or `budget` is too small, there is no such sampler, or another process runs the run.
        StoreError: predictions are missing, or the database fails.
    """
    from orchestrator.tune import tune_again

    say = (console or quiet()).print
    return tune_again(Path(run), trials, budget, sampler=sampler, storage=storage, say=say)
