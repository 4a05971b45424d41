"""A grid on a cluster that has no worker yet: Ray's autoscaler itself, whose machines are raylets of this one."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from features.files import read_json

pytestmark = pytest.mark.cluster

HEAD = "f" * 51 + "00000"
"""The id of a head in Ray's provider for tests."""
MARK = "SONOGRID_AUTOSCALED"
IDLE_MINUTES = 0.5
LIMIT_S = 400


@dataclass
class Cluster:
    """A head without CPUs."""

    address: str
    environment: dict[str, str]

    def sonogrid(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "orchestrator.cli", *map(str, arguments), "--address", self.address]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )

    def processes(self, word: str) -> list[psutil.Process]:
        """Processes of the cluster whose command line has a word."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.environment[MARK] and word in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """The autoscaler with a type of machine that has a GPU, of which there may be three and are none."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    head, worker = "ray.head.default", {"CPU": 1, "GPU": 1, "object_store_memory": 80_000_000}
    config = {
        "cluster_name": "autoscaled", "max_workers": 3, "idle_timeout_minutes": IDLE_MINUTES,
        "provider": {
            # By its place, as Ray's wheel lacks a file that its own name for it needs.
            "type": "external",
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "gcs_address": f"127.0.0.1:{port}", "launch_multiple": True, "head_node_id": HEAD,
        },
        "available_node_types": {
            head: {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0},
            "gpu": {"resources": worker, "node_config": {}, "min_workers": 0, "max_workers": 3},
        },
        "head_node_type": head, "auth": {}, "file_mounts": {}, "cluster_synced_files": [],
        **{
            f"{name}_commands": []
            for name in (
                "initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray",
            )
        },
    }  # fmt: skip
    (tmp_path / "cluster.json").write_text(json.dumps(config), encoding="utf-8")
    environment = {
        **os.environ, MARK: secrets.token_hex(8), "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}", "SONOGRID_PRETEND_GPUS": "1",
    }  # fmt: skip
    environment.pop("RAY_ADDRESS", None)
    of_the_head = {
        "RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_enable_autoscaler_v2": "1",
        "RAY_CLOUD_INSTANCE_ID": HEAD, "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD, "RAY_NODE_TYPE_NAME": head,
    }  # fmt: skip
    made = Cluster(f"127.0.0.1:{port}", environment)
    ray = Path(sys.executable).with_name("ray")
    options = (f"--port={port}", "--num-cpus=0", "--include-dashboard=false", "--object-store-memory=80000000")
    where = ("--node-ip-address=127.0.0.1", f"--autoscaling-config={tmp_path / 'cluster.json'}")
    try:
        subprocess.run(
            [ray, "start", "--head", *where, *options], env=environment | of_the_head, check=True, capture_output=True
        )
        yield made
    finally:
        for process in made.processes(""):
            process.kill()


def test_machines_come_for_what_waits_and_go_when_nothing_does(
    cluster: Cluster, small_data: Path, tiny_grid: Path, tmp_path: Path
) -> None:
    grid = ("launch", tiny_grid, "--data", small_data, "--out", tmp_path / "run", "--only", "plain,A")
    asked = cluster.sonogrid(*grid)
    assert asked.returncode == 2
    assert "has an autoscaler and no GPU yet: give --gpus-per-job 1" in asked.stderr
    assert not cluster.processes("raylet/raylet --")[1:], "nothing was started for it"

    done = cluster.sonogrid(*grid, "--gpus-per-job", 1)
    assert done.returncode == 0, done.stdout + done.stderr
    used = {path.parent.name: read_json(path) for path in (tmp_path / "run" / "store").glob("train-*/done.json")}
    assert len(used) == 4
    assert cluster.processes("raylet/raylet --")[1:], "they ran on machines that had come"

    deadline = time.monotonic() + 60 * IDLE_MINUTES + 90
    while cluster.processes("raylet/raylet --")[1:]:
        assert time.monotonic() < deadline, "idle machines are not removed"
        time.sleep(1)
