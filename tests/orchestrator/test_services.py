"""PostgreSQL and S3 as started by `make services`, and a whole run that is mirrored and blended there."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import optuna
import psutil
import pytest
import requests
from optuna.storages import RDBStorage

from features.errors import InputError, StoreError
from features.files import read_json, sha256_file
from orchestrator import services
from orchestrator.blending.run import run_blend
from orchestrator.blending.tune import tune_blend
from orchestrator.grids.recipe import BlendSettings
from orchestrator.run.bound import Run
from orchestrator.store.objects.open import open_object_store
from orchestrator.tracking.mirror import Mirror

try:
    services.find_postgres()
except InputError as missing:
    pytest.skip(str(missing), allow_module_level=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of running services."""
    folder = tmp_path_factory.mktemp("services") / "made"
    services.start(folder)
    yield folder
    services.stop(folder)


@pytest.fixture(scope="module")
def sourced(folder: Path) -> dict[str, str]:
    """The environment of a shell that sourced the environment file."""
    script = f". {folder / 'environment'} && env -0"
    output = subprocess.run(["sh", "-c", script], env={}, capture_output=True, check=True, text=True).stdout
    return dict(
        line.split("=", 1) for line in output.split("\0") if line and not line.startswith(("PWD=", "_=", "SHLVL="))
    )


@pytest.fixture
def environment(sourced: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    for name, value in sourced.items():
        monkeypatch.setenv(name, value)
    return sourced


def secrets_of(environment: Mapping[str, str]) -> list[str]:
    return [environment["PGPASSWORD"], environment["AWS_SECRET_ACCESS_KEY"]]


def test_they_listen_on_localhost_only_and_require_the_password(
    folder: Path, environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stat.S_IMODE((folder / "environment").stat().st_mode) == 0o600
    data = Path(read_json(folder / "state.json")["postgres"])
    postgres = int((data / "data" / "postmaster.pid").read_text().split()[0])
    processes = [psutil.Process(postgres), psutil.Process(read_json(folder / "state.json")["s3"])]
    for process in processes:
        listening = {c.laddr.ip for c in process.net_connections("all") if c.status == psutil.CONN_LISTEN}
        assert listening == {"127.0.0.1"}
        assert not any(secret in " ".join(process.cmdline()) for secret in secrets_of(environment))
    storage = open_object_store("s3://sonogrid/test")
    storage.write("key", b"x")
    assert storage.list() == {"key": 1}
    url = environment["SONOGRID_OPTUNA_STORAGE"]
    monkeypatch.setenv("PGPASSWORD", "not-it")
    with pytest.raises(StoreError, match=r"SONOGRID_OPTUNA_STORAGE.*password authentication failed"):
        tune(url, "nobody")


def test_starting_twice_and_stopping_without_services_are_errors(folder: Path, tmp_path: Path, capsys: Any) -> None:
    with pytest.raises(InputError, match="make services-stop"):
        services.start(folder)
    assert services.main(["stop", "--folder", str(tmp_path)]) == 2
    assert "the services are not running" in capsys.readouterr().err


def test_a_host_that_is_not_an_address_of_this_machine_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"host 192\.0\.2\.1: .*; use an address of this machine"):
        services.start(tmp_path / "x", host="192.0.2.1")
    assert not (tmp_path / "x" / "state.json").exists()


def test_a_taken_port_is_an_error(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(InputError, match=r"port \d+: Address already in use"),
    ):
        services.start(tmp_path / "x", s3_port=taken.getsockname()[1])
    assert not (tmp_path / "x" / "environment").exists()
    assert not (tmp_path / "x" / "state.json").exists()


def test_stop_removes_everything(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    services.start(folder)
    state = read_json(folder / "state.json")
    postgres = int((Path(state["postgres"]) / "data" / "postmaster.pid").read_text().split()[0])
    services.stop(folder)
    assert not Path(state["postgres"]).exists()
    assert [path.name for path in folder.iterdir()] == ["s3.log"]
    for number in (postgres, state["s3"]):
        _, alive = psutil.wait_procs([psutil.Process(number)] if psutil.pid_exists(number) else [], timeout=300)
        assert not alive


# Optuna


def tune(database: str | None, study: str, journal: Path = Path("unused")) -> Any:
    generator = np.random.default_rng(3)
    truth = generator.random((60, 8)) < 0.2
    truth[:, 0] |= ~truth.any(axis=1)
    oof = (truth * generator.random((3, 1, 1)) + generator.random((3, 60, 8))).astype(np.float32)
    settings = BlendSettings(trials=8)
    return tune_blend(oof, truth, np.arange(60) % 2, settings, journal=journal, database=database, study=study)


@contextmanager
def optuna_storage(url: str) -> Iterator[RDBStorage]:
    storage = RDBStorage(url)
    yield storage
    storage.engine.dispose()


def trials_in(url: str, name: str) -> list[float | None]:
    with optuna_storage(url) as storage:
        return [trial.value for trial in optuna.load_study(study_name=name, storage=storage).trials]


def test_a_study_in_postgres_yields_the_weights_of_a_journal(environment: Mapping[str, str], tmp_path: Path) -> None:
    url = environment["SONOGRID_OPTUNA_STORAGE"]
    by_journal = tune(None, "", tmp_path / "journal")
    assert tune(url, "same") == by_journal
    values = trials_in(url, "same all folds")
    assert len(values) == 8
    # A better trial that someone else added under the name, or half a study, changes nothing.
    with optuna_storage(url) as storage:
        names = [f"same {part}" for part in ("all folds", "without fold 0", "without fold 1")]
        assert sorted(optuna.get_all_study_names(storage)) == names
        optuna.load_study(study_name=names[0], storage=storage).add_trial(optuna.create_trial(value=2.0))
        optuna.delete_study(study_name=names[1], storage=storage)
    assert tune(url, "same") == by_journal
    assert trials_in(url, "same all folds") == values


KILLED = """
import os, signal, sys
from orchestrator.studies import record
add, count = record.Record.add, 0
def stop(self, *arguments):
    global count
    add(self, *arguments)
    count += 1
    if count == 13:
        os.kill(os.getpid(), signal.SIGKILL)
record.Record.add = stop
"""


def test_a_killed_blend_starts_over(environment: Mapping[str, str], tmp_path: Path) -> None:
    url = environment["SONOGRID_OPTUNA_STORAGE"]
    killed = tmp_path / "killed.py"
    here = f"import importlib.util\nspec = importlib.util.spec_from_file_location('here', {__file__!r})\n"
    here += (
        f"here = importlib.util.module_from_spec(spec)\nspec.loader.exec_module(here)\nhere.tune({url!r}, 'killed')\n"
    )
    killed.write_text(KILLED + here)
    done = subprocess.run([sys.executable, str(killed)], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(trials_in(url, "killed without fold 0")) == 5
    assert tune(url, "killed") == tune(None, "", tmp_path / "journal")
    assert len(trials_in(url, "killed without fold 0")) == 8


def test_a_bad_database_url_is_one_sentence_without_its_password(tmp_path: Path) -> None:
    for url in ("nonsense", "oracle+nothing://u:hush-hush@h/d"):
        with pytest.raises(InputError, match=r"SONOGRID_OPTUNA_STORAGE is not a database URL") as caught:
            tune(url, "x")
        assert "hush-hush" not in str(caught.value)
    with pytest.raises(StoreError, match="launch again when it answers") as failed:
        tune("postgresql+psycopg://u:hush-hush@127.0.0.1:9/d", "x")
    assert "hush-hush" not in str(failed.value)


def test_the_blend_of_a_run_uses_the_database(inline_run: Run, environment: Mapping[str, str], tmp_path: Path) -> None:
    assert inline_run.graph.blend is not None
    node = inline_run.graph.nodes[inline_run.graph.blend]
    done = inline_run.store.results(node)
    inputs = {
        role: [inline_run.store.results(inline_run.graph.nodes[s]) for s in signatures]
        for role, signatures in node.inputs.items()
    }
    folder = tmp_path / done.name
    folder.mkdir()
    run_blend(inputs, inline_run.manifest, inline_run.recipe.blend, node.payload["paper_weights"], folder)
    for name in ("blend.json", "oof.npy", "test.npy"):
        assert sha256_file(folder / name) == sha256_file(done / name)
    assert not (folder / "study.journal").exists()
    assert len(trials_in(environment["SONOGRID_OPTUNA_STORAGE"], f"{done.name} all folds")) == 5


# MLflow


@pytest.fixture
def server(environment: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """MLflow's own server on both services; `MLFLOW_TRACKING_URI` names it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}, cwd=tmp_path, stdout=log,
            stderr=log,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    for _ in range(240):
        assert process.poll() is None, (tmp_path / "log").read_text()
        try:
            requests.get(f"{url}/health", timeout=2).raise_for_status()
            break
        except requests.RequestException:
            time.sleep(0.5)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    yield url
    children = psutil.Process(process.pid).children(recursive=True)
    commands = [" ".join(one.cmdline()) for one in (psutil.Process(process.pid), *children)]
    process.terminate()
    process.wait(120)
    psutil.wait_procs(children, timeout=300)
    said = (tmp_path / "log").read_text() + "\n".join(commands)
    assert not any(secret in said for secret in secrets_of(environment)), (
        "credentials are in the log or the process list"
    )


def runs_in(uri: str) -> dict[str, Any]:
    """Runs by name; no name occurs twice."""
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], max_results=1000)
    runs = {run.info.run_name: run for run in found}
    assert len(runs) == len(found), "a run exists twice"
    return runs


def test_a_run_is_mirrored_to_postgres_with_its_artifacts_on_s3(
    inline_run: Run, server: str, environment: Mapping[str, str]
) -> None:
    for _ in range(2):
        Mirror(inline_run).sync()
    runs = runs_in(server)
    assert set(runs) == {"blend"} | {n for c in ("plain", "A", "B", "D") for n in (c, f"{c} fold 0", f"{c} fold 1")}
    bucket = re.sub(r"/mlflow$", "", environment["MLFLOW_DEFAULT_ARTIFACT_ROOT"])
    objects = open_object_store(bucket).list("mlflow")
    fold = runs["A fold 0"]
    assert fold.info.artifact_uri.startswith(f"{bucket}/mlflow/")
    below = fold.info.artifact_uri.removeprefix(f"{bucket}/")
    node = inline_run.graph.nodes[inline_run.graph.train["A", 0]]
    mark = inline_run.store.done(node).files
    assert {key: size for key, size in objects.items() if key.startswith(f"{below}/train/") and "done" not in key} == {
        f"{below}/train/{name}": about.bytes for name, about in mark.items()
    }

    # The database shows the same without a server.
    uri = environment["MLFLOW_BACKEND_STORE_URI"]
    assert {name: run.info.run_id for name, run in runs_in(uri).items()} == {n: r.info.run_id for n, r in runs.items()}


def test_without_a_server_artifacts_go_where_mlflows_variable_says(
    inline_run: Run, environment: Mapping[str, str], tmp_path: Path
) -> None:
    recipe = inline_run.recipe.model_copy(update={"name": "serverless"})
    Mirror(Run(tmp_path, recipe, inline_run.data_root, inline_run.store, inline_run.manifest)).sync()
    keys = open_object_store(environment["MLFLOW_DEFAULT_ARTIFACT_ROOT"]).list("serverless")
    assert sum(key.endswith("/train/done.json") for key in keys) == 8
    assert sum(key.endswith("/blend/blend.json") for key in keys) == 1
