"""A store that is away for a while, in the middle of a grid: real S3 requests, refused by a proxy."""

import io
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

import orchestrator.store.objects.s3 as s3_module
from orchestrator.grids.load import load_grid
from orchestrator.launch import launch
from orchestrator.run.execution import Execution
from orchestrator.run.selection import Selection, prepare
from orchestrator.store import patient as patient_module
from tests.fixtures.services import Faults, Proxy

ONE = Selection(conditions=("plain",), folds=(0,))


def away(proxy: Proxy, word: str, seconds: float, times: list[float]) -> threading.Thread:
    """From the first request on that has a word, answer 503 to all for a while."""

    def watch() -> None:
        while not any(word in request for request in [*proxy.requests]):
            time.sleep(0.01)
        proxy.always = Faults.status(503, "SlowDown")
        times.append(time.monotonic())
        time.sleep(seconds)
        proxy.always = None
        times.append(time.monotonic())

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


@pytest.mark.usefixtures("own_mlflow")
@pytest.mark.long
@pytest.mark.parametrize("word", ["checkpoint.safetensors", "claim-1.json", "predict-plain-0"])
def test_a_grid_waits_for_its_store_and_ends_well(
    proxy: Proxy, s3: str, small_data: Path, tiny_grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], word: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("SONOGRID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(patient_module, "SAID_AFTER_S", (0.5, 1.0))
    monkeypatch.setattr(patient_module, "LONGEST_PAUSE_S", 0.5)
    monkeypatch.setattr(s3_module, "ATTEMPTS", 1)
    run = prepare(load_grid(str(tiny_grid)), small_data, tmp_path / "run", f"{s3}/store")
    shown, times = io.StringIO(), list[float]()
    watching = away(proxy, word, 4.0, times)
    result = launch(run, Execution(executor="inline"), ONE, Console(file=shown, width=500))
    watching.join()
    assert result.ok, shown.getvalue()
    assert len(times) == 2
    said = shown.getvalue() + capsys.readouterr().err
    assert "the store does not answer since" in said
    assert "503 SlowDown" in said
    assert "the store answers again, after" in said
    assert "lost" not in said


@pytest.mark.long
@pytest.mark.ray
@pytest.mark.usefixtures("own_mlflow")
def test_jobs_on_ray_go_on_while_the_store_is_away(
    proxy: Proxy, s3: str, small_data: Path, tiny_grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For longer than a call is repeated: neither the driver nor a job is lost, and the jobs are done once."""
    monkeypatch.setenv("SONOGRID_CACHE", str(tmp_path / "cache"))
    recipe = load_grid(str(tiny_grid), ["conditions.plain.epochs=12"])
    run = prepare(recipe, small_data, tmp_path / "run", f"{s3}/store")
    shown, times = io.StringIO(), list[float]()
    watching = away(proxy, "checkpoint.safetensors", 75.0, times)
    result = launch(run, Execution(), ONE, Console(file=shown, width=500))
    watching.join()
    said = shown.getvalue()
    assert result.ok, said
    assert "the store does not answer since" in said
    assert "the store answers again, after" in said
    assert " lost" not in said
    run.store.refresh()
    assert run.store.done(run.graph.nodes[run.graph.train["plain", 0]]).attempts == 1
