"""Runs that exist in memory only: what `plan` prices before there is a RUN folder."""

import os
from pathlib import Path

from features.assumed import assumed_manifest
from features.relabel import Relabel
from orchestrator.grids.recipe import Recipe
from orchestrator.run.bound import Run
from orchestrator.run.selection import bind
from orchestrator.store.local import LocalNodeStore

__all__ = ["NOWHERE", "assumed_run", "unstored_run"]

NOWHERE = Path(os.devnull)
"""Folder of a run that exists in memory only."""


def assumed_run(recipe: Recipe) -> Run:
    """A grid on data of FSDKaggle2019's sizes, which lies nowhere."""
    return Run(NOWHERE, recipe, NOWHERE, LocalNodeStore(NOWHERE), assumed_manifest(recipe.data))


def unstored_run(recipe: Recipe, data: Path, *, skip_bad: bool, relabel: Relabel | None = None) -> Run:
    """A grid bound to a dataset, without a store: nothing is done yet, and nothing can be written.

    Raises:
        InputError: there is no such dataset.
        DataError: the dataset has problems.
    """
    return bind(recipe, data, NOWHERE, LocalNodeStore(NOWHERE), skip_bad=skip_bad, relabel=relabel)
