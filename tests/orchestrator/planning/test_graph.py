"""What makes two pieces of work different."""

from pathlib import Path

import pytest

from features.manifest import Manifest, build_manifest
from features.settings import DataSettings
from features.synthetic import generate
from orchestrator.grids.load import parse_grid
from orchestrator.planning.graph import Graph, build_graph, subset_hash
from trainers.settings import PredictSettings

ROW = {"network": {"kind": "resnet", "depth": 10, "width": 8}, "crop": 16, "epochs": 2}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    root = tmp_path_factory.mktemp("signatures") / "toy"
    generate(root, seed=3, curated=6, noisy=4, test=2)
    return build_manifest(root, DataSettings(folds=2))


def graph_of(manifest: Manifest, *changes: dict[str, object]) -> Graph:
    conditions = {f"c{index}": {**ROW, **change} for index, change in enumerate(changes)}
    raw = {"name": "t", "data": {"folds": 2}, "conditions": conditions}
    return build_graph(parse_grid(raw, "test"), manifest)


@pytest.mark.parametrize(
    "change",
    [
        {"padding": "repeat"},
        {"crop": [16, 32]},
        {"network": {"kind": "resnet", "depth": 10, "width": 8, "normalise": "dataset"}},
        {"network": {"kind": "resnet", "depth": 10, "width": 8, "statistics": True}},
        {"network": {"kind": "seresnext", "width": 8}},
        {"network": {"kind": "pooled"}},
    ],
    ids=str,
)
def test_a_change_is_another_training_and_another_prediction(manifest: Manifest, change: dict[str, object]) -> None:
    graph = graph_of(manifest, {}, change)
    for nodes in (graph.train, graph.predict):
        assert len(set(nodes.values())) == 4
    assert all(graph.nodes[signature].cost > 0 for signature in graph.train.values())


@pytest.mark.parametrize(
    ("field", "value"), [("padding", "repeat"), ("precision", "fp32"), ("threads", 3), ("crop", 32)]
)
def test_a_prediction_says_how_it_is_computed(manifest: Manifest, field: str, value: object) -> None:
    graph = graph_of(manifest, {}, {field: value})
    payloads = [graph.nodes[graph.predict[name, 0]].payload for name in ("c0", "c1")]
    assert payloads[0][field] != payloads[1][field] == value
    assert {**payloads[0], field: value} == payloads[1]


def test_a_chain_of_pupils_iterates_soft_labels(manifest: Manifest) -> None:
    def round_of(teacher: str) -> dict[str, object]:
        return {"multitask": True, "pseudo": {"teacher": teacher, "temperature": 1.5}}

    graph = graph_of(manifest, {"multitask": True}, round_of("c0"), round_of("c1"), round_of("c2"))
    assert len(set(graph.train.values())) == 8, "rounds with equal settings differ by their labels"
    for number in (1, 2, 3):
        (labels,) = graph.nodes[graph.train[f"c{number}", 1]].inputs["pseudo"]
        (predicted,) = graph.nodes[labels].inputs["teacher"]
        assert graph.nodes[predicted].inputs["train"] == (graph.train[f"c{number - 1}", 1],)


def test_rounds_iterate_soft_labels_as_a_chain_of_pupils_does(manifest: Manifest) -> None:
    """Round by round the same nodes, whose labels come from the round before."""
    usual = {"multitask": True, "pseudo": {"teacher": "c0", "temperature": 1.5}}
    graph = graph_of(manifest, {"multitask": True}, usual, {**usual, "pseudo": {**usual["pseudo"], "rounds": 3}})  # type: ignore[dict-item]
    chain = graph_of(manifest, {"multitask": True}, usual, *(
        {**usual, "pseudo": {**usual["pseudo"], "teacher": f"c{number}"}} for number in (1, 2)  # type: ignore[dict-item]
    ))  # fmt: skip
    for fold in (0, 1):
        last = graph.nodes[graph.train["c2", fold]]
        assert last.signature == chain.train["c3", fold]
        assert (last.name, last.round) == (f"train-c2-{fold}", None)
        assert chain.train["c2", fold] in graph.nodes
        assert graph.train["c1", fold] in graph.nodes
    jobs = [[graph.nodes[each].name for each in pair] for pair in graph.jobs_of("c2")]
    assert jobs[:2] == [[f"train-c2-{fold}", f"predict-c2-{fold}"] for fold in (0, 1)]
    assert sorted(jobs[2:]) == [
        ["train-c1-0", "predict-noisy-c2.1-0"], ["train-c1-1", "predict-noisy-c2.1-1"],
        ["train-c2.2-0", "predict-noisy-c2.2-0"], ["train-c2.2-1", "predict-noisy-c2.2-1"],
    ]  # fmt: skip
    assert [node.round for node in graph.nodes.values() if node.name.startswith("train-c2.")] == [2, 2]


def test_a_pupil_learns_from_its_teachers_last_round(manifest: Manifest) -> None:
    teacher = {"multitask": True, "pseudo": {"teacher": "c0", "rounds": 2}}
    graph = graph_of(manifest, {"multitask": True}, teacher, {"pseudo": {"teacher": "c1"}}, {"init_from": "c1"})
    (labels,) = graph.nodes[graph.train["c2", 0]].inputs["pseudo"]
    (predicted,) = graph.nodes[labels].inputs["teacher"]
    assert graph.nodes[predicted].inputs["train"] == (graph.train["c1", 0],)
    assert graph.nodes[graph.train["c3", 0]].inputs["init"] == (graph.train["c1", 0],)


def test_own_labels_are_part_of_the_labels_made_with_them(manifest: Manifest) -> None:
    pseudo = {"teacher": "c0"}
    graph = graph_of(manifest, {}, {"pseudo": pseudo}, {"pseudo": {**pseudo, "own_label": 9.0}})
    plain, own = (graph.nodes[graph.nodes[graph.train[name, 0]].inputs["pseudo"][0]] for name in ("c1", "c2"))
    assert plain.payload == {"labels": "soft", "temperature": 2.0}
    assert own.payload == {**plain.payload, "own_label": 9.0, "noisy": subset_hash(manifest, "noisy")}
    assert own.inputs == plain.inputs


def test_settings_that_came_later_change_no_signature_by_their_defaults(manifest: Manifest) -> None:
    """The fields of the first release; results of that time are still used."""
    graph = graph_of(manifest, {})
    train = graph.nodes[graph.train["c0", 0]].payload["train"]
    assert train.keys() == {
        "network", "crop", "padding", "batch_size", "cycles", "epochs", "optimizer", "lr_max", "lr_min", "augment",
        "loss", "noisy_loss", "multitask", "noisy_weight", "noisy", "validate_noisy", "pseudo", "semi", "precise_bn",
        "precision", "seed", "threads",
    }  # fmt: skip
    assert train["network"].keys() == {"kind", "depth", "init", "width", "head_units", "activation", "normalise"}


def test_networks_that_start_at_shares_are_not_taken_for_older_ones(manifest: Manifest) -> None:
    linear = {"kind": "pooled"}
    graph = graph_of(manifest, *({"network": network} for network in (linear, {**linear, "activation": "softmax"})))
    marks = ["starts_at_shares" in graph.nodes[graph.train[name, 0]].payload for name in ("c0", "c1")]
    assert marks == [True, False]


def test_a_file_to_start_from_enters_a_signature_by_its_content(manifest: Manifest, tmp_path: Path) -> None:
    def start(name: str, content: bytes) -> dict[str, object]:
        (tmp_path / name).write_bytes(content)
        return {"network": {**ROW["network"], "init_from": str(tmp_path / name)}}  # type: ignore[dict-item]

    graph = graph_of(manifest, {}, start("a", b"1"), start("b", b"1"), start("c", b"2"))
    signatures = [graph.train[f"c{index}", 0] for index in range(4)]
    assert signatures[1] == signatures[2]
    assert len(set(signatures)) == 3


def test_equal_crops_are_one_job(manifest: Manifest) -> None:
    graph = graph_of(manifest, {}, {"crop": [16]}, {"crop": [16, 32]}, {"crop": [32, 16]})
    assert graph.train["c0", 0] == graph.train["c1", 0]
    assert graph.train["c2", 0] == graph.train["c3", 0]
    assert len(set(graph.train.values())) == 4


def test_no_two_nodes_have_one_name(manifest: Manifest) -> None:
    """Shards of the same clips in other features, and fold 1 of `A-0` beside `A` without folds 0 and 1."""
    rows = {
        "A": ROW, "A-0": {**ROW, "lr_max": 1e-4}, "small": {**ROW, "features": {"n_mels": 24}},
        "B": {**ROW, "multitask": True, "pseudo": {"teacher": "A", "folds": "crossed"}},
    }  # fmt: skip
    clips = manifest.clips.assign(fold=[index % 3 for index in range(len(manifest.clips))])
    raw = {"name": "t", "data": {"folds": 3}, "conditions": rows}
    graph = build_graph(parse_grid(raw, "test"), Manifest(clips, manifest.classes))
    names = [node.name for node in graph.nodes.values()]
    assert len(set(names)) == len(names)
    assert sum(name.startswith("train-A-0-1") for name in names) == 2
    assert sum(name.startswith("shard-mel-curated-0000") for name in names) == 2


SPL = {"multitask": True, "pseudo": {"teacher": "c0"}}


def test_only_teachers_predict_the_noisy_clips(manifest: Manifest) -> None:
    graph = graph_of(manifest, {}, SPL, {**SPL, "pseudo": {"teacher": "c0", "folds": "all"}}, {"multitask": True})
    noisy = [node for node in graph.nodes.values() if node.kind == "predict" and "noisy" in node.inputs]
    assert [node.name for node in noisy] == ["predict-noisy-c0-0", "predict-noisy-c0-1"], "one per fold, for all pupils"
    for node in noisy:
        assert node.inputs.keys() == {"train", "noisy"}
        assert node.payload["clips"].keys() == {"noisy"}
        assert node.payload["predict"] == PredictSettings(pads=(0,)).model_dump(mode="json")
    for signature in graph.predict.values():
        assert graph.nodes[signature].inputs.keys() == {"train", "curated", "test"}


def test_a_pupil_needs_its_teachers_noisy_predictions_only(manifest: Manifest) -> None:
    graph = graph_of(manifest, {}, SPL)
    part = graph.closure([graph.predict["c1", 0]])
    names = {node.name for node in part.nodes.values() if node.kind != "shard"}
    assert names == {"train-c0-0", "predict-noisy-c0-0", "pseudo-c0-0", "train-c1-0", "predict-c1-0"}


def test_labels_at_other_pads_or_of_another_kind_are_other_nodes(manifest: Manifest) -> None:
    pseudo = [{}, {"pads": [2, 4]}, {"labels": "hard"}, {"labels": "hard", "temperature": 1.0}]
    graph = graph_of(manifest, {}, *({"pseudo": {"teacher": "c0", **change}} for change in pseudo))
    kinds = [node.kind for node in graph.nodes.values()]
    assert kinds.count("predict") == 5 * 2 + 2 * 2, "noisy clips at pad 0, and at 2 and 4"
    assert kinds.count("pseudo") == 3 * 2, "hard labels have no temperature"


def test_what_the_report_averages_changes_no_work(manifest: Manifest) -> None:
    graph = graph_of(manifest, {}, {"cv": "last"})
    assert len(set(graph.predict.values())) == 2
