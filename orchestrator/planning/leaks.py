"""Which labels a result depends on, through all its inputs.

An out-of-fold score is honest only if no job behind it saw the labels of the clips it is measured on. Warm starts and
soft labels carry labels from one job to another, so a node depends on all labels that its ancestors saw. Nor is a score
honest on clips that an encoder was trained on.
"""

from collections.abc import Mapping

from orchestrator.grids.recipe import Recipe
from orchestrator.planning.graph import Graph
from orchestrator.planning.seen import SeenClips

__all__ = ["labels_seen", "leaky_conditions"]


def labels_seen(graph: Graph, folds: int) -> dict[str, frozenset[int]]:
    """For each node, the folds of curated clips whose labels it depends on: those it trains on and its ancestors'."""
    seen: dict[str, frozenset[int]] = {}
    for signature, node in graph.nodes.items():
        own = frozenset(range(folds)) - set(node.held_out) if node.kind == "train" else frozenset()
        seen[signature] = own.union(*(seen[parent] for parent in node.parents))
    return seen


def leaky_conditions(recipe: Recipe, graph: Graph, encoders: Mapping[str, SeenClips]) -> list[str]:
    """Conditions with a fold whose predictions depend on this fold's labels, and 'blend' if one is a member.

    Soft labels of *all* folds have this effect, on the condition that learns from them and on all that descend from it.
    So has an encoder that was trained on curated or test clips.

    Args:
        recipe: the grid.
        graph: its nodes.
        encoders: the clips that the encoders behind a condition have seen, by condition.
    """
    seen = labels_seen(graph, recipe.data.folds)
    leaky = {name for (name, fold), signature in graph.predict.items() if fold in seen[signature]}
    leaky |= {name for name, clips in encoders.items() if clips.keys() & {"curated", "test"}}
    names = [name for name in recipe.conditions if name in leaky]
    return [*names, "blend"] if leaky & set(recipe.blended) else names
