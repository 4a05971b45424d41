"""Runs that exist in memory only: what `plan` prices before there is a RUN folder."""

import os
from pathlib import Path

from features.assumed import assumed_manifest
from features.errors import InputError
from features.manifest import build_manifest
from orchestrator.grids.recipe import Recipe
from orchestrator.run.bound import Run, check_recipe_fits
from orchestrator.store.local import LocalNodeStore

__all__ = ["NOWHERE", "assumed_run", "unstored_run"]

NOWHERE = Path(os.devnull)
"""Folder of a run that exists in memory only."""


def assumed_run(recipe: Recipe) -> Run:
    """A grid on data of FSDKaggle2019's sizes, which lies nowhere."""
    return Run(NOWHERE, recipe, NOWHERE, LocalNodeStore(NOWHERE), assumed_manifest(recipe.data))


def unstored_run(recipe: Recipe, data: Path, *, skip_bad: bool) -> Run:
    """A grid bound to a dataset, without a store: nothing is done yet, and nothing can be written.

    Raises:
        InputError: `data` is not a folder.
        DataError: the dataset has problems.
        GridError: the grid asks for what the dataset does not have.
    """
    if not data.is_dir():
        raise InputError(f"{data} is not a folder; give the dataset's folder with --data")
    manifest = build_manifest(data, recipe.data, skip_bad=skip_bad)
    check_recipe_fits(recipe, manifest)
    return Run(NOWHERE, recipe, data.resolve(), LocalNodeStore(NOWHERE), manifest)
