"""The cost of a plan on a terminal."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator.grids.load import load_grid
from orchestrator.planning.cost import START_UP_S, Cost, Machines
from orchestrator.planning.gpus import find_gpu
from orchestrator.planning.plan import make_plan
from orchestrator.run.bound import Run
from orchestrator.store.local import LocalNodeStore
from orchestrator.views.cost_table import print_cost


def printed(run: Run, store: Path, gpus: int) -> tuple[Cost, str]:
    """The cost of a run's grid with an empty store."""
    plan = make_plan(run.graph, LocalNodeStore(store))
    cost = Cost.of(plan, run.recipe, run.manifest, Machines(find_gpu("A100"), gpus, 0.3))
    console = Console(file=io.StringIO(), width=160)
    print_cost(cost, console)
    assert isinstance(console.file, io.StringIO)
    return cost, console.file.getvalue()


def test_one_row_per_condition_and_one_for_all(inline_run: Run, tmp_path: Path) -> None:
    cost, text = printed(inline_run, tmp_path / "empty", 8)
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line}
    assert text.startswith("cost of remaining work")
    for name, row in (*cost.conditions.items(), ("all", cost.total)):
        assert rows[name][1:3] == [str(row.jobs), f"{row.epochs:,}"]
        assert float(rows[name][3]) == pytest.approx(row.training_flops, rel=0.01)
    assert "time: on A100 at 30% of its bf16 peak of 312 TFLOP/s, and 10 s of start-up per training job" in text
    assert "makespan on 8 GPUs:" in text
    assert text.endswith("--gpu, --gpus and --utilisation choose other machines\n")


def test_a_finished_run_costs_nothing(inline_run: Run) -> None:
    _, text = printed(inline_run, inline_run.store.root, 8)
    assert text == "nothing to run\n"


def test_one_gpu_is_not_plural(inline_run: Run, tmp_path: Path) -> None:
    cost, text = printed(inline_run, tmp_path / "empty", 1)
    assert "makespan on 1 GPU:" in text
    assert f"ratio {cost.ratio:.3f}" in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([], "30% of its bf16 peak of 312 TFLOP/s, and"),
        (["conditions.D.precision=fp32"], "30% of its bf16 peak of 312 TFLOP/s and float32 peak of 19.5 TFLOP/s, and"),
        ([f"conditions.{name}.precision=fp32" for name in ("plain", "A", "B", "D")], "30% of its float32 peak of 19.5"),
    ],
)
def test_float32_counts_at_its_own_peak(
    inline_run: Run, tiny_grid: Path, tmp_path: Path, changes: list[str], words: str
) -> None:
    recipe = load_grid(str(tiny_grid), changes)
    run = Run(tmp_path, recipe, inline_run.data_root, inline_run.store, inline_run.manifest)
    cost, text = printed(run, tmp_path / "empty", 8)
    assert words in text
    float32 = sum(
        row.training_flops + row.prediction_flops
        for name, row in cost.conditions.items() if recipe.conditions[name].train.precision == "fp32"
    )  # fmt: skip
    assert cost.total.float32_flops == pytest.approx(float32)
    rest = cost.total.training_flops + cost.total.prediction_flops - float32
    seconds = (rest / 312e12 + float32 / 19.5e12) / 0.3 + START_UP_S * cost.total.jobs
    assert cost.total.gpu_s(cost.machines) == pytest.approx(seconds)
