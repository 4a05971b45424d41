"""Runs in a real tracking store: every write is made once, whoever makes it again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pytest

from orchestrator.tracking.connection import Place
from orchestrator.tracking.runs import GENERATION, LONGEST_VALUE, PARENT, BehindError, Mirrored, Runs

HISTORY = [{"epoch": epoch, "lwlrap": epoch / 10, "loss": 1 / epoch, "time": float(epoch)} for epoch in (1, 2, 3)]


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory, tracking_store: Callable[[Path], str]) -> str:
    """A tracking store for this module."""
    return tracking_store(tmp_path_factory.mktemp("runs") / "mlflow.db")


@pytest.fixture
def name(uri: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An experiment of the test's own."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_DEFAULT_ARTIFACT_ROOT", str(tmp_path / "artifacts"))
    return str(request.node.name)


def made(runs: Runs) -> Mirrored:
    return runs.ensure("key", "A fold 0", {"train.epochs": 3, "text": "x" * 600}, {"sonogrid.fold": "0"}, 1_000)


def found(run: Mirrored) -> Any:
    return mlflow.MlflowClient().get_run(run.id)


def test_a_run_is_found_again_by_its_key(name: str) -> None:
    first = made(Runs.of_experiment(name, Place.of(Path("run"))))
    again = made(Runs.of_experiment(name, Place.of(Path("run"))))
    assert again.id == first.id
    data = found(first).data
    assert data.tags["sonogrid.signature"] == "key"
    assert data.tags["sonogrid.fold"] == "0"
    assert data.params == {"train.epochs": "3", "text": "x" * LONGEST_VALUE}


def test_only_new_epochs_are_added(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Runs.of_experiment(name, Place.of(Path("run")))
    run = made(runs)
    runs.metrics(run, HISTORY[:1])
    runs.metrics(run, HISTORY[:2])
    later = Runs.of_experiment(name, Place.of(Path("run")))
    sent: list[int] = []
    log_batch = later._client.log_batch

    def watched(run_id: str, metrics: list[Any]) -> None:
        sent.extend(metric.step for metric in metrics)
        log_batch(run_id, metrics=metrics)

    monkeypatch.setattr(later._client, "log_batch", watched)
    later.metrics(later["key"], HISTORY)
    assert sent == [3, 3], "SQL stores would drop points that are there, others would not"
    points = mlflow.MlflowClient().get_metric_history(run.id, "lwlrap")
    assert [(point.step, point.value) for point in points] == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert set(found(run).data.metrics) == {"lwlrap", "loss"}, "epoch and time are no metrics"


def test_a_score_is_added_when_it_changes(name: str) -> None:
    runs = Runs.of_experiment(name, Place.of(Path("run")))
    run = made(runs)
    for value in (0.5, 0.5, None, 0.6):
        runs.scores(run, {"oof_lwlrap": value}, {"oof_lwlrap": 2.0})
    later = Runs.of_experiment(name, Place.of(Path("run")))
    later.scores(later["key"], {"oof_lwlrap": 0.6}, {"oof_lwlrap": 2.0})
    points = mlflow.MlflowClient().get_metric_history(run.id, "oof_lwlrap")
    assert [point.value for point in points] == [0.5, 0.6]
    assert points[0].timestamp == 2_000
    assert found(run).data.metrics == {"oof_lwlrap": 0.6}, "a score that replaces another is the last one"


def test_a_score_that_another_process_added_is_not_added_again(name: str) -> None:
    """It may know another time for it: a prediction was found damaged, and computed again."""
    runs = Runs.of_experiment(name, Place.of(Path("run")))
    run = made(runs)
    other = Runs.of_experiment(name, Place.of(Path("run")))
    runs.scores(run, {"oof_lwlrap": 0.5}, {"oof_lwlrap": 2.0})
    other.scores(other["key"], {"oof_lwlrap": 0.5}, {"oof_lwlrap": 3.0})
    assert [point.timestamp for point in mlflow.MlflowClient().get_metric_history(run.id, "oof_lwlrap")] == [2_000]


def test_files_are_copied_once_and_an_interrupted_copy_again(name: str, tmp_path: Path) -> None:
    runs = Runs.of_experiment(name, Place.of(Path("run")))
    run = made(runs)
    file = tmp_path / "oof.npy"
    with pytest.raises(OSError, match=r"oof\.npy"):
        runs.artifacts(run, "blend", "signature", [file])
    assert not run.has_artifacts("blend", "signature")
    file.write_bytes(b"scores")
    runs.artifacts(run, "blend", "signature", [file])
    assert run.has_artifacts("blend", "signature")
    assert not run.has_artifacts("blend", "another")
    assert run.has_artifacts("blend", "signature 1.5"), "older versions noted the signature alone"
    file.unlink()
    runs.artifacts(run, "blend", "signature", [file])  # would fail if it copied again
    assert [each.path for each in mlflow.MlflowClient().list_artifacts(run.id, "blend")] == ["blend/oof.npy"]


def test_a_run_ends_and_starts_again(name: str) -> None:
    runs = Runs.of_experiment(name, Place.of(Path("run")))
    run = made(runs)
    assert (found(run).info.status, found(run).info.start_time) == ("RUNNING", 1_000)
    runs.set_status(run, "KILLED", 5_000)
    assert (found(run).info.status, found(run).info.end_time) == ("KILLED", 5_000)
    runs.set_status(run, "KILLED")
    assert found(run).info.end_time == 5_000, "nothing better is known"
    later = Runs.of_experiment(name, Place.of(Path("run")))
    later.set_status(later["key"], "RUNNING")
    assert found(run).info.status == "RUNNING"


def test_a_run_without_its_parameters_gets_them(name: str) -> None:
    client = mlflow.MlflowClient()
    experiment = client.create_experiment(name)
    killed = client.create_run(experiment, tags={"sonogrid.signature": "key"}, run_name="A fold 0")
    run = made(Runs.of_experiment(name, Place.of(Path("run"))))
    assert run.id == killed.info.run_id
    assert found(run).data.params == {"train.epochs": "3", "text": "x" * LONGEST_VALUE}
    assert found(run).data.tags["sonogrid.fold"] == "0"


def test_of_several_runs_with_one_key_one_stays(name: str) -> None:
    client = mlflow.MlflowClient()
    experiment = client.create_experiment(name)
    doubles = [client.create_run(experiment, tags={"sonogrid.signature": "key"}).info.run_id for _ in range(3)]
    assert made(Runs.of_experiment(name, Place.of(Path("run")))).id == min(doubles)
    assert [run.info.run_id for run in client.search_runs([experiment])] == [min(doubles)]


def test_a_child_of_a_deleted_run_gets_the_new_parent(name: str) -> None:
    runs = Runs.of_experiment(name, Place.of(Path("run")))
    parent = runs.ensure("parent", "A", {}, {}, 1_000)
    child = runs.ensure("child", "A fold 0", {}, {PARENT: parent.id}, 1_000)
    mlflow.MlflowClient().delete_run(parent.id)
    later = Runs.of_experiment(name, Place.of(Path("run")))
    again = later.ensure("parent", "A", {}, {}, 1_000)
    later.ensure("child", "A fold 0", {}, {PARENT: again.id}, 1_000)
    assert again.id != parent.id
    assert found(child).data.tags[PARENT] == again.id
    later.ensure("child", "A fold 0", {}, {PARENT: "of another grid"}, 1_000)
    assert found(child).data.tags[PARENT] == again.id, "two grids with one job must not take it from each other"


def test_a_dataset_and_an_outcome_are_noted_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = made(Runs.of_experiment(name, Place.of(Path("run"))))
    for _ in range(2):
        runs = Runs.of_experiment(name, Place.of(Path("run")))
        for _ in range(2):
            runs.dataset(runs["key"], "data", "digest", "/data", '{"n_classes": 3}')
            runs.outcome(runs["key"], {"sonogrid.host": "here"}, {"best_lwlrap": 0.5}, 2_000)
        monkeypatch.setattr(Runs, "dataset", lambda self, run, *_: {"digest"} == run.datasets or pytest.fail("again"))
    (data,) = found(run).inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest, data.dataset.profile) == ("data", "digest", '{"n_classes": 3}')
    assert [(tag.key, tag.value) for tag in data.tags] == [("mlflow.data.context", "training")]
    (point,) = mlflow.MlflowClient().get_metric_history(run.id, "best_lwlrap")
    assert (point.value, point.timestamp) == (0.5, 2_000)
    assert found(run).data.tags["sonogrid.host"] == "here"


def test_a_run_of_an_earlier_generation_is_replaced(name: str) -> None:
    def of(generation: int) -> str:
        runs = Runs.of_experiment(name, Place.of(Path("run")))
        return runs.renewed("key", "A", {}, {GENERATION: str(generation)}, 1_000).id

    first = of(1)
    assert of(1) == first
    second = of(2)
    assert second != first
    with pytest.raises(BehindError):
        of(1)
    assert of(2) == second, "a process that is late takes nothing back, and adds nothing"
