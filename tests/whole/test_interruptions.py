"""Kills, full disks, wrong clocks and trackers that are away, for real. The table is docs/reliability.md."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from features.errors import DamagedInputError, StoreError
from features.files import read_json, write_json
from orchestrator.cli.main import main
from orchestrator.jobs.attempt import Attempt
from orchestrator.jobs.failures import cause_of, failure_class
from orchestrator.jobs.run import run_job
from orchestrator.planning.plan import Plan
from orchestrator.run.bound import Run
from orchestrator.run.record import RecordedRun
from orchestrator.run.selection import Selection, plan_of
from orchestrator.store.marks import Failure
from orchestrator.views.status import read_status
from tests.fixtures.harm import INLINE, Compare, attempt_at, fail, ran, signs

pytestmark = pytest.mark.usefixtures("own_mlflow")


# --- stopped and killed from outside


def start(grid: Path, data: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "orchestrator.cli", "launch", str(grid), "--data", str(data), "--out", str(out)]
    return subprocess.Popen(
        [*command, "--executor", "inline", *more], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def wait_for(out: Path, pattern: str, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not list(out.glob(pattern)):
        assert time.monotonic() < deadline, f"{pattern} does not come"
        time.sleep(0.02)


@pytest.mark.parametrize(
    "how",
    [pytest.param(signal.SIGINT, marks=pytest.mark.long), signal.SIGTERM, signal.SIGKILL],
    ids=["SIGINT", "SIGTERM", "SIGKILL"],
)
def test_stopped_and_killed_runs_continue_where_they_were(
    inline_run: Run, tmp_path: Path, small_data: Path, tiny_grid: Path, same_numbers: Compare,
    capsys: pytest.CaptureFixture[str], how: signal.Signals,
) -> None:  # fmt: skip
    out = tmp_path / "run"
    process = start(tiny_grid, small_data, out, "--checkpoint-steps", "1", "--only", "A", "--folds", "0")
    wait_for(out, "store/train-A-*/attempt-1/checkpoint.safetensors")
    process.send_signal(how)
    said, _ = process.communicate(timeout=300)
    if how != signal.SIGKILL:
        assert process.returncode == 1
        assert ("stopping after the running epochs" if how == signal.SIGINT else "stopping at the next step") in said
        assert f"resume {out}" in said
        assert not (out / "owner.json").exists()
    run = Run.open(out)
    code, said = ran(run, capsys)
    assert code == 0
    again = Run.open(out)
    assert again.store.done(again.graph.nodes[again.graph.train["A", 0]]).attempts == 2
    same_numbers(inline_run, again)


# --- the disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("this user may not mount a small file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_reported_and_the_run_continues_once_there_is_space(
    small_disk: Path, small_data: Path, tiny_grid: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    out = small_disk / "run"
    arguments = ["launch", str(tiny_grid), "--data", str(small_data), "--out", str(out), "--executor", "inline"]
    assert main(arguments) == 2
    assert "GB free and the features need" in capsys.readouterr().err
    monkeypatch.setattr("orchestrator.launch.require_free_space", lambda *_: None)  # something else fills the disk
    assert main(arguments) == 1
    said = "".join(capsys.readouterr())
    assert "the disk is full: free some space, then resume the run" in said
    assert "Traceback" not in said
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    assert main(["resume", str(out), "--executor", "inline"]) == 0
    assert not list(out.rglob("*.tmp*"))


def test_a_read_only_store_can_be_read_and_launch_explains_why_it_cannot_write(
    small_disk: Path, inline_run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    out = small_disk / "run"
    shutil.copytree(inline_run.folder, out)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    try:
        for verb in ("status", "report"):
            assert main([verb, str(out)]) == 0
        capsys.readouterr()
        assert main(["resume", str(out), "--executor", "inline"]) == 2
        assert "read-only" in capsys.readouterr().err
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)


def test_errors_of_the_machine_are_one_sentence() -> None:
    assert cause_of(PermissionError(13, "Permission denied", "/s/x")).startswith("/s/x: permission denied: make it")
    assert cause_of(RuntimeError("I/O error: No space left on device (os error 28)")) == (
        "the store: the disk is full: free some space, then resume the run"
    )
    assert cause_of(KeyError("x")) == "KeyError: 'x'"
    assert (
        cause_of(RuntimeError("no answer from db://me:secret@host/x"))
        == "RuntimeError: no answer from db://me:***@host/x"
    )
    assert failure_class(MemoryError()) == "memory"
    assert failure_class(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")) == "memory"
    assert failure_class(RuntimeError("DefaultCPUAllocator: can't allocate memory")) == "memory"
    assert failure_class(DamagedInputError("x")) == "damaged"
    assert failure_class(StoreError("x")) == "error"


# --- clocks, and what status makes of it all


def test_a_clock_that_goes_backwards_changes_no_age(copy: Run) -> None:
    node = copy.graph.nodes[copy.graph.train["plain", 0]]
    with attempt_at(copy, node, "another run"):
        for ahead in (-1e6, 1e6):
            (path,) = signs(copy, node)
            write_json(path, {**read_json(path), "time": time.time() + ahead})
            assert copy.store.is_busy(node, "mine"), "the file system's clock tells"
            (job,) = (job for job in read_status(RecordedRun.open(copy.folder)).jobs if job.name == node.name)
            assert job.age_s is not None
            assert job.age_s >= 0


def test_status_tells_the_states_apart(copy: Run, capsys: pytest.CaptureFixture[str]) -> None:
    graph = copy.graph
    by_name = {node.name: node for node in graph.nodes.values()}
    shutil.rmtree(copy.store.folder(by_name["predict-plain-0"]))
    fail(copy, by_name["blend"], Failure(cause="it broke", host="there", attempt=2))
    with attempt_at(copy, by_name["train-A-1"]):
        pass
    for sign in signs(copy, by_name["train-A-1"]):
        write_json(sign, {**read_json(sign), "time": time.time() - 100})
    lost = by_name["train-B-0"]
    copy.store.forget(lost)
    copy.store.claim(lost, copy.identity)
    second = Attempt(copy.store, copy.store.name(lost), copy.store.claim(lost, copy.identity))
    with attempt_at(copy, by_name["train-A-0"]) as attempt, second:
        attempt.progress(epoch=1, step=3)
        assert main(["status", str(copy.folder), "--json"]) == 0
        jobs = {job["name"]: job for job in json.loads(capsys.readouterr().out)["jobs"]}
        assert main(["status", str(copy.folder)]) == 0
        table = capsys.readouterr().out
    states = {name: jobs[name]["state"] for name in ("predict-plain-0", "blend", "train-A-1", "train-A-0", "train-B-0")}
    assert states == {
        "predict-plain-0": "waiting", "blend": "failed", "train-A-1": "stopped", "train-A-0": "running",
        "train-B-0": "retrying",
    }  # fmt: skip
    assert jobs["blend"]["cause"] == "it broke"
    assert jobs["train-A-1"]["age_s"] > 90
    assert jobs["train-D-0"]["state"] in ("done", "cached")
    assert jobs["train-D-0"]["epoch"] == jobs["train-D-0"]["epochs"] == 1
    assert re.search(r"retrying +train-B-0 .*attempt 3", table)
    assert "not running" in table


# --- MLflow away


def test_without_mlflow_training_never_notices_and_sync_brings_it_up_to_date(
    inline_run: Run, tmp_path: Path, small_data: Path, tiny_grid: Path, same_numbers: Compare,
    own_mlflow: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("orchestrator.tracking.thread.PATIENCE_S", 2.0)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hunter2@127.0.0.1:9")
    out = tmp_path / "run"
    arguments = ["launch", str(tiny_grid), "--data", str(small_data), "--out", str(out), "--executor", "inline"]
    assert main(arguments) == 0
    said = "".join(capsys.readouterr())
    assert "warning: MLflow is not up to date" in said
    assert f"'sonogrid sync {out}' brings it up to date" in said
    assert main(["sync", str(out)]) == 1
    said += (error := capsys.readouterr().err)
    assert "can't be reached" in error
    assert "hunter2" not in said
    same_numbers(inline_run, Run.open(out))
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", own_mlflow)
    for _ in range(2):
        assert main(["sync", str(out)]) == 0
    client = MlflowClient(own_mlflow)
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    assert len(runs) == 4 * (1 + 2) + 1
    assert {run.info.status for run in runs} == {"FINISHED"}
    child = next(run for run in runs if run.info.run_name == "A fold 0")
    assert [p.step for p in client.get_metric_history(child.info.run_id, "lwlrap")] == [1, 2]


@pytest.mark.long
def test_an_unreachable_database_is_reported_at_once(
    copy: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql+psycopg://me@127.0.0.1:9/mlflow")
    assert main(["sync", str(copy.folder)]) == 1
    assert "MLflow at postgresql+psycopg://" in (error := capsys.readouterr().err)
    assert "can't be reached (ConnectionRefusedError" in error, "MLflow's own error comes after two minutes"


@pytest.mark.long
def test_a_killed_job_does_not_stay_running_in_mlflow(copy: Run, own_mlflow: str) -> None:
    from mlflow import MlflowClient

    node = copy.graph.nodes[copy.graph.train["A", 0]]
    client = MlflowClient(own_mlflow)

    def status() -> str:
        assert main(["sync", str(copy.folder)]) == 0
        experiment = client.get_experiment_by_name("tiny")
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id], max_results=1000)
        return str(next(run for run in runs if run.info.run_name == "A fold 0").info.status)

    with attempt_at(copy, node):
        assert status() == "RUNNING", "another process works on it"
    for sign in signs(copy, node):
        os.utime(sign, (1, 1))
    assert status() == "KILLED"
    assert run_job(copy.claim(node, INLINE.of_job()))
    assert status() == "FINISHED"


def test_the_plan_is_pure(copy: Run) -> None:
    before = {p: p.stat().st_mtime_ns for p in copy.folder.rglob("*")}
    assert isinstance(plan_of(copy, Selection()), Plan)
    read_status(RecordedRun.open(copy.folder))
    assert {p: p.stat().st_mtime_ns for p in copy.folder.rglob("*")} == before
