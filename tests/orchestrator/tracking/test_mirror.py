"""What of a run is mirrored, and when it is read again."""

from pathlib import Path
from typing import Any

import mlflow
import pytest

from features.errors import DamagedInputError, TrackingError
from features.files import read_json, write_json
from orchestrator.launch import launch
from orchestrator.pages import PAGE
from orchestrator.pages.overview import overview_files
from orchestrator.run.bound import Run
from orchestrator.run.selection import Selection
from orchestrator.tracking import Mirror, bring_up_to_date
from tests.fixtures.harm import INLINE, QUIET
from tests.fixtures.services import free_port


def test_a_condition_that_is_all_there_is_not_read_again_until_it_runs_again(
    inline_run: Run, own_mlflow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    inline_run: Run, own_mlflow: str, tmp_path: Path
) -> None:
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
    client = mlflow.MlflowClient(own_mlflow)
    experiment = client.get_experiment_by_name("partial")
    assert experiment is not None
    (child,) = [r for r in client.search_runs([experiment.experiment_id]) if r.info.run_name == "A fold 0"]
    assert [(p.step, p.value) for p in client.get_metric_history(child.info.run_id, "lwlrap")] == [(1, 0.5), (2, 0.6)]
    assert child.info.status == "KILLED", "it shows no sign of life"


def test_points_of_epochs_that_were_done_again_are_replaced(inline_run: Run, own_mlflow: str, tmp_path: Path) -> None:
    """An attempt that can't read the previous checkpoint starts over, so its epochs have other times."""
    recipe = inline_run.recipe.model_copy(update={"name": "again"})
    run = Run(tmp_path, recipe, inline_run.data_root, type(inline_run.store)(tmp_path / "store"), inline_run.manifest)
    node = run.graph.nodes[run.graph.train["A", 0]]
    folder = run.store.folder(node)
    write_json(folder / "running.json", {})
    history = folder / "history.jsonl"
    first = '{"epoch": 1, "lwlrap": 0.5, "seconds": 1.0, "time": 1.0}\n'
    history.write_text(first + '{"epoch": 2, "lwlrap": 0.6, "seconds": 1.0, "time": 2.0}\n')
    mirror = Mirror(run)
    mirror.sync({node.signature})
    history.write_text(first)  # nothing contradicts what is shown
    mirror.sync({node.signature})
    before = found(own_mlflow, "again")["A fold 0"].info.run_id
    again = first + '{"epoch": 2, "lwlrap": 0.6, "seconds": 9.0, "time": 12.0}\n'
    for syncing in (mirror, Mirror(run)):
        history.write_text(again)
        syncing.sync({node.signature})
        child = found(own_mlflow, "again")["A fold 0"]
        assert child.info.run_id != before
        points = mlflow.MlflowClient(own_mlflow).get_metric_history(child.info.run_id, "seconds")
        assert [(point.step, point.value) for point in points] == [(1, 1.0), (2, 9.0)]
    again = again.replace("12.0", "22.0")
    history.write_text(again)
    Mirror(run).sync({node.signature})  # a process that has to ask MLflow what it shows
    assert found(own_mlflow, "again")["A fold 0"].info.run_id != child.info.run_id


def found(uri: str, experiment: str) -> dict[str, Any]:
    """The runs of an experiment, by name."""
    client = mlflow.MlflowClient(uri)
    known = client.get_experiment_by_name(experiment)
    assert known is not None
    return {run.info.run_name: run for run in client.search_runs([known.experiment_id], max_results=1000)}


def test_a_damaged_prediction_stops_nothing_else(copy: Run, own_mlflow: str) -> None:
    node = copy.graph.nodes[copy.graph.predict["plain", 0]]
    results = copy.store.results(node)
    (results / "test.npy").write_bytes(b"rotten")
    with pytest.raises(DamagedInputError, match="predict-plain-0"):
        bring_up_to_date(copy)
    runs = found(own_mlflow, "tiny")
    assert set(runs) >= {n for c in ("plain", "A", "B", "D") for n in (c, f"{c} fold 0", f"{c} fold 1")}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    bring_up_to_date(copy)
    runs = found(own_mlflow, "tiny")
    assert "oof_lwlrap" in runs["A"].data.metrics
    assert "oof_lwlrap_nested" in runs["blend"].data.metrics
    assert "oof_lwlrap" not in runs["plain"].data.metrics, "one of its predictions is damaged"


def test_what_mlflow_refuses_stops_nothing_else(
    inline_run: Run, own_mlflow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = inline_run.store.history
    long = {"x" * 300: 1.0}  # MLflow takes names of 250 characters
    monkeypatch.setattr(
        inline_run.store,
        "history",
        lambda node: [record | (long if node.name == "train-plain-0" else {}) for record in history(node)],
    )
    with pytest.raises(TrackingError, match="refuses a write"):
        bring_up_to_date(inline_run)
    runs = found(own_mlflow, "tiny")
    assert len(runs) == 13
    assert runs["blend"].info.status == "FINISHED"
    assert runs["plain fold 1"].data.metrics


def test_runs_begin_and_end_when_their_jobs_did(inline_run: Run, own_mlflow: str) -> None:
    bring_up_to_date(inline_run)
    runs = found(own_mlflow, "tiny")

    def recorded(name: str) -> tuple[int, int]:
        (node,) = (node for node in inline_run.graph.nodes.values() if node.name == name)
        done = read_json(inline_run.store.results(node) / "done.json")
        return round(done["started"] * 1000), round((done["started"] + done["seconds"]) * 1000)

    def shown(name: str) -> tuple[int, int]:
        return runs[name].info.start_time, runs[name].info.end_time

    folds = [recorded(f"train-A-{fold}") for fold in (0, 1)]
    assert [shown(f"A fold {fold}") for fold in (0, 1)] == folds
    assert shown("A") == (min(start for start, _ in folds), max(end for _, end in folds))
    assert shown("blend") == recorded("blend")


def test_a_job_that_was_run_again_replaces_its_run(copy: Run, own_mlflow: str) -> None:
    bring_up_to_date(copy)
    before = found(own_mlflow, "tiny")
    assert launch(copy, INLINE, Selection(force=("train-plain-0",)), QUIET).ok
    after = found(own_mlflow, "tiny")
    assert after.keys() == before.keys()
    replaced = {name for name in after if after[name].info.run_id != before[name].info.run_id}
    assert replaced == {"plain", "plain fold 0"}
    assert after["plain fold 1"].data.tags["mlflow.parentRunId"] == after["plain"].info.run_id
    assert after["plain"].data.metrics["oof_lwlrap"] == pytest.approx(before["plain"].data.metrics["oof_lwlrap"])
    child = after["plain fold 0"].info
    assert child.start_time > before["plain fold 0"].info.end_time
    points = mlflow.MlflowClient(own_mlflow).get_metric_history(child.run_id, "lwlrap")
    assert [point.step for point in points] == [1, 2]
    assert all(point.timestamp > child.start_time for point in points)


def test_points_of_void_results_are_replaced_though_no_file_of_theirs_was_copied(copy: Run, own_mlflow: str) -> None:
    """MLflow got the points of a job whose results were damaged before they were copied."""
    node = copy.graph.nodes[copy.graph.train["plain", 0]]
    mirror = Mirror(copy)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mirror, "_artifacts", lambda *_: None)
        mirror.sync()
    before = found(own_mlflow, "tiny")["plain fold 0"]
    copy.store.forget(node)
    mirror.sync()
    after = found(own_mlflow, "tiny")
    assert "plain fold 0" not in after or after["plain fold 0"].info.run_id != before.info.run_id
    assert launch(copy, INLINE, Selection(), QUIET).ok
    run = found(own_mlflow, "tiny")["plain fold 0"]
    assert run.data.tags["sonogrid.generation"] == "2"
    points = mlflow.MlflowClient(own_mlflow).get_metric_history(run.info.run_id, "lwlrap")
    assert [point.step for point in points] == [1, 2]
    assert all(point.timestamp > before.info.end_time for point in points)


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


def test_conditions_and_blend_have_pictures_tables_and_sounds(inline_run: Run, own_mlflow: str) -> None:
    bring_up_to_date(inline_run)
    client, runs = mlflow.MlflowClient(own_mlflow), found(own_mlflow, "tiny")
    for name in ("plain", "blend"):
        files = {file.path for file in client.list_artifacts(runs[name].info.run_id, "overview")}
        assert files == {f"overview/{path.name}" for path in overview_files(inline_run, name)}
    assert runs["plain"].data.metrics["oof_lwlrap_low"] < runs["plain"].data.metrics["oof_lwlrap"]


def test_the_report_is_an_artifact_of_the_blend_and_replaced_when_it_changes(
    copy: Run, own_mlflow: str, tmp_path: Path
) -> None:
    page = copy.folder / PAGE
    assert page.exists(), "the launch wrote it"
    bring_up_to_date(copy)
    client = mlflow.MlflowClient(own_mlflow)
    blend = found(own_mlflow, "tiny")["blend"].info.run_id

    def shown() -> str:
        return Path(client.download_artifacts(blend, f"report/{PAGE}", str(tmp_path))).read_text()

    assert shown() == page.read_text()
    page.write_text("a new one")
    bring_up_to_date(copy)
    assert shown() == "a new one"
