"""How the tracking store is found, and what happens if it does not answer."""

import time
from pathlib import Path

import mlflow
import pytest

from orchestrator.tracking.connection import connect, experiment_id, tracking_uri
from tests.fixtures.services import free_port


def test_the_environment_names_the_tracking_store(own_mlflow: None, tmp_path: Path) -> None:
    assert tracking_uri() == f"sqlite:///{tmp_path / 'mlflow.db'}"


def test_a_database_that_does_not_answer_is_noticed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"postgresql://me:hush-hush@127.0.0.1:{free_port()}/mlflow")
    began = time.monotonic()
    with pytest.raises(ConnectionRefusedError):
        connect()
    assert time.monotonic() - began < 10, "MLflow itself tries for minutes"


def test_an_experiment_is_created_once_with_its_artifacts_where_the_environment_says(
    own_mlflow: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", "s3://bucket/artifacts/")
    client = connect()
    first = experiment_id(client, "tiny")
    assert experiment_id(client, "tiny") == first
    assert mlflow.MlflowClient().get_experiment(first).artifact_location == "s3://bucket/artifacts/tiny"
