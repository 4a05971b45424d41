"""How the tracking store is found, and what happens if it does not answer."""

from pathlib import Path

import mlflow
import pytest

from orchestrator.tracking.connection import Calls, WatchedClient, connect, experiment_id, tracking_uri
from tests.fixtures.services import free_port


def test_the_environment_names_the_tracking_store(own_mlflow: str, tmp_path: Path) -> None:
    assert tracking_uri() == f"sqlite:///{tmp_path / 'mlflow.db'}"


def test_a_database_that_does_not_answer_is_noticed_before_mlflow_tries_for_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"postgresql://me:hush-hush@127.0.0.1:{free_port()}/mlflow")
    with pytest.raises(ConnectionRefusedError):
        connect()


def test_an_experiment_is_created_once_with_its_artifacts_where_the_environment_says(
    own_mlflow: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", "s3://bucket/artifacts/")
    client = connect()
    first = experiment_id(client, "tiny")
    assert experiment_id(client, "tiny") == first
    assert mlflow.MlflowClient().get_experiment(first).artifact_location == "s3://bucket/artifacts/tiny"


def test_a_deleted_experiment_is_restored(own_mlflow: str) -> None:
    client = connect()
    first = experiment_id(client, "tiny")
    client.delete_experiment(first)
    assert experiment_id(client, "tiny") == first
    assert client.get_experiment(first).lifecycle_stage == "active"


def test_an_upload_may_take_the_time_that_its_size_needs(tmp_path: Path) -> None:
    calls = Calls()
    assert not calls.overdue(0.0), "no call is under way"
    seen: list[bool] = []

    class Client:
        def log_artifact(self, run: str, path: str) -> None:
            seen.append(calls.overdue(0.0))

        def log_batch(self, run: str) -> str:
            seen.append(calls.overdue(0.0))
            return run

    big = tmp_path / "big"
    big.write_bytes(b"\0" * 1_000_000)
    client = WatchedClient(Client(), calls)
    client.log_artifact("run", str(big))
    assert client.log_batch("run") == "run"
    assert seen == [False, True]
    assert not calls.overdue(0.0)
