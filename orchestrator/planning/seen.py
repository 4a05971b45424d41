"""Which conditions use data from outside the dataset, and which of its clips their encoders have seen in training.

A score on clips that a network was trained on says little, whoever trained it. So the clips that a condition's encoder
has seen count as seen by the condition, and by all conditions that start from it or learn from its labels.
"""

import re
from collections.abc import Callable, Iterable, Mapping

import pandas as pd

from features.manifest import SUBSETS, Manifest, Subset
from features.settings import EmbeddingSettings, FeatureSettings
from orchestrator.grids.condition import parents
from orchestrator.grids.recipe import Recipe

__all__ = ["SeenClips", "clips_seen", "outside_conditions"]

SHORTEST_ID = 3
"""Digits of the shortest Freesound id that is looked for in names of clips; shorter numbers are counters."""

SeenClips = Mapping[Subset, frozenset[str]]
"""Names of clips by subset; only subsets with such clips."""


def clips_seen(
    recipe: Recipe, manifest: Manifest, lines_of: Callable[[EmbeddingSettings], Iterable[str]]
) -> dict[str, SeenClips]:
    """The clips that the encoders behind each condition have seen: its own and those of conditions it depends on.

    Args:
        recipe: the grid.
        manifest: the dataset.
        lines_of: the lines of the file that `seen` names.

    Returns:
        By condition; conditions that have seen no clip are left out.
    """
    own: dict[FeatureSettings, SeenClips] = {}
    found: dict[str, SeenClips] = {}

    def seen_by(name: str) -> SeenClips:
        if name not in found:
            features = recipe.conditions[name].features
            if features not in own:
                own[features] = _of_encoder(features, manifest, lines_of)
            sources = [own[features], *map(seen_by, parents(recipe.conditions[name].train).values())]
            found[name] = {
                subset: frozenset().union(*(source.get(subset, ()) for source in sources))
                for subset in SUBSETS
                if any(subset in source for source in sources)
            }
        return found[name]

    return {name: seen for name in recipe.conditions if (seen := seen_by(name))}


def outside_conditions(recipe: Recipe) -> list[str]:
    """Conditions that use data from outside the dataset, and 'blend' if one is a member.

    They read embeddings, start from the weights of a file, or depend on a condition that does.
    """
    found: dict[str, bool] = {}

    def uses(name: str) -> bool:
        if name not in found:
            condition = recipe.conditions[name]
            own = condition.features.kind == "embedding" or getattr(condition.train.network, "init_from", None)
            found[name] = bool(own) or any(map(uses, parents(condition.train).values()))
        return found[name]

    names = [name for name in recipe.conditions if uses(name)]
    return [*names, "blend"] if {*names} & {*recipe.blended} else names


def _of_encoder(
    features: FeatureSettings, manifest: Manifest, lines_of: Callable[[EmbeddingSettings], Iterable[str]]
) -> SeenClips:
    if not isinstance(features, EmbeddingSettings) or not features.seen:
        return {}
    frames = {subset: manifest.subset(subset) for subset in SUBSETS}
    if isinstance(features.seen, str):
        entries = {line.partition("#")[0].strip() for line in lines_of(features)} - {""}
        seen = {subset: _matching(frame, entries) for subset, frame in frames.items()}
    else:
        seen = {subset: frozenset(frames[subset]["clip"]) for subset in features.seen}
    return {subset: clips for subset, clips in seen.items() if clips}


def _matching(clips: pd.DataFrame, entries: set[str]) -> frozenset[str]:
    """Clips whose name, with or without its ending, or group is listed, or whose name holds a listed number."""
    found = set()
    for clip, group in zip(clips["clip"], clips["group"], strict=True):
        stem = clip.rpartition(".")[0] or clip
        numbers = (number for number in re.findall(r"\d+", stem) if len(number) >= SHORTEST_ID)
        if not entries.isdisjoint({clip, stem, group, *numbers}):
            found.add(clip)
    return frozenset(found)
