"""The blend as a registered model: MLflow's own store, its registry, and its scoring server."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import requests

from features.errors import InputError, StoreError, TrackingError
from orchestrator.launch import launch
from orchestrator.report.build import build_report
from orchestrator.run.bound import Run
from orchestrator.run.selection import Selection
from orchestrator.store.marks import DoneMark
from orchestrator.tagger.tagger import Tagger
from orchestrator.tracking import bring_up_to_date, models
from orchestrator.tracking.models import _verdict, register
from tests.fixtures.harm import INLINE, QUIET
from tests.fixtures.services import free_port


def test_a_blend_is_registered_once_with_all_that_belongs_to_it(
    copy: Run, own_mlflow: str, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, again = register(copy), register(copy)
    assert (first.version, first.champion, again.version) == ("1", True, "1")
    client = mlflow.MlflowClient()
    version = client.get_model_version_by_alias(copy.recipe.name, "champion")
    logged = client.get_logged_model(version.source.rpartition("/")[2])
    assert str(logged.status) == "READY"
    scores = {metric.key: metric for metric in logged.metrics}
    assert scores["oof_lwlrap_nested"].value == pytest.approx(first.score)
    run = client.get_run(version.run_id)
    (data,) = run.inputs.dataset_inputs
    assert data.dataset.digest == scores["oof_lwlrap_nested"].dataset_digest
    assert [output.model_id for output in run.outputs.model_outputs] == [logged.model_id]

    uri = f"models:/{copy.recipe.name}@champion"
    path = sorted(small_data.glob("test/*.wav"))[0]
    wanted = Tagger.load(copy.folder).scores([path])
    np.testing.assert_allclose(Tagger.load(uri).scores([path]), wanted, atol=2e-6)
    model = mlflow.pyfunc.load_model(uri)
    assert model.metadata.signature.inputs.input_names() == ["audio"]
    found = model.predict(pd.DataFrame({"audio": [path.read_bytes()]}))
    np.testing.assert_allclose(found.to_numpy(), wanted, atol=2e-6)
    files = [path.name for path in Path(mlflow.artifacts.download_artifacts(uri)).rglob("*") if path.is_file()]
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".pt"))]
    assert models.register_new(copy) is None, "this blend has a version"


def test_a_large_blend_is_referred_to_until_a_copy_is_asked_for(
    copy: Run, own_mlflow: str, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(models, "COPIED_BYTES", 1_000)
    bring_up_to_date(copy)
    reference = models.register_new(copy)
    assert reference is not None
    assert (reference.version, reference.champion, reference.copied) == ("1", True, False)
    assert str(reference).startswith("tiny v1, champion (lwlrap 0.")
    uri = f"models:/{copy.recipe.name}@champion"
    model = Path(mlflow.artifacts.download_artifacts(uri))
    assert sum(path.stat().st_size for path in model.rglob("*") if path.is_file()) < 20_000
    path = sorted(small_data.glob("test/*.wav"))[0]
    wanted = Tagger.load(copy.folder).scores([path])
    np.testing.assert_array_equal(Tagger.load(uri).scores([path]), wanted)
    found = mlflow.pyfunc.load_model(uri).predict(pd.DataFrame({"audio": [path.read_bytes()]}))
    np.testing.assert_allclose(found.to_numpy(), wanted, atol=2e-6)
    assert models.register_new(copy) is None

    whole = register(copy)
    assert (whole.version, whole.champion, whole.reason) == ("2", True, "it was before")
    assert list(Path(mlflow.artifacts.download_artifacts(uri)).rglob("*.tagger"))
    launch(copy, INLINE, Selection(force=("blend",)), QUIET)
    with pytest.raises(InputError, match="has another blend than the model that refers to it"):
        Tagger.load(f"models:/{copy.recipe.name}/1")


def test_a_condition_is_a_model_of_its_own(
    copy: Run, own_mlflow: str, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, again = register(copy, "A"), register(copy, "A")
    assert (first.name, first.version, first.champion, again.version) == ("tiny-A", "1", True, "1")
    (condition,) = (one for one in build_report(copy).conditions if one.name == "A")
    assert first.score == pytest.approx(condition.oof_lwlrap)
    client = mlflow.MlflowClient()
    version = client.get_model_version_by_alias("tiny-A", "champion")
    assert client.get_run(version.run_id).data.tags["sonogrid.condition"] == "A"
    path = sorted(small_data.glob("test/*.wav"))[0]
    wanted = Tagger.load(copy.folder, condition="A").scores([path])
    np.testing.assert_allclose(Tagger.load("models:/tiny-A@champion").scores([path]), wanted, atol=2e-6)
    assert models.register_new(copy, "A") is None
    with pytest.raises(InputError, match="there is no condition 'Q'"):
        register(copy, "Q")


def test_a_grid_on_two_datasets_is_two_models(
    copy: Run, own_mlflow: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    other = replace(copy, data_root=copy.data_root.parent / "other")
    assert [register(copy).name, register(other).name, register(copy).name] == ["tiny", "tiny.other", "tiny"]
    assert models._OfCondition(other, "A").name == "tiny-A", "nobody has this name yet"
    client = mlflow.MlflowClient()
    assert int(client.get_model_version_by_alias("tiny.other", "champion").version) == 1
    assert len(client.search_model_versions("name = 'tiny'")) == 1


def test_an_outage_is_no_answer_to_whose_a_name_is(
    copy: Run, own_mlflow: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bring_up_to_date(copy)

    def fail(*_: object) -> None:
        raise mlflow.MlflowException("the database is locked")

    monkeypatch.setattr(mlflow.MlflowClient, "get_registered_model", fail)
    with pytest.raises(TrackingError, match=r"did not register the blend .*the database is locked"):
        models.register_new(copy)
    assert mlflow.MlflowClient().search_registered_models() == []


def test_only_a_better_clean_score_on_the_same_data_makes_a_champion() -> None:
    tags = {models.SCORE: "0.8", models.DATA: "a", models.LEAKY: "false"}
    assert _verdict(tags, None) == (True, "it is the first")
    assert _verdict(tags, tags | {models.SCORE: "0.79"}) == (True, "better than 0.7900 before")
    assert _verdict(tags, tags) == (False, "the champion has 0.8000")
    assert not _verdict(tags, tags | {models.SCORE: "0.1", models.DATA: "b"})[0]
    assert _verdict(tags | {models.LEAKY: "true"}, None) == (False, "its score is leaky")


def test_a_run_without_a_blend_is_refused(copy: Run) -> None:
    assert copy.graph.blend is not None
    copy.store.drop_marks(copy.store.name(copy.graph.nodes[copy.graph.blend]), DoneMark)
    with pytest.raises(StoreError, match="the blend is not done yet"):
        register(replace(copy))


@pytest.mark.long
@pytest.mark.usefixtures("registers")
def test_a_launch_registers_its_blend_at_a_tracking_server(
    copy: Run, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The networks go through MLflow's own HTTP server, and come back through it."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    stores = ["--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}", "--artifacts-destination", str(tmp_path)]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [*command, *stores], env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}, cwd=tmp_path,
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        _wait_for(server, f"http://127.0.0.1:{port}/health", tmp_path / "log")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        (registered,) = launch(copy, INLINE, Selection(), QUIET).registered
        assert (registered.version, registered.champion, registered.copied) == ("1", True, True)
        path = sorted(small_data.glob("test/*.wav"))[0]
        found = Tagger.load(f"models:/{copy.recipe.name}@champion").scores([path])
        np.testing.assert_allclose(found, Tagger.load(copy.folder).scores([path]), atol=2e-6)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)


def _wait_for(server: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    for _ in range(900):
        assert server.poll() is None, log.read_text()
        try:
            requests.get(url, timeout=2).raise_for_status()
            return
        except requests.RequestException:
            time.sleep(0.2)
    raise AssertionError(log.read_text())


@pytest.mark.long
def test_the_scoring_server_of_mlflow_tags_a_posted_file(
    copy: Run, own_mlflow: str, small_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    register(copy)
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{copy.recipe.name}@champion"]
    folders = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--env-manager", "local", "--port", str(port)], stdout=log, stderr=log,
            env={**os.environ, "PATH": folders}, start_new_session=True,
        )  # fmt: skip
    try:
        _wait_for(server, f"http://127.0.0.1:{port}/ping", tmp_path / "log")
        path = sorted(small_data.glob("test/*.wav"))[0]
        body = {"dataframe_split": {"columns": ["audio"], "data": [[base64.b64encode(path.read_bytes()).decode()]]}}
        answer = requests.post(f"http://127.0.0.1:{port}/invocations", json=body, timeout=120)
        (found,) = json.loads(answer.text)["predictions"]
        assert found == pytest.approx(dict(Tagger.load(copy.folder).tag(path, top=99)), abs=2e-6)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)
