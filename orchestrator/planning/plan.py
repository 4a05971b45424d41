"""The plan: what would happen to each node, and why. A pure function of the graph, the store and the last launch.

Actions: *cached* (already done), *new*, *changed* (the node of this name had other settings or inputs at the last
launch), *retry* (failed before), *continue* (interrupted before), *repair* (the result is damaged), *force* (asked
for by the user).
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from features.errors import GridError
from features.manifest import SUBSETS
from features.words import nearest
from orchestrator.planning.graph import Graph
from orchestrator.store.interfaces import DriverStore
from orchestrator.store.node import Node
from orchestrator.without_gc import uncollected

__all__ = ["Action", "Plan", "PlannedNode", "make_plan", "only_failed", "require_nodes"]

Action = Literal["cached", "new", "changed", "retry", "continue", "repair", "force"]
FROM_STATE: dict[str, Action] = {
    "done": "cached", "failed": "retry", "partial": "continue", "new": "new", "damaged": "repair",
}  # fmt: skip


@dataclass(frozen=True)
class PlannedNode:
    """The action for a node, and the reason."""

    node: Node
    action: Action
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"name": self.node.name, "kind": self.node.kind, "action": self.action, "reason": self.reason}


@dataclass(frozen=True)
class Plan:
    """The nodes of a graph, inputs before the nodes that use them."""

    graph: Graph
    nodes: tuple[PlannedNode, ...]

    @property
    def pending(self) -> tuple[PlannedNode, ...]:
        """The nodes to run."""
        return tuple(planned for planned in self.nodes if planned.action != "cached")

    def counts(self) -> dict[str, Counter[str]]:
        """Number of nodes by kind and action."""
        table: dict[str, Counter[str]] = {}
        for planned in self.nodes:
            table.setdefault(planned.node.kind, Counter())[planned.action] += 1
        return table


def require_nodes(graph: Graph, force: Collection[str]) -> None:
    """Check that all names to force exist.

    Raises:
        GridError: `force` names a node that the graph does not have.
    """
    known = {node.name for node in graph.nodes.values()} if force else set()
    for name in force:
        if name not in known:
            near = nearest(name, known)
            hint = f"did you mean '{near}'?" if near else "'sonogrid status RUN' lists them"
            raise GridError(f"--force {name}: the grid has no such node; {hint}")


@uncollected
def make_plan(
    graph: Graph,
    store: DriverStore,
    previous: Mapping[str, Any] | None = None,
    force: Collection[str] = (),
    data_changes: Callable[[str], str] = lambda _: "",
) -> Plan:
    """Compare a graph with the store.

    Args:
        graph: the nodes to reach.
        store: the results that exist.
        previous: nodes of the last launch by name: {"signature", "payload", "inputs": {role: [signature, ...]}}.
        force: names of done nodes to compute again.
        data_changes: subset -> how its clips differ from those of the last launch, in words.

    Raises:
        GridError: `force` names a node that the graph does not have.
    """
    require_nodes(graph, force)
    names = {old["signature"]: name for name, old in (previous or {}).items()}
    planned = []
    for node in graph.nodes.values():
        state = store.inspected(node)
        action = FROM_STATE[state.state]
        reason = {
            "cached": "done", "new": "not run yet", "retry": f"failed: {state.cause}", "continue": "interrupted",
            "repair": str(state.cause),
        }[action]  # fmt: skip
        old = (previous or {}).get(node.name)
        if action == "new" and old is not None and old["signature"] != node.signature:
            action, reason = "changed", _difference(node, old, names, graph, data_changes)
        if action == "cached" and node.name in force:
            action, reason = "force", "asked for"
        planned.append(PlannedNode(node, action, reason))
    return Plan(graph, tuple(planned))


def only_failed(plan: Plan) -> Plan:
    """The plan with only those pending nodes that failed, or that depend on failed nodes alone."""
    chosen: set[str] = set()
    left: set[str] = set()
    for planned in plan.nodes:
        node = planned.node
        if planned.action == "cached":
            continue
        follows_chosen = any(parent in chosen for parent in node.parents)
        if planned.action == "retry" or (follows_chosen and not any(parent in left for parent in node.parents)):
            chosen.add(node.signature)
        else:
            left.add(node.signature)
    # A failed node may itself depend on one that never ran.
    wanted = plan.graph.closure(chosen).nodes
    return Plan(plan.graph, tuple(p for p in plan.nodes if p.action == "cached" or p.node.signature in wanted))


def _difference(
    node: Node,
    old: Mapping[str, Any],
    names: Mapping[str, str],
    graph: Graph,
    data_changes: Callable[[str], str],
) -> str:
    before, now = _flat(old["payload"]), _flat(node.payload)
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key):
            if key in SUBSETS or key.startswith("clips"):
                subset = node.shard.subset if node.shard is not None else key.removeprefix("clips.")
                if key not in before or key not in now:
                    return f"{subset} clips are {'no longer' if key in before else 'now'} used"
                return f"data changed: {data_changes(subset) or f'{subset} clips, labels or folds'}"
            return f"{key} {before.get(key)!r} -> {now.get(key)!r}"
    for role, signatures in node.inputs.items():
        for index, signature in enumerate(signatures):
            earlier = old["inputs"].get(role, [])
            if index >= len(earlier) or earlier[index] != signature:
                name = names.get(signature) or graph.nodes[signature].name
                return f"input changed: {name}"
    return "its stage's schema changed"


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, Mapping) and value:
        return {key: leaf for name, inner in value.items() for key, leaf in _flat(inner, f"{prefix}.{name}").items()}
    return {prefix.lstrip("."): value}
