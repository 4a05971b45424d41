"""What a plan says it costs, against files on disk, sums by hand and the words on the screen."""

import json
from pathlib import Path

import pytest

from features.assumed import assumed_manifest
from orchestrator.cli.main import main
from orchestrator.grids.load import load_grid
from orchestrator.planning.cost import START_UP_S, Cost, Machines, NodeCost, in_counted_order, node_costs
from orchestrator.planning.gpus import find_gpu
from orchestrator.planning.graph import build_graph
from orchestrator.planning.plan import make_plan
from orchestrator.run.bound import Run
from orchestrator.store.local import LocalNodeStore
from trainers.flops import crop_flops

A100 = Machines(find_gpu("a100"), 8, 0.3)
FULL = """
name: full
conditions:
  one: {cycles: 1, epochs: 512}
  A: {multitask: true}
  B: {base: A, cycles: 7, batch_size: 32, init_from: one, pseudo: {teacher: A, folds: all}}
  D:
    network: {kind: envnet}
    crop: 133_300
    cycles: 3
    epochs: 80
    optimizer: sgd
    multitask: true
    predict: {pads: [8_000, 32_000]}
members: [A, B, D]
"""


def test_disk_is_what_the_files_take(inline_run: Run) -> None:
    nodes = inline_run.graph.nodes
    costs = node_costs(inline_run.graph, inline_run.recipe, inline_run.manifest, nodes.values())
    for signature, node in nodes.items():
        cost, folder = costs[signature], inline_run.store.results(node)
        arrays = [path.stat().st_size - 128 for path in folder.glob("*.npy")]  # 128 bytes of header each
        assert cost.features_bytes + cost.predictions_bytes == sum(arrays)
        snapshots = [path.stat().st_size for path in folder.glob("snapshot-*.safetensors")]
        assert cost.snapshots_bytes <= sum(snapshots) <= cost.snapshots_bytes + 16_384 * len(snapshots)
        assert (cost.jobs, cost.epochs) == ((1, 2 if node.condition != "D" else 1) if node.kind == "train" else (0, 0))


def test_full_size_networks_are_counted_without_running_them(tmp_path: Path) -> None:
    (tmp_path / "full.yaml").write_text(FULL)
    recipe = load_grid(str(tmp_path / "full.yaml"))
    manifest = assumed_manifest(recipe.data)
    plan = make_plan(build_graph(recipe, manifest), LocalNodeStore(tmp_path / "store"))
    cost = Cost.of(plan, recipe, manifest, A100)
    one, a = cost.conditions["one"], cost.conditions["A"]
    assert (one.jobs, one.epochs) == (5, 5 * 512)
    # 3,976 clips a fold make 63 steps of 64 crops; validation of 994 clips a fold comes on top.
    steps = 5 * 512 * 63 * 64 * crop_flops(recipe.conditions["one"].train.network, 80, 512, 128).both
    assert 1.1 * steps < one.training_flops < 1.25 * steps
    # Multitask doubles the steps; no noisy clip is validated. A teaches B: it predicts the noisy clips too, at pad 0.
    assert a.training_flops - one.training_flops == pytest.approx(steps)
    taught = {signature for _, signature in cost.plan.graph.taught.values()}
    assert len(taught) == 5
    teaching = sum(cost.nodes[signature].prediction_flops for signature in taught)
    assert a.prediction_flops - teaching == pytest.approx(8 * one.prediction_flops)
    assert a.snapshots_bytes == pytest.approx(5 * 8 * 4 * 24_592_224, rel=0.001)
    assert a.predictions_bytes == 8 * (2 * (5 * 4_481 + 4_970) + 5 * 19_815) * 80 * 4
    seconds = (cost.total.training_flops + cost.total.prediction_flops) / (0.3 * 312e12) + 20 * START_UP_S
    assert cost.total.gpu_s(A100) == pytest.approx(seconds)
    assert 1 <= cost.ratio < 1.3
    for gpus in (1, 3, 16, 1000):
        other = Cost(cost.plan, cost.nodes, Machines(A100.gpu, gpus, 0.3))
        assert other.lower_bound_s <= other.makespan_s * (1 + 1e-9)


def test_only_the_queue_order_of_gpu_jobs_is_counted_anew(inline_run: Run) -> None:
    plan = make_plan(inline_run.graph, LocalNodeStore(inline_run.folder / "nowhere"))
    train = inline_run.graph.train["A", 0]
    ordered = in_counted_order(plan, {train: NodeCost(training_flops=5e12)})
    changed = {p.node.name: p.node.cost for p, old in zip(ordered.nodes, plan.nodes, strict=True) if p != old}
    assert changed == {"train-A-0": 5.0}
    assert [p.node.signature for p in ordered.nodes] == [p.node.signature for p in plan.nodes]


def test_what_is_cached_costs_nothing(inline_run: Run) -> None:
    cost = Cost.of(make_plan(inline_run.graph, inline_run.store), inline_run.recipe, inline_run.manifest, A100)
    assert (cost.total, cost.makespan_s, cost.ratio) == (NodeCost(), 0.0, 1.0)


def test_plan_without_data_says_what_it_assumes(tiny_grid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(tiny_grid), "--gpus", "2", "--gpu", "l4", "--utilisation", "0.5"]) == 0
    words = capsys.readouterr().out
    for word in ("sizes of FSDKaggle2019 are assumed", "train: 8 new", "50% of its bf16 peak of 121 TFLOP/s", "2 GPUs"):
        assert word in words
    assert main(["plan", str(tiny_grid), "--json", "--only", "plain"]) == 0
    cost = json.loads(capsys.readouterr().out)["cost"]
    assert cost["assumed_data"] is True
    assert (cost["gpu"], cost["gpus"], cost["utilisation"]) == ("A100", 8, 0.3)
    assert [row["name"] for row in cost["conditions"]] == ["plain"]
    for field in ("jobs", "epochs", "training_flops", "prediction_flops", "snapshots_bytes"):
        assert cost["total"][field] == sum(row[field] for row in cost["conditions"]) > 0
    assert cost["ratio"] == pytest.approx(cost["makespan_s"] / cost["lower_bound_s"])
    assert cost["ratio"] >= 1


def test_plan_without_data_puts_overlays_on_the_grid(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grid = tmp_path / "layered.yaml"
    grid.write_text(
        "{name: layered, base: demo, overlays: {longer: {conditions: {A: {epochs: 77}}}}}", encoding="utf-8"
    )
    epochs = []
    for options in ([], ["--overlay", "longer"]):
        assert main(["plan", str(grid), "--json", "--only", "A", *options]) == 0
        (row,) = json.loads(capsys.readouterr().out)["cost"]["conditions"]
        epochs.append(row["epochs"] / row["jobs"])
    cycles = load_grid("demo").conditions["A"].train.cycles
    assert epochs[0] != epochs[1] == 77 * cycles


def test_plan_with_data_names_nodes_and_costs(
    tiny_grid: Path, small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", str(tiny_grid), "--data", str(small_data), "--out", str(tmp_path / "run")]) == 0
    words = capsys.readouterr().out
    assert "new       train-A-0: not run yet" in words
    assert "makespan on 8 GPUs" in words
    assert "assumed" not in words


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--gpu", "H10"], "did you mean 'H100'?"),
        (["--gpus", "0"], "--gpus: '0' is not a whole number from 1"),
        (["--utilisation", "30"], "--utilisation 30: give a share"),
        (["--utilisation", "nan"], "--utilisation nan: give a share"),
        (["--out", "runs/x"], "--out needs --data"),
    ],
)
def test_mistakes_are_one_sentence(options: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "demo", *options]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
