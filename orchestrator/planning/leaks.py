"""Which labels a result depends on, through all its inputs.

An out-of-fold score is honest only if no job behind it saw the labels of the clips it is measured on. Warm starts and
soft labels carry labels from one job to another, so a node depends on all labels that its ancestors saw. Nor is a score
honest on clips that an encoder was trained on.

A copy of a clip, or another clip of its group, counts as the clip. Curated and noisy ones are in one fold, but some
trainings use the noisy clips of all folds, and no fold holds out what is also a test clip.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from features.manifest import Manifest
from orchestrator.grids.recipe import Recipe
from orchestrator.planning.graph import Graph
from orchestrator.planning.seen import SeenClips
from orchestrator.store.node import Node

__all__ = ["Overlaps", "find_overlaps", "labels_seen", "leaky_conditions", "leaky_on_test"]


@dataclass(frozen=True)
class Overlaps:
    """Where copies of a recording, or clips of a group, are in several parts of a dataset."""

    noisy: frozenset[int] = frozenset()
    """Folds with a curated clip of which a copy, or another clip of its group, is noisy."""
    test_curated: bool = False
    """Whether this holds for a test clip and a curated one."""
    test_noisy: bool = False
    """Whether this holds for a test clip and a noisy one."""


def find_overlaps(manifest: Manifest) -> Overlaps:
    """Compare the audio and the groups of a dataset's parts."""
    curated, noisy, test = (_keys(manifest.subset(subset)) for subset in ("curated", "noisy", "test"))
    shared = curated[curated["key"].isin(noisy["key"])]
    return Overlaps(
        frozenset(int(fold) for fold in shared["fold"]),
        test_curated=bool(test["key"].isin(curated["key"]).any()),
        test_noisy=bool(test["key"].isin(noisy["key"]).any()),
    )


def _keys(clips: pd.DataFrame) -> pd.DataFrame:
    """What the clips have in common with their copies and with others of their group: rows of key and fold."""
    grouped = clips[clips["group"] != clips["clip"]]  # a clip without a group is a group of its own name
    parts = [clips[["fold"]].assign(key="audio " + clips["sha256"])]
    parts.append(grouped[["fold"]].assign(key="group " + grouped["group"]))
    return pd.concat(parts)


def labels_seen(graph: Graph, folds: int, overlaps: Overlaps = Overlaps()) -> dict[str, frozenset[int]]:
    """For each node, the folds of curated clips whose labels it depends on: those it trains on and its ancestors'."""
    seen: dict[str, frozenset[int]] = {}
    for signature, node in graph.nodes.items():
        own: frozenset[int] = frozenset()
        if node.kind == "train":
            own = frozenset(range(folds)) - set(node.held_out)
            own |= overlaps.noisy if _uses_all_noisy(node) else frozenset()
        seen[signature] = own.union(*(seen[parent] for parent in node.parents))
    return seen


def _uses_all_noisy(node: Node) -> bool:
    """Whether a training uses the noisy clips of its held-out folds too."""
    train = node.payload["train"]
    return bool(train["multitask"] and train.get("noisy") == "all")


def leaky_conditions(
    recipe: Recipe, graph: Graph, encoders: Mapping[str, SeenClips], overlaps: Overlaps = Overlaps()
) -> list[str]:
    """Conditions with a fold whose predictions depend on this fold's labels, and 'blend' if one is a member.

    Soft labels of *all* folds have this effect, on the condition that learns from them and on all that descend from it.
    So has an encoder that was trained on curated clips.

    Args:
        recipe: the grid.
        graph: its nodes.
        encoders: the clips that the encoders behind a condition have seen, by condition.
        overlaps: copies and groups that several parts of the dataset share.
    """
    seen = labels_seen(graph, recipe.data.folds, overlaps)
    leaky = {name for (name, fold), signature in graph.predict.items() if fold in seen[signature]}
    leaky |= {name for name, clips in encoders.items() if "curated" in clips}
    return _with_blend(recipe, leaky)


def leaky_on_test(
    recipe: Recipe, graph: Graph, encoders: Mapping[str, SeenClips], overlaps: Overlaps = Overlaps()
) -> list[str]:
    """Conditions of which a network, or one it depends on, was trained on a copy of a test clip or on its group.

    Or their encoder was trained on a test clip. Arguments are those of `leaky_conditions`.
    """
    trained_on: dict[str, bool] = {}
    for signature, node in graph.nodes.items():
        own = node.kind == "train" and (overlaps.test_curated or (overlaps.test_noisy and "noisy" in node.payload))
        trained_on[signature] = own or any(trained_on[parent] for parent in node.parents)
    leaky = {name for (name, _), signature in graph.predict.items() if trained_on[signature]}
    return _with_blend(recipe, leaky | {name for name, clips in encoders.items() if "test" in clips})


def _with_blend(recipe: Recipe, leaky: set[str]) -> list[str]:
    names = [name for name in recipe.conditions if name in leaky]
    return [*names, "blend"] if leaky & set(recipe.blended) else names
