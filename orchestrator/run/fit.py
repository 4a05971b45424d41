"""What of a grid a dataset can serve: without noisy clips, conditions are trained without them."""

from typing import Any

from features.manifest import Manifest
from features.words import listed
from orchestrator.grids.recipe import Recipe
from trainers.settings import TrainSettings

__all__ = ["fit_recipe"]

_OFF: dict[str, Any] = {"multitask": False, "validate_noisy": False, "pseudo": None, "semi": None}
"""Settings of a training that learns from curated clips alone."""
_SHOWN = ("multitask", "pseudo", "semi", "distill.noisy")


def fit_recipe(recipe: Recipe, manifest: Manifest) -> tuple[Recipe, tuple[str, ...]]:
    """Leave out what needs noisy clips where the dataset has none.

    Args:
        recipe: the grid as it was written.
        manifest: the dataset.

    Returns:
        The grid without second heads, pseudo labels and semi-supervised methods, and a sentence that says so; the grid
        itself, and no sentence, if nothing has to be left out.
    """
    if len(manifest.subset("noisy")):
        return recipe, ()
    dropped = {
        name: [field for field in _SHOWN if _has(condition.train, field)]
        for name, condition in recipe.conditions.items()
    }
    dropped = {name: fields for name, fields in dropped.items() if fields}
    if not dropped:
        return recipe, ()
    raw = recipe.model_dump()
    for name in dropped:
        train = raw["conditions"][name]["train"]
        train |= _OFF
        if train.get("distill"):
            train["distill"]["noisy"] = False
        raw["conditions"][name]["predict"]["heads"] = ("curated",)
    for ensemble in raw["ensembles"].values():
        for name in dropped.keys() & ensemble["members"].keys():
            ensemble["members"][name]["heads"] = ("curated",)
    fields = [field for field in _SHOWN if any(field in of for of in dropped.values())]
    sentence = (
        f"no noisy clips: {listed(list(dropped), most=20)} {'is' if len(dropped) == 1 else 'are'} trained without"
    )
    return Recipe.model_validate(raw), (f"{sentence} {', '.join(fields)}",)


def _has(train: TrainSettings, field: str) -> bool:
    if field == "distill.noisy":
        return train.distill is not None and train.distill.noisy
    return bool(getattr(train, field))
