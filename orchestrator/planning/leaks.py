"""Which labels a result has seen, through all that it was made from.

An out-of-fold score is honest only if nothing that led to it saw the labels of the clips it is measured on. Warm starts
and soft labels carry labels from one job to another, so a node has seen what its ancestors saw.
"""

from orchestrator.grids.recipe import Recipe
from orchestrator.planning.graph import Graph

__all__ = ["labels_seen", "leaky_conditions"]


def labels_seen(graph: Graph, folds: int) -> dict[str, frozenset[int]]:
    """For every node, the folds of curated clips whose labels are in it: its own training part and its ancestors'."""
    seen: dict[str, frozenset[int]] = {}
    for signature, node in graph.nodes.items():
        own = frozenset(range(folds)) - set(node.held_out) if node.kind == "train" else frozenset()
        seen[signature] = own.union(*(seen[parent] for parent in node.parents))
    return seen


def leaky_conditions(recipe: Recipe, graph: Graph) -> list[str]:
    """Conditions of which a fold is predicted by something that saw this fold's labels, and the blend if it holds one.

    Soft labels of *all* folds do that, and whatever starts from or learns from a condition that has them.
    """
    seen = labels_seen(graph, recipe.data.folds)
    leaky = {name for (name, fold), signature in graph.predict.items() if fold in seen[signature]}
    names = [name for name in recipe.conditions if name in leaky]
    return [*names, "blend"] if leaky & set(recipe.blended) else names
