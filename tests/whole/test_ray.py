"""The same grid on real Ray: Ray tasks for shards and predictions, one Ray Train job a condition x fold."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import ray

from features.files import read_json
from orchestrator.executors.ray.executor import RayExecutor
from orchestrator.grids.load import load_grid
from orchestrator.jobs.run import run_job
from orchestrator.launch import launch
from orchestrator.planning.scheduler import Needs
from orchestrator.run.bound import Run
from orchestrator.run.execution import Execution
from orchestrator.run.selection import Selection, prepare
from tests.fixtures.harm import QUIET, Compare

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def ray_run(tmp_path_factory: pytest.TempPathFactory, small_data: Path, tiny_grid: Path) -> Run:
    """The tiny grid, run on a Ray cluster started in place."""
    out = tmp_path_factory.mktemp("ray") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{out.parent / 'mlflow.db'}")
        run = prepare(load_grid(str(tiny_grid)), small_data, out)
        assert launch(run, Execution(), Selection(), QUIET).ok
    assert not ray.is_initialized(), "what a launch starts it ends"
    return Run.open(out)


def test_ray_and_inline_agree_to_the_bit(ray_run: Run, inline_run: Run, same_numbers: Compare) -> None:
    same_numbers(ray_run, inline_run)


def test_jobs_ran_in_processes_of_their_own_two_at_a_time(ray_run: Run) -> None:
    timeline = {entry["name"]: entry for entry in read_json(ray_run.folder / "timeline.json")}
    first, second = timeline["train-A-0"], timeline["train-A-1"]
    assert first["start_s"] < second["end_s"]
    assert second["start_s"] < first["end_s"]
    assert not list(ray_run.store.root.glob("*/placement.json"))
    assert not list(ray_run.store.root.glob("*/running.json"))


def test_an_error_in_a_job_is_its_cause_and_a_killed_process_is_lost(
    tmp_path: Path, small_data: Path, tiny_grid: Path
) -> None:
    recipe = load_grid(str(tiny_grid), ["conditions.plain.lr_max=1e30", "conditions.plain.optimizer=sgd"])
    run = prepare(recipe, small_data, tmp_path / "run")
    run.save()
    execution = Execution()
    for node in run.graph.nodes.values():
        if node.shard is not None:
            run_job(run.claim(node, execution.of_job()))
    run.store.refresh()
    executor = RayExecutor(run, execution)
    try:
        node = run.graph.nodes[run.graph.train["plain", 0]]
        before = executor.fits(Needs(2))
        executor.submit(node)
        assert not executor.fits(Needs(2))
        finished: list[object] = []
        while not finished:
            finished = list(executor.wait(1.0))
        (outcome,) = finished
        assert outcome.outcome == "failed"  # type: ignore[attr-defined]
        assert "try a lower lr_max" in outcome.cause  # type: ignore[attr-defined]
        assert executor.fits(Needs(2)) == before
    finally:
        executor.close()


@pytest.mark.parametrize("when", ["starting", pytest.param("training", marks=pytest.mark.long)])
def test_a_termination_of_the_driver_stops_at_the_next_step_and_the_run_continues(
    tmp_path: Path, small_data: Path, tiny_grid: Path, when: str
) -> None:
    """Ray replaces the handler of SIGTERM when it starts."""
    out, log = tmp_path / "run", tmp_path / "log"
    command = [sys.executable, "-m", "orchestrator.cli", "launch", str(tiny_grid), "--data", str(small_data)]
    command += ["--out", str(out), "--only", "plain", "--folds", "0", "--set", "conditions.plain.epochs=2000"]
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 180
    while not (
        [child for child in psutil.Process(process.pid).children() if child.name() == "gcs_server"]
        if when == "starting"
        else list(out.glob("store/train-plain-0-*/attempt-1/checkpoint.safetensors"))
    ):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    code = process.wait(timeout=120)
    said = log.read_text()
    assert code == 1, said
    assert "stopping at the next step" in said
    assert f"resume {out}" in said
    assert "Stack" not in said
    assert "lost" not in said
    assert (out / "report.json").exists()
    assert read_json(out / "timeline.json") is not None
    assert not (out / "owner.json").exists()
    assert not (out / "crash.log").exists()
