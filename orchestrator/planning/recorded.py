"""The graph that a launch recorded in run.json, for a run whose work the code of today would name otherwise.

A stage that computes something else has another version, and so its nodes have other signatures. What an older version
finished is still there, and a report of it must not depend on the version that prints it.
"""

from collections.abc import Mapping
from typing import Any

from orchestrator.grids.recipe import Recipe
from orchestrator.planning.graph import Graph
from orchestrator.store.node import Node, split_name

__all__ = ["recorded_graph"]


def recorded_graph(recipe: Recipe, records: Mapping[str, Mapping[str, Any]]) -> Graph | None:
    """The nodes of a run as they were launched.

    Args:
        recipe: of the run.
        records: name -> kind, payload, inputs and signature of each node, parents before children.

    Returns:
        None if the jobs of a condition cannot be found by their names, as of two conditions that share their jobs.
    """
    graph = Graph()
    signatures = {name: str(record["signature"]) for name, record in records.items()}
    for name, record in records.items():
        payload = record["payload"]
        held_out = tuple(payload.get("held_out", ()))
        condition = _condition(name, record["kind"], held_out, recipe)
        node = Node(
            name, record["kind"], payload, dict(record["inputs"]), record["signature"],
            condition=condition, held_out=held_out, trains=record["kind"] in ("train", "predict"),
        )  # fmt: skip
        graph.nodes[node.signature] = node
    for condition in recipe.conditions:
        for fold in range(recipe.data.folds):
            for kind, jobs in (("train", graph.train), ("predict", graph.predict)):
                signature = signatures.get(f"{kind}-{condition}-{fold}")
                if signature is None:
                    return None
                jobs[condition, fold] = signature
    graph.blend = signatures.get("blend")
    return graph


def _condition(name: str, kind: str, held_out: tuple[int, ...], recipe: Recipe) -> str | None:
    """The condition in the name of a training or a prediction."""
    if kind not in ("train", "predict"):
        return None
    title = name.removeprefix(f"{kind}-").removesuffix(f"-{split_name(held_out)}")
    condition = title.partition(".")[0]  # without the round
    found = (known for known in (condition, condition.removeprefix("noisy-")) if known in recipe.conditions)
    return next(found, None)
