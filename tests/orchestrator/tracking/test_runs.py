"""Runs in a real tracking store: every write is made once, whoever makes it again."""

from pathlib import Path
from typing import Any

import mlflow
import pytest

from orchestrator.tracking.runs import LONGEST_VALUE, Mirrored, Runs

HISTORY = [{"epoch": epoch, "lwlrap": epoch / 10, "loss": 1 / epoch, "time": float(epoch)} for epoch in (1, 2, 3)]


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tracking store for this module: creating its tables takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('runs') / 'mlflow.db'}"


@pytest.fixture
def name(uri: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An experiment of the test's own."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", str(tmp_path / "artifacts"))
    return str(request.node.name)


def made(runs: Runs) -> Mirrored:
    return runs.ensure("key", "A fold 0", {"train.epochs": 3, "text": "x" * 600}, {"sonogrid.fold": "0"})


def found(run: Mirrored) -> Any:
    return mlflow.MlflowClient().get_run(run.id)


def test_a_run_is_found_again_by_its_key(name: str) -> None:
    first = made(Runs.of_experiment(name))
    again = made(Runs.of_experiment(name))
    assert again.id == first.id
    data = found(first).data
    assert data.tags["sonogrid.signature"] == "key"
    assert data.tags["sonogrid.fold"] == "0"
    assert data.params == {"train.epochs": "3", "text": "x" * LONGEST_VALUE}


def test_only_new_epochs_are_added(name: str) -> None:
    runs = Runs.of_experiment(name)
    run = made(runs)
    runs.metrics(run, HISTORY[:1])
    runs.metrics(run, HISTORY[:2])
    later = Runs.of_experiment(name)
    later.metrics(later["key"], HISTORY)
    points = mlflow.MlflowClient().get_metric_history(run.id, "lwlrap")
    assert [(point.step, point.value) for point in points] == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert set(found(run).data.metrics) == {"lwlrap", "loss"}, "epoch and time are no metrics"


def test_a_score_is_added_when_it_changes(name: str) -> None:
    runs = Runs.of_experiment(name)
    run = made(runs)
    for value in (0.5, 0.5, None, 0.6):
        runs.scores(run, {"oof_lwlrap": value})
    later = Runs.of_experiment(name)
    later.scores(later["key"], {"oof_lwlrap": 0.6})
    points = mlflow.MlflowClient().get_metric_history(run.id, "oof_lwlrap")
    assert [point.value for point in points] == [0.5, 0.6]


def test_files_are_copied_once_and_an_interrupted_copy_again(name: str, tmp_path: Path) -> None:
    runs = Runs.of_experiment(name)
    run = made(runs)
    file = tmp_path / "oof.npy"
    with pytest.raises(OSError, match=r"oof\.npy"):
        runs.artifacts(run, "blend", "signature", [file])
    assert not run.has_artifacts("blend", "signature")
    file.write_bytes(b"scores")
    runs.artifacts(run, "blend", "signature", [file])
    assert run.has_artifacts("blend", "signature")
    assert not run.has_artifacts("blend", "another")
    file.unlink()
    runs.artifacts(run, "blend", "signature", [file])  # would fail if it copied again
    assert [each.path for each in mlflow.MlflowClient().list_artifacts(run.id, "blend")] == ["blend/oof.npy"]


def test_a_run_ends_and_starts_again(name: str) -> None:
    runs = Runs.of_experiment(name)
    run = made(runs)
    assert found(run).info.status == "RUNNING"
    runs.set_status(run, "KILLED")
    assert found(run).info.status == "KILLED"
    later = Runs.of_experiment(name)
    later.set_status(later["key"], "RUNNING")
    assert found(run).info.status == "RUNNING"
