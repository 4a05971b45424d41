"""A grid with fewer conditions and fewer epochs."""

import json
from collections.abc import Collection
from typing import Any

from orchestrator.grids.condition import parents
from orchestrator.grids.recipe import Recipe

__all__ = ["last_to_spare", "shortened"]

_IN_EPOCHS = ("ramp_start", "ramp_end", "ramp_epochs")
"""Settings of semi-supervised methods that are numbers of epochs."""


def last_to_spare(recipe: Recipe, kept: Collection[str]) -> str | None:
    """The last of the kept conditions that no other one needs; None if what is left has to stay.

    Rows of a grid go from what is simple to what builds on it.
    """
    needed = {other for name in kept for other in parents(recipe.conditions[name].train).values()}
    blended = [name for name in recipe.blended if name in kept]
    for name in reversed(list(kept)):
        if name not in needed and (name not in blended or len(blended) > 1):
            return name
    return None


def shortened(recipe: Recipe, kept: Collection[str], share: float) -> Recipe:
    """Leave out conditions, and train the others for a share of their epochs, at least one per cycle.

    Ensembles and comparisons with a condition that is left out are left out too.

    Args:
        recipe: the grid.
        kept: names of conditions, with those that they need.
        share: above 0 and at most 1.
    """
    raw: dict[str, Any] = recipe.model_dump(mode="json")
    raw["conditions"] = {name: row for name, row in raw["conditions"].items() if name in kept}
    for row in raw["conditions"].values():
        _train_less(row["train"], share)
    raw["members"] = [name for name in raw["members"] if name in kept]
    weights = {name: weight for name, weight in raw["paper_weights"].items() if name in kept}
    raw["paper_weights"] = weights if any(weights.get(name) for name in raw["members"] or kept) else {}
    raw["ensembles"] = {name: one for name, one in raw["ensembles"].items() if one["members"].keys() <= {*kept}}
    known = {*kept, *raw["ensembles"]}
    raw["comparisons"] = {name: pair for name, pair in raw["comparisons"].items() if {*pair} <= known}
    published = raw["published"]
    published["cv"] = {name: score for name, score in published["cv"].items() if name in kept}
    published["ensembles"] = {n: score for n, score in published["ensembles"].items() if n in raw["ensembles"]}
    return Recipe.model_validate_json(json.dumps(raw))


def _train_less(train: dict[str, Any], share: float) -> None:
    if share >= 1:
        return
    train["epochs"] = max(1, round(share * train["epochs"]))
    for name in _IN_EPOCHS:
        if train["semi"] and name in train["semi"]:
            train["semi"][name] *= share
    for rescue in train["rescue"].values():
        rescue["after"] = int(share * rescue["after"])
