"""The action and the reason of each node, on a finished run and on fakes."""

import pytest

from features.errors import GridError
from orchestrator.planning.graph import Graph
from orchestrator.planning.plan import Plan, PlannedNode, make_plan, only_failed, require_nodes
from orchestrator.run.bound import Run
from orchestrator.store.marks import Failure
from orchestrator.store.node import Node
from tests.fixtures.harm import attempt_at, fail


def actions(plan: Plan) -> dict[str, tuple[str, str]]:
    return {planned.node.name: (planned.action, planned.reason) for planned in plan.nodes}


def by_name(run: Run) -> dict[str, Node]:
    return {node.name: node for node in run.graph.nodes.values()}


def test_a_finished_run_is_cached(inline_run: Run) -> None:
    plan = make_plan(inline_run.graph, inline_run.store)
    assert set(actions(plan).values()) == {("cached", "done")}
    assert plan.pending == ()
    assert plan.counts()["train"] == {"cached": 8}


def test_a_node_to_force_is_computed_again_and_no_other(inline_run: Run) -> None:
    plan = make_plan(inline_run.graph, inline_run.store, force=["train-A-1"])
    assert [(planned.node.name, planned.action) for planned in plan.pending] == [("train-A-1", "force")]


def test_failed_interrupted_and_missing_nodes_are_told_apart(copy: Run) -> None:
    nodes = by_name(copy)
    fail(copy, nodes["train-A-0"], Failure(cause="it broke"))
    with attempt_at(copy, nodes["train-A-1"]):
        pass
    copy.store.forget(nodes["blend"])
    found = actions(make_plan(copy.graph, copy.store))
    assert found["train-A-0"] == ("retry", "failed: it broke")
    assert found["train-A-1"] == ("continue", "interrupted")
    assert found["train-D-0"] == ("cached", "done")


def test_a_changed_setting_is_named(inline_run: Run) -> None:
    node = by_name(inline_run)["train-A-0"]
    old = {
        "signature": "0" * 64,
        "payload": {**node.payload, "train": {**node.payload["train"], "lr_max": 0.5}},
        "inputs": node.inputs,
    }
    graph, store = inline_run.graph.closure([node.signature]), type(inline_run.store)(inline_run.folder / "none")
    action, reason = actions(make_plan(graph, store, {"train-A-0": old}))["train-A-0"]
    assert action == "changed"
    assert reason == f"train.lr_max 0.5 -> {node.payload['train']['lr_max']!r}"
    changed = {**old, "payload": {**node.payload, "curated": "0" * 64}}
    action, reason = actions(make_plan(graph, store, {"train-A-0": changed}, (), lambda subset: f"{subset} grew"))[
        "train-A-0"
    ]
    assert (action, reason) == ("changed", "data changed: curated grew")


def test_clips_that_a_node_used_before_or_uses_now_are_not_called_changed(inline_run: Run) -> None:
    """A prediction read the noisy clips too, before only teachers did."""
    node = by_name(inline_run)["predict-A-0"]
    graph, store = inline_run.graph.closure([node.signature]), type(inline_run.store)(inline_run.folder / "none")
    clips = node.payload["clips"]
    for now_or_before, was in (
        ("noisy clips are no longer used", {**clips, "noisy": "0"}),
        ("test clips are now used", {"curated": clips["curated"]}),
    ):
        old = {"signature": "0" * 64, "payload": {**node.payload, "clips": was}, "inputs": node.inputs}
        assert actions(make_plan(graph, store, {"predict-A-0": old}))["predict-A-0"] == ("changed", now_or_before)


def test_only_failed_nodes_and_what_depends_on_nothing_else() -> None:
    def node(name: str, *parents: str) -> Node:
        return Node(name, "train", {}, {"inputs": parents}, name)

    graph = Graph()
    rows = [
        (node("done"), "cached"), (node("failed", "done"), "retry"), (node("child", "failed"), "new"),
        (node("other"), "new"), (node("both", "failed", "other"), "new"),
    ]  # fmt: skip
    graph.nodes = {each.signature: each for each, _ in rows}
    plan = Plan(graph, tuple(PlannedNode(each, action, "") for each, action in rows))  # type: ignore[arg-type]
    assert [planned.node.name for planned in only_failed(plan).pending] == ["failed", "child"]


def test_an_unknown_node_to_force_is_an_error_that_names_the_nearest(inline_run: Run) -> None:
    with pytest.raises(GridError, match="--force train-A-9: the grid has no such node; did you mean 'train-A-"):
        require_nodes(inline_run.graph, ["train-A-9"])
    with pytest.raises(GridError, match="'sonogrid status RUN' lists them"):
        require_nodes(inline_run.graph, ["zzz"])
