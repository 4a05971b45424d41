"""Mirroring in the background, with and without MLflow."""

import time
from collections.abc import Callable
from typing import Any

import mlflow
import pytest

from orchestrator.run.bound import Run
from orchestrator.tracking import MirrorThread, runs
from tests.fixtures.services import free_port


def test_the_end_of_a_launch_finds_everything_mirrored(inline_run: Run, own_mlflow: str) -> None:
    thread = MirrorThread(inline_run, set(), every_s=60.0)
    thread.start()
    assert thread.finish() is None
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name(inline_run.recipe.name)
    assert experiment is not None
    assert "blend" in {run.info.run_name for run in client.search_runs([experiment.experiment_id])}


def test_an_outage_is_reported_and_harms_nothing(inline_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:hush-hush@127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "127.0.0.1")  # a word of the message
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr("orchestrator.tracking.thread.PATIENCE_S", 4.0)
    thread = MirrorThread(inline_run, set(), every_s=0.1)
    thread.start()
    trouble = thread.finish()
    assert trouble is not None
    assert "Traceback" not in trouble
    assert "hush-hush" not in trouble
    assert "127.0.0.1" not in trouble


class SlowClient:
    """The real client, with a pause before each call."""

    def __init__(self, pause: Callable[[str], float]) -> None:
        self._client, self._pause = mlflow.MlflowClient(), pause

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            time.sleep(self._pause(name))
            return getattr(self._client, name)(*arguments, **more)

        return call


def test_the_end_waits_while_mlflow_answers(inline_run: Run, own_mlflow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow.MlflowClient().search_experiments()  # creates the tables
    monkeypatch.setattr("orchestrator.tracking.thread.PATIENCE_S", 3.0)
    monkeypatch.setattr(runs, "connect", lambda _: SlowClient(lambda name: 0.04 if name == "log_artifact" else 0.0))
    thread = MirrorThread(inline_run, set(), every_s=60.0)
    thread.start()
    began = time.monotonic()
    assert thread.finish() is None
    assert time.monotonic() - began > 3.0, "all calls together take longer than the patience"


def test_the_end_does_not_wait_for_an_answer_that_does_not_come(
    inline_run: Run, own_mlflow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.tracking.thread.PATIENCE_S", 1.0)
    monkeypatch.setattr(runs, "connect", lambda _: SlowClient(lambda name: 4.0 if name == "search_runs" else 0.0))
    thread = MirrorThread(inline_run, set(), every_s=60.0)
    thread.start()
    assert thread.finish() == "MLflow does not answer"
