"""A cluster of its own, reached from other processes: submitted grids, tokens, versions of the nodes.

The head is started as a user starts it, with `ray start`, on free ports and with a token.
"""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import requests

import orchestrator
from features.files import read_json, sha256_file
from orchestrator.run.bound import Run

pytestmark = pytest.mark.ray

ROOT = Path(orchestrator.__file__).resolve().parents[1]
TOKEN = "0123456789abcdef" * 4
PORTS = ("dashboard-agent-listen-port", "dashboard-agent-grpc-port", "runtime-env-agent-port", "metrics-export-port")


def free_ports(count: int) -> list[int]:
    """Below those that outgoing connections get, one of which might take a port before Ray listens there."""
    found: list[int] = []
    while len(found) < count:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe:
            if port not in found and probe.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
    return found


def until(condition: Callable[[], bool], what: str, timeout_s: float = 300.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.2)


@dataclass
class Cluster:
    """`ray start` in sessions of their own, which are ended whole."""

    folder: Path
    port: int
    dashboard: int
    nodes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *options: str, python_path: Path = ROOT) -> None:
        ports = [f"--{name}={port}" for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True)]
        with (self.folder / f"node-{len(self.nodes)}.log").open("wb") as log:
            command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *ports, *options]
            environment = self.environment(PYTHONPATH=str(python_path))
            self.nodes.append(
                subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
            )

    def environment(self, **more: str) -> dict[str, str]:
        """Of whoever may use the cluster."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_"))}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "RAY_USAGE_STATS_ENABLED": "0"}
        return {**kept, "PATH": path, "PYTHONPATH": str(ROOT), **own, **more}

    @property
    def jobs(self) -> str:
        return f"http://127.0.0.1:{self.dashboard}"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def get(self, path: str) -> requests.Response:
        return requests.get(self.jobs + path, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30)

    def answers(self) -> bool:
        try:
            return self.get("/api/version").ok and self.get("/api/jobs/").ok
        except requests.RequestException:
            return False

    def words(self) -> str:
        """The last of what its processes had to say."""
        logs = [*self.folder.glob("node-*.log"), *self.folder.glob("session_latest/logs/*.*")]
        tails = {path.name: path.read_text(errors="replace")[-1_000:] for path in logs if path.is_file()}
        return "\n".join(f"== {name}\n{text}" for name, text in tails.items() if text.strip())

    def end(self) -> None:
        sessions = {node.pid for node in self.nodes}
        for process in psutil.process_iter():
            try:
                if os.getsid(process.pid) in sessions:
                    process.send_signal(signal.SIGKILL)
            except (ProcessLookupError, psutil.Error):
                continue
        for node in self.nodes:
            node.wait()


@pytest.fixture(scope="module")
def starting() -> Iterator[Cluster]:
    """A head that begins to start; what needs no head runs meanwhile."""
    # Ray's sockets lie here, and a socket's path is short.
    folder = Path(tempfile.mkdtemp(prefix="sg-"))
    cluster = Cluster(folder, *free_ports(2))
    cluster.start(
        "--head", "--num-cpus=2", "--include-dashboard=true", f"--port={cluster.port}", "--dashboard-host=127.0.0.1",
        f"--dashboard-port={cluster.dashboard}", f"--ray-client-server-port={free_ports(1)[0]}",
        "--object-store-memory=80000000", f"--temp-dir={folder}",
    )  # fmt: skip
    try:
        yield cluster
    finally:
        cluster.end()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def cluster(starting: Cluster) -> Cluster:
    """A head that takes jobs."""
    try:
        until(starting.answers, "the head answers")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{starting.words()}") from None
    return starting


def start(cluster: Cluster, folder: Path, *words: str | Path, **environment: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "orchestrator.cli", *map(str, words)]
    return subprocess.Popen(
        command, cwd=folder, env=cluster.environment(**environment), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def result(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Exit code and all that was said, on one line."""
    out, _ = process.communicate(timeout=300)
    assert "Traceback" not in out
    return process.returncode, " ".join(out.split())


IN_PLACE = """
import os
import grpc, ray
from orchestrator.executors.ray.connect import connect
from ray.core.generated.gcs_service_pb2 import GetClusterIdRequest
from ray.core.generated.gcs_service_pb2_grpc import NodeInfoGcsServiceStub
assert "RAY_AUTH_MODE" not in os.environ
connect(None)
print("mode", os.environ["RAY_AUTH_MODE"])
channel = grpc.insecure_channel(ray.get_runtime_context().gcs_address)
for metadata in ([], [("authorization", "Bearer " + open(os.environ["HOME"] + "/.ray/auth_token").read())]):
    try:
        NodeInfoGcsServiceStub(channel).GetClusterId(GetClusterIdRequest(), timeout=30, metadata=metadata)
        print("let in")
    except grpc.RpcError as error:
        print(error.code())
ray.shutdown()
"""


def test_a_cluster_in_place_lets_nobody_in_without_its_token(starting: Cluster, tmp_path: Path) -> None:
    environment = {name: value for name, value in starting.environment().items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IN_PLACE], env={**environment, "HOME": str(tmp_path)}, cwd=tmp_path,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["mode token", "StatusCode.UNAUTHENTICATED", "let in"], done.stderr


@pytest.fixture(scope="module")
def submitted(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, small_data: Path, tiny_grid: Path) -> Path:
    """One condition x fold of the tiny grid, submitted and done; gives RUN."""
    folder = tmp_path_factory.mktemp("submitted")
    shutil.copy(tiny_grid, folder / "my grid.yaml")
    process = start(
        cluster, folder, "launch", "my grid.yaml", "--data", os.path.relpath(small_data, folder), "--out", "run",
        "--only", "plain", "--folds", "0", "--address", cluster.jobs, "--submit",
        # Ray would have RAY_ADDRESS override the address that was typed.
        RAY_ADDRESS="127.0.0.1:1", AWS_SECRET_ACCESS_KEY="plain-to-see", MLFLOW_TRACKING_URI="http://me:hush@127.0.0.1",
    )  # fmt: skip
    code, said = result(process)
    assert code == 0, said
    assert "jobs to run" in said
    assert f"sonogrid status {folder / 'run'} --watch" in said
    assert f"ray job logs --follow --address {cluster.jobs} raysubmit_" in said
    assert "note: MLFLOW_TRACKING_URI holds a password and is not sent" in said
    # From here on nobody is left who typed it.
    (folder / "my grid.yaml").unlink()
    until((folder / "run" / "report.json").exists, "the submitted grid is done")
    until(lambda: not (folder / "run" / "owner.json").exists(), "its driver has ended")
    return folder / "run"


def test_a_submitted_grid_outlives_the_submitter_and_gives_the_same_bytes(
    cluster: Cluster, submitted: Path, inline_run: Run
) -> None:
    run = Run.open(submitted)
    for role in ("train", "predict"):
        node = run.graph.nodes[getattr(run.graph, role)["plain", 0]]
        here, there = run.store.results(node), inline_run.store.results(node)
        files = [name for name in read_json(there / "done.json")["files"] if name != "history.jsonl"]
        assert files
        for name in files:
            assert sha256_file(here / name) == sha256_file(there / name), f"{node.name}: {name}"
    assert {
        name for (name, _), s in run.graph.train.items() if run.store.state(run.graph.nodes[s]).state == "done"
    } == {"plain"}
    assert (submitted / "mlflow.db").exists(), "not in a folder of Ray's that does not last"


def test_no_credential_is_in_what_ray_shows_of_a_job(cluster: Cluster, submitted: Path) -> None:
    shown = cluster.get("/api/jobs/").text
    assert "--folds=0" in shown
    assert "plain-to-see" not in shown
    assert "hush" not in shown
    assert TOKEN not in shown


@pytest.mark.long
def test_what_the_head_refuses_is_said_here(cluster: Cluster, tmp_path: Path) -> None:
    refused = start(cluster, tmp_path, "resume", "nowhere", "--address", cluster.jobs, "--submit")
    wrong = {"RAY_AUTH_TOKEN": "f" * 64}
    strangers = [
        start(cluster, tmp_path, "resume", "nowhere", "--address", cluster.jobs, "--submit", **wrong),
        start(cluster, tmp_path, "resume", "nowhere", "--address", cluster.jobs, "--submit", RAY_AUTH_MODE="disabled"),
    ]
    for stranger in strangers:
        code, said = result(stranger)
        assert code == 2
        assert said.startswith(
            f"sonogrid: --address {cluster.jobs}: the cluster requires its token: set RAY_AUTH_MODE"
        ), said
    code, said = result(refused)
    assert code == 2, said
    assert f"sonogrid: on the head: {tmp_path / 'nowhere'} holds no run: there is no run.json" in said


@pytest.mark.long
def test_a_wrong_token_and_a_node_with_other_sources_are_refused(
    cluster: Cluster, submitted: Path, tmp_path: Path
) -> None:
    stranger = start(
        cluster, tmp_path, "resume", submitted, "--all", "--address", cluster.address, RAY_AUTH_TOKEN="f" * 64
    )
    other = tmp_path / "checkout"
    for package in ("features", "trainers", "orchestrator"):
        shutil.copytree(ROOT / package, other / package, ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "trainers" / "loop.py").open("a") as source:
        source.write("# an older line\n")
    cluster.start(f"--address={cluster.address}", "--num-cpus=0", python_path=other)
    code, said = result(stranger)
    assert code == 2
    assert said.endswith(
        f"--address {cluster.address}: the cluster does not know the token of this process; set RAY_AUTH_MODE=token "
        "and put the cluster's token into RAY_AUTH_TOKEN, or into a file that RAY_AUTH_TOKEN_PATH names"
    )
    until(lambda: cluster.get("/nodes?view=summary").text.count('"state": "ALIVE"') == 2, "the second node has joined")
    before = sorted(submitted.rglob("*.npy"))
    code, said = result(start(cluster, tmp_path, "resume", submitted, "--all", "--address", cluster.address))
    assert code == 2
    assert f"sonogrid: --address {cluster.address}: node {socket.gethostname()} (" in said
    assert "has sonogrid 0.1.0 (" in said
    assert "as here: install the same there, or remove the node" in said
    assert sorted(submitted.rglob("*.npy")) == before
