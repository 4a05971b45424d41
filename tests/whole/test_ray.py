"""The same grid on real Ray: Ray tasks for shards and predictions, one Ray Train job per condition x fold."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import ray

from features.files import read_json
from orchestrator.grids.load import load_grid
from orchestrator.launch import launch
from orchestrator.run.bound import Run
from orchestrator.run.execution import Execution
from orchestrator.run.selection import Selection, prepare
from tests.fixtures.harm import QUIET, Compare
from tests.whole.chaos.checks import leftovers

pytestmark = pytest.mark.ray


@pytest.mark.long
@pytest.mark.parametrize("wanted", [Selection(("A",)), Selection()], ids=["A", "all"])
def test_ray_and_inline_agree_to_the_bit(
    tmp_path: Path, small_data: Path, tiny_grid: Path, own_mlflow: str, inline_run: Run, same_numbers: Compare,
    wanted: Selection,
) -> None:  # fmt: skip
    """Also: two jobs train at the same time, in processes of their own, which leave nothing behind."""
    run = prepare(load_grid(str(tiny_grid)), small_data, tmp_path / "run")
    assert launch(run, Execution(), wanted, QUIET).ok
    assert not ray.is_initialized(), "what a launch starts it ends"
    same_numbers(inline_run, Run.open(run.folder))
    timeline = {entry["name"]: entry for entry in read_json(run.folder / "timeline.json")}
    first, second = timeline["train-A-0"], timeline["train-A-1"]
    assert first["start_s"] < second["end_s"]
    assert second["start_s"] < first["end_s"]
    assert leftovers([run.folder]) == []


@pytest.mark.long
@pytest.mark.parametrize("when", ["starting", "training"])
def test_a_termination_of_the_driver_stops_at_the_next_step_and_the_run_continues(
    tmp_path: Path, small_data: Path, tiny_grid: Path, when: str
) -> None:
    """Ray replaces the handler of SIGTERM when it starts."""
    out, log = tmp_path / "run", tmp_path / "log"
    command = [sys.executable, "-m", "orchestrator.cli", "launch", str(tiny_grid), "--data", str(small_data)]
    command += ["--out", str(out), "--only", "plain", "--folds", "0", "--set", "conditions.plain.epochs=2000"]
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 600
    while not (
        [child for child in psutil.Process(process.pid).children() if child.name() == "gcs_server"]
        if when == "starting"
        else list(out.glob("store/train-plain-0-*/attempt-1/checkpoint.safetensors"))
    ):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    code = process.wait(timeout=600)
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
