"""Grids: planned, launched, resumed, searched."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from features.errors import InputError
from orchestrator import api
from orchestrator.run.bound import Run
from tests.fixtures.harm import INLINE


def test_a_plan_without_a_run_writes_nothing(tiny_grid: Path, small_data: Path) -> None:
    before = sorted(small_data.rglob("*"))
    priced = api.plan(tiny_grid, small_data, gpu="T4", gpus=1)
    assert {planned.action for planned in priced.plan.nodes} == {"new"}
    assert not priced.assumed_data
    assert repr(priced).startswith("<PricedPlan of grid tiny: ")
    assert "on 1 T4 GPU>" in repr(priced)
    assert sorted(small_data.rglob("*")) == before


def test_a_plan_without_data_assumes_sizes() -> None:
    priced = api.plan("demo", folds=[0], only=["plain"])
    assert priced.assumed_data
    assert priced.as_dict()["cost"]["assumed_data"] is True
    with pytest.raises(InputError, match="--store needs --data"):
        api.plan("demo", store="somewhere")


def test_a_plan_of_a_finished_run_is_cached(inline_run: Run, tiny_grid: Path, small_data: Path) -> None:
    priced = api.plan(tiny_grid, small_data, inline_run.folder)
    assert priced.plan.pending == ()


def test_launching_a_finished_run_again_does_nothing(copy: Run, tiny_grid: Path, small_data: Path) -> None:
    shown = io.StringIO()
    console = Console(file=shown, width=160, markup=False, highlight=False)
    result = api.launch(tiny_grid, small_data, copy.folder, execution=INLINE, console=console)
    assert result.ok
    assert (result.done, result.failed, result.blocked, result.stopped) == (0, {}, (), False)
    assert result.report == api.report(copy.folder)
    assert "nothing to do" in shown.getvalue()
    assert "predict" in shown.getvalue()
    assert repr(result).startswith(f"<LaunchResult of {copy.folder}: 0 jobs done")


def test_a_failed_job_is_in_the_result_and_not_raised(
    tiny_grid: Path, small_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["conditions.plain.lr_max=1e30", "conditions.plain.optimizer=sgd"]
    result = api.launch(
        tiny_grid, small_data, tmp_path / "run", only=["plain"], folds=[0], settings=settings, execution=INLINE
    )
    assert not result.ok
    assert list(result.failed) == ["train-plain-0"]
    assert "nan" in result.failed["train-plain-0"] or "inf" in result.failed["train-plain-0"]
    assert result.blocked
    assert capsys.readouterr().out == ""  # nothing is printed without a console
    assert {job.state for job in api.status(tmp_path / "run").jobs if job.name == "train-plain-0"} == {"failed"}
    assert any(api.logs(tmp_path / "run", "train-plain-0"))
    again = api.resume(tmp_path / "run", failed=True, execution=INLINE)
    assert list(again.failed) == ["train-plain-0"]
