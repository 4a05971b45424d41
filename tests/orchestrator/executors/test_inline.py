from pathlib import Path

import pytest
import torch

from orchestrator.executors import inline, open_executor
from orchestrator.executors.inline import InlineExecutor
from orchestrator.grids.load import load_grid
from orchestrator.jobs.execution import device_of
from orchestrator.run.bound import Run
from orchestrator.run.execution import Execution
from orchestrator.run.selection import prepare
from orchestrator.store.marks import DoneMark
from tests.fixtures.harm import INLINE
from trainers.supervisor import Stop


@pytest.fixture
def run(small_data: Path, tiny_grid: Path, tmp_path: Path) -> Run:
    run = prepare(load_grid(str(tiny_grid)), small_data, tmp_path / "run")
    run.save()
    return run


def test_a_job_runs_when_it_is_submitted(run: Run) -> None:
    executor = open_executor(run, INLINE)
    assert isinstance(executor, InlineExecutor)
    node = next(node for node in run.graph.nodes.values() if node.kind == "shard")
    assert executor.fits(executor.needs(node))
    executor.submit(node)
    assert not executor.fits(executor.needs(node)), "its outcome has not been collected"
    assert [(end.signature, end.outcome) for end in executor.wait(0)] == [(node.signature, "done")]
    assert executor.wait(0) == []
    assert not executor.give_room(node)
    executor.close()


def test_jobs_that_train_or_predict_use_the_gpu_if_there_is_one(run: Run) -> None:
    shard = next(node for node in run.graph.nodes.values() if node.kind == "shard")
    train = run.graph.nodes[run.graph.train["plain", 0]]
    executor = InlineExecutor(run, Execution(executor="inline"))
    assert executor.execution_of(train).gpus == float(torch.cuda.is_available())
    assert executor.execution_of(shard).gpus == 0.0
    on_cpu = InlineExecutor(run, Execution(executor="inline", gpus_per_job=0.0))
    assert on_cpu.execution_of(train).gpus == 0.0
    assert str(device_of(on_cpu.execution_of(train))) == "cpu"


def test_what_a_job_raises_is_its_outcome(run: Run) -> None:
    executor = InlineExecutor(run, INLINE)
    node = run.graph.nodes[run.graph.predict["plain", 0]]
    executor.submit(node)
    (end,) = executor.wait(0)
    assert end.outcome == "damaged"
    assert "its results are missing" in str(end.cause), "its inputs are not done"


def test_nodes_that_are_done_or_busy_are_not_run(run: Run) -> None:
    executor = InlineExecutor(run, INLINE)
    busy, done = list(run.graph.nodes.values())[:2]
    run.store.claim(busy, "another run")
    claim = run.store.claim(done, "another run")
    run.store.begin(run.store.name(done), claim.attempt)
    run.store.finish(run.store.name(done), claim, DoneMark(done.name, done.signature, host="here"), [])
    executor.submit(busy)
    executor.submit(done)
    assert [end.outcome for end in executor.wait(0)] == ["busy", "done"]


@pytest.mark.parametrize(("asked", "outcome"), [("no", "lost"), ("now", "stopped")])
def test_a_job_that_nobody_asked_to_stop_does_not_stop_the_run(
    run: Run, monkeypatch: pytest.MonkeyPatch, asked: Stop, outcome: str
) -> None:
    """Its results were made void while it ran, by `--force` of another run."""
    monkeypatch.setattr(inline, "run_job", lambda *_, **__: False)
    executor = InlineExecutor(run, INLINE, lambda: asked)
    executor.submit(next(iter(run.graph.nodes.values())))
    assert [end.outcome for end in executor.wait(0)] == [outcome]
