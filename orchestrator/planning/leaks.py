"""Which labels a result depends on, through all its inputs.

An out-of-fold score is honest only if no job behind it saw the labels of the clips it is measured on. Warm starts and
soft labels carry labels from one job to another, so a node depends on all labels that its ancestors saw.
"""

from orchestrator.grids.recipe import Recipe
from orchestrator.planning.graph import Graph

__all__ = ["labels_seen", "leaky_conditions"]


def labels_seen(graph: Graph, folds: int) -> dict[str, frozenset[int]]:
    """For each node, the folds of curated clips whose labels it depends on: those it trains on and its ancestors'."""
    seen: dict[str, frozenset[int]] = {}
    for signature, node in graph.nodes.items():
        own = frozenset(range(folds)) - set(node.held_out) if node.kind == "train" else frozenset()
        seen[signature] = own.union(*(seen[parent] for parent in node.parents))
    return seen


def leaky_conditions(recipe: Recipe, graph: Graph) -> list[str]:
    """Conditions with a fold whose predictions depend on this fold's labels, and 'blend' if one is a member.

    Soft labels of *all* folds have this effect, on the condition that learns from them and on all that descend from it.
    """
    seen = labels_seen(graph, recipe.data.folds)
    leaky = {name for (name, fold), signature in graph.predict.items() if fold in seen[signature]}
    names = [name for name in recipe.conditions if name in leaky]
    return [*names, "blend"] if leaky & set(recipe.blended) else names
