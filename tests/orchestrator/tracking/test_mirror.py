"""What of a run is mirrored, and when it is read again."""

from pathlib import Path

import mlflow
import pytest

from features.errors import TrackingError
from features.files import write_json
from orchestrator.run.bound import Run
from orchestrator.tracking import Mirror, bring_up_to_date
from tests.fixtures.services import free_port


def test_a_condition_that_is_all_there_is_not_read_again_until_it_runs_again(
    inline_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'complete.db'}")
    mirror = Mirror(inline_run)
    mirror.sync()
    read: list[str] = []
    state = inline_run.store.state
    monkeypatch.setattr(inline_run.store, "state", lambda node: read.append(node.name) or state(node))
    mirror.sync()
    assert set(read) <= {"blend"}
    mirror.sync({inline_run.graph.train["A", 1]})
    assert {"train-A-0", "train-A-1"} <= set(read)
    assert not any(name.startswith("train-D") for name in read)


def test_points_that_are_missing_are_added_to_the_run_that_is_there(
    inline_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{tmp_path / 'points.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    recipe = inline_run.recipe.model_copy(update={"name": "partial"})
    run = Run(tmp_path, recipe, inline_run.data_root, type(inline_run.store)(tmp_path / "store"), inline_run.manifest)
    node = run.graph.nodes[run.graph.train["A", 0]]
    folder = run.store.folder(node)
    write_json(folder / "running.json", {})
    history = folder / "history.jsonl"
    history.write_text('{"epoch": 1, "lwlrap": 0.5, "time": 1.0}\n{"epoch": 2, "lwl')
    mirror = Mirror(run)
    mirror.sync({node.signature})
    history.write_text('{"epoch": 1, "lwlrap": 0.5, "time": 1.0}\n{"epoch": 2, "lwlrap": 0.6, "time": 2.0}\n')
    Mirror(run).sync({node.signature})
    mirror.sync()
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("partial")
    assert experiment is not None
    (child,) = [r for r in client.search_runs([experiment.experiment_id]) if r.info.run_name == "A fold 0"]
    assert [(p.step, p.value) for p in client.get_metric_history(child.info.run_id, "lwlrap")] == [(1, 0.5), (2, 0.6)]
    assert child.info.status == "KILLED", "it shows no sign of life"


def test_an_outage_is_an_error_even_if_there_is_nothing_to_mirror(
    inline_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:hush-hush@127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    empty = type(inline_run.store)(tmp_path / "store")
    run = Run(tmp_path, inline_run.recipe, inline_run.data_root, empty, inline_run.manifest)
    with pytest.raises(TrackingError, match="start it and try again") as caught:
        bring_up_to_date(run)
    assert "hush-hush" not in str(caught.value)
