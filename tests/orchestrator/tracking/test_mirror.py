"""MLflow with its real server: `sonogrid ui` serves what the store holds, and mirroring twice adds nothing."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import psutil
import pytest
import requests

from features.files import write_json
from orchestrator.run.bound import Run
from orchestrator.tracking.mirror import Mirror, MirrorThread


@dataclass(frozen=True)
class Server:
    """A running `sonogrid ui`."""

    url: str
    process: subprocess.Popen[bytes]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, inline_run: Run) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("ui")
    port = free_port()
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'ui.db'}"}
    command = [sys.executable, "-m", "orchestrator.cli", "ui", str(inline_run.folder), "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    for _ in range(240):
        assert process.poll() is None, (folder / "log").read_text()
        try:
            requests.get(f"{url}/health", timeout=2).raise_for_status()
            break
        except requests.RequestException:
            time.sleep(0.5)
    yield Server(url, process)
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def runs_of(client: mlflow.MlflowClient) -> dict[str, dict[str, int]]:
    """Run name -> metric -> number of points."""
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], max_results=1000)
    names = [run.info.run_name for run in found]
    assert len(set(names)) == len(names), "a run is there twice"
    return {
        run.info.run_name: {key: len(client.get_metric_history(run.info.run_id, key)) for key in run.data.metrics}
        for run in found
    }


def test_ui_serves_every_fold_on_localhost(server: Server, inline_run: Run) -> None:
    runs = runs_of(mlflow.MlflowClient(server.url))
    assert set(runs) == {"blend"} | {n for c in ("plain", "A", "B", "D") for n in (c, f"{c} fold 0", f"{c} fold 1")}
    assert runs["A fold 0"]["lwlrap"] == 2
    assert runs["A fold 0"]["lwlrap_noisy"] == 2
    page = requests.get(server.url, timeout=10)
    assert "<title>" in page.text
    listening = {c.laddr.ip for p in psutil.Process(server.process.pid).children(recursive=True)
                 for c in p.net_connections(kind="inet") if c.status == psutil.CONN_LISTEN}  # fmt: skip
    assert listening == {"127.0.0.1"}
    commands = [p.cmdline() for p in psutil.Process(server.process.pid).children(recursive=True)]
    assert commands
    assert "ui.db" not in str(commands), "a database's URI may hold a password"


def test_mirroring_again_through_the_server_adds_nothing(
    server: Server, inline_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = runs_of(mlflow.MlflowClient(server.url))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    for _ in range(2):
        Mirror(inline_run).sync()
    assert runs_of(mlflow.MlflowClient(server.url)) == before


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
    mirror.sync({inline_run.graph.train["A", 1]: "running"})
    assert {"train-A-0", "train-A-1"} <= set(read)
    assert not any(name.startswith("train-D") for name in read)


def test_points_that_are_missing_are_added_to_the_run_that_is_there(
    server: Server, inline_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of another seed appears beside the first, epoch by epoch."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    recipe = inline_run.recipe.model_copy(update={"name": "partial"})
    run = Run(tmp_path, recipe, inline_run.data_root, type(inline_run.store)(tmp_path / "store"), inline_run.manifest)
    node = run.graph.nodes[run.graph.train["A", 0]]
    folder = run.store.folder(node)
    write_json(folder / "running.json", {})
    history = folder / "history.jsonl"
    history.write_text('{"epoch": 1, "lwlrap": 0.5, "time": 1.0}\n{"epoch": 2, "lwl')
    mirror = Mirror(run)
    mirror.sync({node.signature: "running"})
    history.write_text('{"epoch": 1, "lwlrap": 0.5, "time": 1.0}\n{"epoch": 2, "lwlrap": 0.6, "time": 2.0}\n')
    Mirror(run).sync({node.signature: "running"})
    mirror.sync()
    client = mlflow.MlflowClient(server.url)
    experiment = client.get_experiment_by_name("partial")
    assert experiment is not None
    (child,) = [r for r in client.search_runs([experiment.experiment_id]) if r.info.run_name == "A fold 0"]
    assert [(p.step, p.value) for p in client.get_metric_history(child.info.run_id, "lwlrap")] == [(1, 0.5), (2, 0.6)]
    assert child.info.status == "KILLED", "nobody works on it any more"


def test_an_outage_is_reported_and_harms_nothing(inline_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:hush-hush@127.0.0.1:{free_port()}")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "127.0.0.1")  # a word of the message
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr("orchestrator.tracking.mirror.PATIENCE_S", 4.0)
    thread = MirrorThread(inline_run, {}, every_s=0.1)
    thread.start()
    trouble = thread.finish()
    assert trouble is not None
    assert "Traceback" not in trouble
    assert "hush-hush" not in trouble
    assert "127.0.0.1" not in trouble


def test_ctrl_c_ends_the_server_and_its_children(server: Server) -> None:
    children = psutil.Process(server.process.pid).children(recursive=True)
    assert children
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(30) in (0, 1)
    _, alive = psutil.wait_procs(children, timeout=15)
    assert not alive
