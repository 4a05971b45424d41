"""What the nodes of a grid hold: payloads and inputs are signed, so a name that changes computes old work again."""

from typing import Any

import pytest

from features.manifest import Manifest
from orchestrator.grids.load import parse_grid
from orchestrator.planning.graph import Graph, build_graph, subset_hash
from orchestrator.store.node import Node, signature_of
from tests.fixtures.manifests import manifest_of

MANIFEST = manifest_of([0, 1, 2, 0, 1, 2], noisy=4, test=2)
ROW: dict[str, Any] = {"network": {"kind": "resnet", "depth": 10, "width": 8}, "crop": 16, "epochs": 2, "cycles": 2}
ROWS: dict[str, dict[str, Any]] = {
    "plain": ROW,
    "A": {**ROW, "multitask": True, "predict": {"pads": [2, 4], "heads": ["curated", "noisy"]}},
    "all": {**ROW, "multitask": True, "init_from": "plain", "pseudo": {"teacher": "A", "folds": "all"}},
    "hard": {**ROW, "pseudo": {"teacher": "A", "folds": "same", "labels": "hard"}},
    "crossed": {**ROW, "pseudo": {"teacher": "A", "folds": "crossed"}},
}
STUDENTS: dict[str, dict[str, Any]] = {
    "plain": ROW,
    "A": ROWS["A"],
    "student": {**ROW, "distill": {"teachers": ["plain", "A"], "own_label": 4}},
    "other": {**ROW, "seed": 1, "distill": {"teachers": ["A"], "share": 0.2}},
    "clean": {**ROW, "distill": {"teachers": ["A"], "noisy": False}},
}


def graph_of(rows: dict[str, dict[str, Any]], manifest: Manifest = MANIFEST, **more: Any) -> Graph:
    return build_graph(parse_grid({"name": "t", "data": {"folds": 3}, "conditions": rows, **more}, "test"), manifest)


@pytest.fixture(scope="module")
def graph() -> Graph:
    return graph_of(ROWS, members=["A", "plain"], paper_weights={"A": 3})


def named(graph: Graph, name: str) -> Node:
    (node,) = (node for node in graph.nodes.values() if node.name == name)
    return node


def names(graph: Graph, node: Node) -> dict[str, list[str]]:
    """The names of a node's inputs by role."""
    return {role: [graph.nodes[each].name for each in inputs] for role, inputs in node.inputs.items()}


def test_a_shard_is_its_settings_and_its_clips(graph: Graph) -> None:
    shards = {node.name: node for node in graph.nodes.values() if node.kind == "shard"}
    assert len(shards) == 3
    for name, node in shards.items():
        assert node.payload.keys() == {"features", "clips"}
        assert "shard_mb" not in node.payload["features"]
        assert node.shard is not None
        assert node.shard.subset in name
        assert node.payload["clips"] == node.shard.content_key
        assert node.cost == node.shard.n_bytes / 1e6
        assert node.inputs == {}
    (key,) = {key for key, _ in graph.shards}
    assert graph.shards[key, "curated"] == (shards["shard-mel-curated-0000"].signature,)


def test_a_training_is_its_settings_its_labels_and_what_it_starts_from(graph: Graph) -> None:
    plain, student = named(graph, "train-plain-1"), named(graph, "train-all-1")
    curated, noisy = (subset_hash(MANIFEST, subset) for subset in ("curated", "noisy"))
    assert plain.payload == {"train": plain.payload["train"], "held_out": [1], "curated": curated}
    assert names(graph, plain) == {"curated": ["shard-mel-curated-0000"]}
    assert student.payload.keys() == {"train", "held_out", "curated", "noisy"}
    assert student.payload["noisy"] == noisy
    assert student.payload["train"].keys().isdisjoint({"init_from", "rescue"})
    assert "teacher" not in student.payload["train"]["pseudo"]
    assert student.payload["train"]["pseudo"]["folds"] == "all"
    assert names(graph, student) == {
        "curated": ["shard-mel-curated-0000"], "noisy": ["shard-mel-noisy-0000"],
        "init": ["train-plain-1"], "pseudo": ["pseudo-A-all"],
    }  # fmt: skip
    assert (student.condition, student.held_out, student.trains, student.cpus) == ("all", (1,), True, 1.0)
    for name in ("A", "hard"):
        assert named(graph, f"train-{name}-0").inputs.keys() >= {"curated", "noisy"}


def test_labels_come_from_the_teachers_that_a_fold_may_have(graph: Graph) -> None:
    every, hard, crossed = (named(graph, f"pseudo-A-{fold}") for fold in ("all", "1", "1x"))
    assert every.payload == {"labels": "soft", "temperature": 2.0}
    assert hard.payload == {"labels": "hard"}
    assert names(graph, every) == {"teacher": [f"predict-noisy-A-{fold}" for fold in range(3)]}
    assert names(graph, hard) == {"teacher": ["predict-noisy-A-1"]}
    assert names(graph, crossed) == {"teacher": ["predict-noisy-A-0-1", "predict-noisy-A-1-2"]}
    assert [node.held_out for node in (every, hard, crossed)] == [(), (1,), (1,)]


def test_a_student_learns_from_models_that_held_out_its_fold() -> None:
    graph = graph_of(STUDENTS)
    train, labels, lesson = (
        named(graph, f"{name}-1") for name in ("train-student", "distill-student", "predict-trained-A")
    )
    assert train.payload.keys() == {"train", "held_out", "curated", "noisy"}
    assert "teachers" not in train.payload["train"]["distill"]
    assert names(graph, train)["distill"] == ["distill-student-1"]
    clips = {subset: subset_hash(MANIFEST, subset) for subset in ("curated", "noisy")}
    assert labels.payload == {"share": 0.5, "own_label": 4.0, "clips": clips}
    assert names(graph, labels) == {"teacher": ["predict-trained-plain-1", "predict-trained-A-1"]}
    assert (labels.held_out, lesson.held_out, lesson.predicted_folds) == ((1,), (1,), (0, 2))
    assert names(graph, lesson)["train"] == ["train-A-1"]
    assert lesson.payload["clips"] == clips
    assert lesson.payload["predict"]["heads"] == ["curated"], "the noisy head is never a teacher"
    assert names(graph, named(graph, "distill-other-1")) == {"teacher": ["predict-trained-A-1"]}, "students share them"
    clean = named(graph, "train-clean-1")
    assert "noisy" not in clean.inputs
    (signature,) = named(graph, "distill-clean-1").inputs["teacher"]
    assert graph.nodes[signature].payload["clips"].keys() == {"curated"}
    assert names(graph, named(graph, "blend")).keys() == {"plain", "A"}, "students are not blended"
    assert graph.closure([graph.predict["other", 0]]).lessons.keys() == {("A", 0, True)}


def test_a_prediction_is_of_the_clips_that_are_asked_for(graph: Graph) -> None:
    usual, noisy = named(graph, "predict-A-2"), named(graph, "predict-noisy-A-2")
    keys = {"network", "predict", "padding", "precision", "crop", "threads", "held_out", "clips"}
    assert usual.payload.keys() == noisy.payload.keys() == keys
    assert usual.payload["clips"] == {subset: subset_hash(MANIFEST, subset) for subset in ("curated", "test")}
    assert noisy.payload["clips"] == {"noisy": subset_hash(MANIFEST, "noisy")}
    assert (usual.payload["crop"], usual.payload["held_out"]) == (16, [2])
    assert usual.payload["network"] == named(graph, "train-A-2").payload["train"]["network"]
    assert usual.payload["predict"]["heads"] == ["curated", "noisy"]
    assert (noisy.payload["predict"]["heads"], noisy.payload["predict"]["pads"]) == (["curated"], [0])
    assert names(graph, usual) == {
        "train": ["train-A-2"], "curated": ["shard-mel-curated-0000"], "test": ["shard-mel-test-0000"]
    }  # fmt: skip
    assert usual.cost == pytest.approx(0.02 * 2 * 2 * 2 * 8), "cycles x pads x heads x clips"
    assert (usual.condition, usual.held_out, usual.trains) == ("A", (2,), True)


def test_the_blend_is_of_the_members_predictions(graph: Graph) -> None:
    blend = named(graph, "blend")
    assert graph.blend == blend.signature
    assert blend.payload.keys() == {"settings", "paper_weights", "curated"}
    assert blend.payload["paper_weights"] == {"A": 3.0, "plain": 0.0}
    assert blend.payload["curated"] == subset_hash(MANIFEST, "curated")
    assert names(graph, blend) == {name: [f"predict-{name}-{fold}" for fold in range(3)] for name in ("A", "plain")}
    alone = graph_of({"plain": ROW})
    assert alone.nodes[str(alone.blend)].payload["paper_weights"] is None


def test_a_rescue_is_signed_for_its_fold_alone() -> None:
    plain = graph_of({"plain": ROW})
    rescued = graph_of({"plain": {**ROW, "rescue": {"1": {"after": 1, "lr_factor": 0.1}}}})
    for fold in (0, 2):
        assert rescued.train["plain", fold] == plain.train["plain", fold]
    node = rescued.nodes[rescued.train["plain", 1]]
    assert node.payload == {
        **plain.nodes[plain.train["plain", 1]].payload, "rescue": {"after": 1, "lr_factor": 0.1}
    }  # fmt: skip
    assert (
        node.unrescued
        == plain.train["plain", 1]
        == signature_of("train", plain.nodes[node.unrescued].payload, node.inputs)
    )


def test_the_part_that_targets_need(graph: Graph) -> None:
    part = graph.closure([graph.predict["all", 0]])
    assert set(part.train) == {("plain", 0), ("all", 0), *(("A", fold) for fold in range(3))}
    assert set(part.predict) == {("all", 0)}
    assert {key[:2] for key in part.taught} == {("A", (fold,)) for fold in range(3)}
    assert part.shards == graph.shards
    assert part.blend is None
    assert all(set(node.parents) <= part.nodes.keys() for node in part.nodes.values())
    assert graph.closure([str(graph.blend)]).blend == graph.blend


def test_jobs_of_a_condition_are_its_folds_and_the_pairs_that_it_teaches(graph: Graph) -> None:
    jobs = [(graph.nodes[train].name, graph.nodes[predict].name) for train, predict in graph.jobs_of("A")]
    folds = [(f"train-A-{fold}", f"predict-A-{fold}") for fold in range(3)]
    pairs = [(f"train-A-{pair}", f"predict-noisy-A-{pair}") for pair in ("0-1", "0-2", "1-2")]
    assert jobs[:3] == folds
    assert sorted(jobs[3:]) == pairs
    assert len(graph.jobs_of("plain")) == 3


def test_rough_costs_grow_with_the_work() -> None:
    def cost(manifest: Manifest = MANIFEST, **changes: Any) -> float:
        graph = graph_of({"A": ROW, "c": {**ROW, **changes}}, manifest)
        return graph.nodes[graph.train["c", 0]].cost

    usual = cost()
    assert cost(multitask=True) == pytest.approx(2 * usual)
    assert cost(multitask=True, pseudo={"teacher": "A"}) == pytest.approx(3 * usual)
    assert cost(epochs=4) == cost(crop=32) == pytest.approx(2 * usual)
    assert cost(network={**ROW["network"], "width": 16}) == pytest.approx(4 * usual)
    assert cost(manifest_of([0, 1, 2] * 4, noisy=4)) == pytest.approx(2 * usual)
