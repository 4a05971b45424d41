"""Arguments that several functions share: grids, places, how to run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from features.relabel import Relabel
    from orchestrator.grids.recipe import Recipe
    from orchestrator.run.bound import Run
    from orchestrator.run.execution import Execution
    from orchestrator.run.selection import Selection

__all__ = ["Place", "as_recipe", "as_relabel", "bind", "checked", "open_run", "quiet", "require_places", "within_time"]

Place = str | Path


def open_run(run: Place) -> Run:
    """The run in a RUN folder, with its dataset."""
    from orchestrator.run.bound import Run

    return Run.open(Path(run))


def as_recipe(grid: Place | Recipe, settings: Sequence[str], overlays: Sequence[str]) -> Recipe:
    """A grid by name, file or Recipe, as a Recipe."""
    if isinstance(grid, (str, Path)):
        from orchestrator.grids.load import load_grid

        return load_grid(str(grid), settings, overlays)
    if settings or overlays:
        raise InputError("settings and overlays change a grid as it is read: give them to load_grid")
    return grid


def require_places(data: Place | None, out: Place | None, store: Place | None) -> None:
    """Refuse places where no run or store can be, before anything is read."""
    from orchestrator.run.places import require_place

    folder = None if data is None else Path(data)
    if folder is not None and folder.is_file():  # its dataset.yaml
        folder = folder.parent
    for option, place in (("--out", out), ("--store", store)):
        if place is not None and "://" not in str(place):
            require_place(option, Path(place), folder)


def as_relabel(csv: Place | None) -> Relabel | None:
    """The labels of a CSV that replace those of the dataset."""
    from features.relabel import Relabel

    return None if csv is None else Relabel.read(Path(csv))


def bind(recipe: Recipe, selection: Selection, data: Place, out: Place, store: Place | None) -> Run:
    """A grid bound to a dataset, once everything that was given is checked."""
    from orchestrator.run.selection import prepare

    selection.check(recipe)
    return prepare(recipe, Path(data), Path(out), store, skip_bad=selection.skip_bad, relabel=selection.relabel)


def within_time(
    run: Run, selection: Selection, execution: Execution | None, time_limit_s: float
) -> tuple[Run, Selection]:
    """The part of a grid that fits into a time."""
    from orchestrator.run.execution import Execution
    from orchestrator.run.time_limit import within

    return within(run, selection, execution or Execution.create("ray", None), time_limit_s)


def checked(execution: Execution | None) -> Execution:
    """The execution that was given, or the default one; never one that cannot drive a grid from this process."""
    from orchestrator.executors.ray.connect import check_address
    from orchestrator.run.execution import Execution

    execution = execution or Execution.create("ray", None)
    if execution.executor == "ray":
        check_address(execution.address)
    return execution


def quiet() -> Console:
    """A console that prints nothing."""
    from rich.console import Console

    return Console(quiet=True)
