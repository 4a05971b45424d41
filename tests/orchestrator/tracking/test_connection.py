"""How the tracking store is found, and what happens if it does not answer."""

from pathlib import Path

import mlflow
import pytest

from features.files import read_json, write_json
from orchestrator.run.bound import Run
from orchestrator.tracking.connection import Calls, Place, WatchedClient, connect, experiment_id
from tests.fixtures.services import free_port


def test_the_environment_names_the_tracking_store(own_mlflow: str, tmp_path: Path) -> None:
    assert Place.of(tmp_path / "run").uri == f"sqlite:///{tmp_path / 'mlflow.db'}"


def test_a_run_keeps_the_place_of_its_launch_wherever_a_command_is_typed(
    inline_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    project, elsewhere = tmp_path / "my project", tmp_path / "elsewhere"
    for folder in (project, elsewhere):
        folder.mkdir()
    monkeypatch.chdir(project)
    place = Place.of(Path("run"))
    assert place == Place(f"sqlite:///{project / 'mlflow.db'}", str(project / "mlruns")), "where MLflow itself looks"
    run = project / "run"
    run.mkdir()
    write_json(run / "run.json", read_json(inline_run.folder / "run.json") | {"asked": place.record()})
    monkeypatch.chdir(elsewhere)
    assert Place.of(run) == place
    client = connect(place)
    experiment = client.get_experiment(experiment_id(client, "tiny", place))
    assert experiment.artifact_location == str(project / "mlruns" / "tiny")
    assert (project / "mlflow.db").is_file()
    assert list(elsewhere.iterdir()) == [], "nothing is left in the working folder"
    project.rename(tmp_path / "moved")
    moved = tmp_path / "moved" / "run"
    assert Place.of(moved).uri == f"sqlite:///{moved / 'mlflow.db'}", "the folder of its database is gone"


def test_a_password_is_not_recorded() -> None:
    assert Place("postgresql://me:hush-hush@db/mlflow").record() == {}
    assert Place("http://tracking:5000").record() == {"mlflow": "http://tracking:5000"}


def test_a_database_that_does_not_answer_is_noticed_before_mlflow_tries_for_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"postgresql://me:hush-hush@127.0.0.1:{free_port()}/mlflow")
    with pytest.raises(ConnectionRefusedError):
        connect(Place.of(tmp_path))


def test_an_experiment_is_created_once_with_its_artifacts_where_the_environment_says(
    own_mlflow: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", "s3://bucket/artifacts/")
    place = Place.of(tmp_path)
    client = connect(place)
    first = experiment_id(client, "tiny", place)
    assert experiment_id(client, "tiny", place) == first
    assert mlflow.MlflowClient().get_experiment(first).artifact_location == "s3://bucket/artifacts/tiny"


def test_a_deleted_experiment_is_restored(own_mlflow: str, tmp_path: Path) -> None:
    place = Place.of(tmp_path)
    client = connect(place)
    first = experiment_id(client, "tiny", place)
    client.delete_experiment(first)
    assert experiment_id(client, "tiny", place) == first
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
