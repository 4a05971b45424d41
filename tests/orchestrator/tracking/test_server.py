"""`sonogrid ui` with MLflow's real server: it serves what the store holds, and mirroring again adds nothing."""

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

from features.errors import InputError
from orchestrator.run.bound import Run
from orchestrator.tracking import Mirror
from orchestrator.tracking.server import serve
from orchestrator.tracking.shared_views import CURVES, TABLE, view_url
from tests.fixtures.harm import QUIET
from tests.fixtures.services import free_port


@dataclass(frozen=True)
class Server:
    """A running `sonogrid ui`."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    """All that it prints."""


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
    yield Server(url, process, folder / "log")
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        process.wait(120)


def runs_of(client: mlflow.MlflowClient) -> dict[str, dict[str, int]]:
    """Run name -> metric -> number of points."""
    experiment = client.get_experiment_by_name("tiny")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id], max_results=1000)
    names = [run.info.run_name for run in found]
    assert len(set(names)) == len(names), "a run exists twice"
    return {
        run.info.run_name: {key: len(client.get_metric_history(run.info.run_id, key)) for key in run.data.metrics}
        for run in found
    }


def test_ui_serves_every_fold_on_localhost(server: Server, inline_run: Run) -> None:
    runs = runs_of(mlflow.MlflowClient(server.url))
    assert set(runs) == {"blend"} | {n for c in ("plain", "A", "B", "D") for n in (c, f"{c} fold 0", f"{c} fold 1")}
    assert runs["A fold 0"]["lwlrap"] == 2
    assert runs["A fold 0"]["loss_noisy"] == 2
    page = requests.get(server.url, timeout=60)
    assert "<title>" in page.text
    listening = {c.laddr.ip for p in psutil.Process(server.process.pid).children(recursive=True)
                 for c in p.net_connections(kind="inet") if c.status == psutil.CONN_LISTEN}  # fmt: skip
    assert listening == {"127.0.0.1"}
    commands = [p.cmdline() for p in psutil.Process(server.process.pid).children(recursive=True)]
    assert commands
    assert "ui.db" not in str(commands), "a database's URI may hold a password"


def test_ui_prints_where_to_look_and_little_else(server: Server) -> None:
    for _ in range(3):
        requests.get(server.url, timeout=60)
    experiment = mlflow.MlflowClient(server.url).get_experiment_by_name("tiny")
    assert experiment is not None
    printed = server.log.read_text()
    for view in (TABLE, CURVES):
        assert view_url(server.url, experiment.experiment_id, view) in printed
        assert f"mlflow.sharedViewState.{view}" in experiment.tags
    assert len(printed.splitlines()) < 8, printed


def test_mirroring_again_through_the_server_adds_nothing(
    server: Server, inline_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = runs_of(mlflow.MlflowClient(server.url))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    for _ in range(2):
        Mirror(inline_run).sync()
    assert runs_of(mlflow.MlflowClient(server.url)) == before


def test_ctrl_c_ends_the_server_and_its_children(server: Server) -> None:
    children = psutil.Process(server.process.pid).children(recursive=True)
    assert children
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(120) in (0, 1)
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive


def test_a_port_in_use_is_refused_before_the_server_starts(inline_run: Run, own_mlflow: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"--port {port} can't be used"):
            serve(inline_run, port, QUIET)
