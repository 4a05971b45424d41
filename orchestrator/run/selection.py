"""Binding a grid to a dataset, the part of it that is wanted, and what a launch would do with that part."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from features.datasets.find import dataset_folder
from features.errors import GridError, StoreError
from features.manifest import Manifest, build_manifest
from features.relabel import Relabel
from orchestrator.grids.recipe import Recipe
from orchestrator.planning.graph import Graph
from orchestrator.planning.plan import Plan, make_plan, only_failed
from orchestrator.run.bound import Run
from orchestrator.run.fit import fit_recipe
from orchestrator.run.record import existing_run_json, read_run_json
from orchestrator.run.starts import check_starts
from orchestrator.store.interfaces import DriverStore
from orchestrator.store.open import default_store, open_store

__all__ = ["Selection", "bind", "plan_of", "prepare", "read_asked"]


@dataclass(frozen=True)
class Selection:
    """Which conditions and folds are wanted; empty: all."""

    conditions: tuple[str, ...] = ()
    folds: tuple[int, ...] = ()
    failed: bool = False
    """Only pending jobs that failed, and those blocked by nothing else."""
    force: tuple[str, ...] = ()
    """Names of nodes to compute again although they are done."""
    skip_bad: bool = False
    """Whether bad clips were set aside; the run's manifest has been made with it."""
    time_limit: Mapping[str, Any] | None = None
    """What was chosen to fit into a time (`orchestrator.run.time_limit`); the run's recipe has been made with it."""

    relabel: Relabel | None = None
    """Labels that replaced those of the dataset's lists; the run's manifest has been made with them."""
    command: str = ""
    """The command line that was typed, for reports; empty for a grid that was made in Python."""

    def asked(self) -> dict[str, Any]:
        """What `run.json` remembers, for `resume`."""
        asked = {"only": list(self.conditions), "folds": list(self.folds), "skip_bad": self.skip_bad}
        more = {
            "time_limit": None if self.time_limit is None else dict(self.time_limit),
            "relabel": None if self.relabel is None else self.relabel.to_json(),
            "command": self.command or None,
        }
        return asked | {name: value for name, value in more.items() if value is not None}

    def check(self, recipe: Recipe) -> None:
        """Refuse conditions and folds that a grid doesn't have.

        Raises:
            GridError: an unknown condition or fold.
        """
        for name in self.conditions:
            if name not in recipe.conditions:
                raise GridError(f"--only {name}: there is no such condition; there are {', '.join(recipe.conditions)}")
        for fold in self.folds:
            if not 0 <= fold < recipe.data.folds:
                raise GridError(f"--folds {fold}: the grid has folds 0 to {recipe.data.folds - 1}")

    def apply(self, run: Run) -> Graph:
        """The part of a run's graph that the selection needs.

        Raises:
            GridError: an unknown condition or fold.
        """
        self.check(run.recipe)
        if not self.conditions and not self.folds:
            return run.graph
        return run.graph.closure(
            signature
            for (name, fold), signature in run.graph.predict.items()
            if name in (self.conditions or (name,)) and fold in (self.folds or (fold,))
        )


def prepare(
    recipe: Recipe,
    data: Path,
    out: Path,
    store: str | Path | None = None,
    *,
    skip_bad: bool = False,
    relabel: Relabel | None = None,
) -> Run:
    """Check a dataset and bind a grid to it, without running anything.

    Raises:
        DataError: the dataset has problems; all are named.
    """
    root = dataset_folder(data)
    opened = open_store(store or default_store(out))
    return bind(recipe, root, out, opened, skip_bad=skip_bad, cache=opened.root / "probes.json", relabel=relabel)


def bind(
    recipe: Recipe,
    data: Path,
    out: Path,
    store: DriverStore,
    *,
    skip_bad: bool = False,
    cache: Path | None = None,
    relabel: Relabel | None = None,
) -> Run:
    """Check a dataset and bind to it what of a grid it can serve.

    Args:
        recipe: the grid.
        data: folder of the dataset, or its dataset.yaml.
        out: RUN folder.
        store: where results lie.
        skip_bad: set bad clips aside.
        cache: JSON file that remembers checked files.
        relabel: labels that replace those of the dataset's lists.

    Raises:
        InputError: there is no such dataset.
        DataError: the dataset has problems; all are named.
        GridError: a network can't start from the file that it names.
    """
    root = dataset_folder(data)
    manifest = build_manifest(root, recipe.data, skip_bad=skip_bad, cache=cache, relabel=relabel)
    fitted, notes = fit_recipe(recipe, manifest)
    check_starts(fitted)
    return Run(out, fitted, root.resolve(), store, manifest, notes=notes)


def read_asked(folder: Path) -> Selection:
    """What the last launch into a RUN folder was asked for.

    Raises:
        InputError: there is no run, or it is of another version of sonogrid.
    """
    asked = existing_run_json(folder).get("asked", {})
    relabel = asked.get("relabel")
    return Selection(
        tuple(asked.get("only", ())), tuple(asked.get("folds", ())), skip_bad=asked.get("skip_bad", False),
        time_limit=asked.get("time_limit"), relabel=None if relabel is None else Relabel.from_json(relabel),
        command=asked.get("command", ""),
    )  # fmt: skip


def plan_of(run: Run, selection: Selection) -> Plan:
    """What a launch would do now, compared with the last launch into the same folder."""
    previous = read_run_json(run.folder)
    if previous is None:
        plan = make_plan(selection.apply(run), run.store, force=selection.force)
    else:
        changes = _data_changes(run, previous["manifest"])
        plan = make_plan(selection.apply(run), run.store, previous["nodes"], selection.force, changes)
    return only_failed(plan) if selection.failed else plan


def _data_changes(run: Run, earlier: str) -> Callable[[str], str]:
    """How a subset's clips differ from an earlier manifest in the store, in words."""
    if earlier == run.manifest_name:
        return lambda _: ""
    try:
        before = Manifest.read(run.store.results_of(earlier))
    except StoreError:  # it was removed or is damaged: all that is known is that something changed
        return lambda _: ""
    return cache(lambda subset: run.manifest.changes(before, subset))
