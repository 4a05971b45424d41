"""A laptop and a head with workers, made of namespaces, and cluster.yaml filled in for them.

What differs from a user's hosts: the virtual environment is this one, lent to all hosts read-only, since they reach no
package registry; GPUs are declared, not there; each raylet is small, as all share one machine.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.whole.cluster.hosts import NETWORKS, Host, Hosts, Share

__all__ = ["CLUSTER", "ROOT", "SHARED", "VENV", "Rack"]

ROOT = Path(__file__).parents[3]
SHARED = Path("/mnt/shared")
"""The folder that all hosts share, as over NFS."""
CLUSTER = SHARED / "cluster.yaml"
VENV = Path.home() / "sonogrid-venv"
SMALL = "SONOGRID_PRETEND_GPUS=1 ray start --num-cpus=1 --num-gpus=2 --object-store-memory=150000000"
NODES = """
import json, logging, os, socket
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

@ray.remote(num_cpus=1, num_gpus=1)
def where():
    return socket.gethostname(), os.environ["CUDA_VISIBLE_DEVICES"], __import__("orchestrator").__file__

ray.init("auto", log_to_driver=False, logging_level=logging.ERROR)
alive = [node for node in ray.nodes() if node["Alive"]]
pinned = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in alive]
ran = ray.get([where.options(scheduling_strategy=strategy).remote() for strategy in pinned])
print(json.dumps([[node["NodeManagerHostname"], node["Resources"], *where] for node, where in zip(alive, ran)]))
"""


class Rack:
    """Hosts named laptop, head and worker-1, worker-2, ..., of which the last `late` are still off. A context manager.

    The laptop reaches the head alone, from outside; head and workers share a private network.
    """

    def __init__(self, folder: Path, workers: int, late: int, shares: Sequence[Share] = ()) -> None:
        self.shared = folder / "shared"
        self.shared.mkdir()
        (folder / "hosts").mkdir()
        # At its own path too, which its scripts name, wherever that is: hosts have a home and a /tmp of their own.
        python = [
            Share(Path(sys.prefix), VENV),
            *(Share(path, path) for path in map(Path, (sys.prefix, sys.base_prefix))),
        ]
        ours = [Share(self.shared, SHARED, writable=True), Share(ROOT, SHARED / "sonogrid")]
        self.hosts = Hosts(folder / "hosts", [*ours, *python, *shares])
        self.laptop = self.hosts.add("laptop", "outside")
        self.head = self.hosts.add("head", "private", "outside")
        self.workers = [f"worker-{number + 1}" for number in range(workers)]
        # Hosts are numbered as they are added, so the addresses of those that are still off are known.
        self._addresses = [f"{NETWORKS['private']}.{number + 3}" for number in range(workers)]
        for name in self.workers[: workers - late]:
            self.hosts.add(name, "private")

    def switch_on(self) -> Host:
        """Start the next of the hosts that are still off."""
        return self.hosts.add(next(name for name in self.workers if name not in self.hosts.all), "private")

    def up(self) -> None:
        """Follow docs/cluster/README.md, with the services on the head; then wait for the workers that are on."""
        config = self._fill_in()
        (self.shared / CLUSTER.name).write_text(yaml.safe_dump(config), encoding="utf-8")
        self.on_laptop("ray get-auth-token --generate")
        self._ray_up({})
        self.on_cluster(f"python -m orchestrator.services start --host {self.head.addresses['private']}", 90)
        self._ray_up(self._given(self.on_cluster("cat runs/services/environment")))
        for name in self.workers:
            if name in self.hosts.all:
                self.wait_for(name, limit_s=90)

    def down(self) -> None:
        """Stop the tracking server, the services and Ray; workers exit on their own a minute after their head."""
        self.on_cluster("kill $(cat ~/mlflow.pid)")
        self.on_cluster("python -m orchestrator.services stop")
        self.on_laptop(f"ray down --yes {CLUSTER}")

    def _ray_up(self, settings: dict[str, str]) -> None:
        """`ray up` with what is known of ~/.sonogrid.env."""
        (self.shared / "sonogrid.env").write_text(self._template(settings), encoding="utf-8")
        self.on_laptop(f"install -m 600 {SHARED}/sonogrid.env ~/.sonogrid.env")
        self.on_laptop(f"cd {SHARED}/sonogrid && ray up --yes {CLUSTER}", timeout_s=180)

    def on_laptop(self, command: str, timeout_s: float = 60) -> str:
        """Run a command on the laptop, with the project's environment; return its output."""
        return self.laptop.run(self._environment(command), timeout_s).stdout

    def on_cluster(self, command: str, timeout_s: float = 60) -> str:
        """Run a command on the head, from the laptop, by `ray exec`; return its output."""
        process = self.start_on_cluster(command)
        printed, _ = process.communicate(timeout=timeout_s)
        assert process.returncode == 0, f"exit code {process.returncode}: {command}\n{printed}"
        return printed

    def start_on_cluster(self, command: str) -> "subprocess.Popen[str]":
        """The same, without waiting for it."""
        quoted = "'" + command.replace("'", "'\\''") + "'"
        arguments = self.laptop.entering(self._environment(f"ray exec {CLUSTER} {quoted}"))
        return subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def nodes(self) -> dict[str, dict[str, Any]]:
        """Ray's live nodes by host name: their resources, and where a task that was pinned to them found itself."""
        (self.shared / "nodes.py").write_text(NODES, encoding="utf-8")
        printed = self.on_cluster(f"python {SHARED}/nodes.py")
        (line,) = [line for line in printed.splitlines() if line.startswith("[[")]
        return {
            name: {"resources": resources, "host": host, "devices": devices, "package": package}
            for name, resources, host, devices, package in json.loads(line)
        }

    def wait_for(self, host: str, limit_s: float) -> float:
        """Wait until the cluster has a host; return the seconds it took."""
        start = time.monotonic()
        while host not in self.nodes():
            assert time.monotonic() - start < limit_s, f"{host} is not in the cluster after {limit_s} s"
            time.sleep(2)
        return time.monotonic() - start

    def _environment(self, command: str) -> str:
        return f"export RAY_AUTH_MODE=token PATH={VENV}/bin:$PATH; {command}"

    def _fill_in(self) -> dict[str, Any]:
        text = (ROOT / "cluster.yaml").read_text(encoding="utf-8")
        config: dict[str, Any] = yaml.safe_load(text.replace("10.0.0.10", self.head.addresses["private"]))
        config["provider"] |= {"worker_ips": self._addresses, "external_head_ip": self.head.addresses["outside"]}
        config["auth"]["ssh_user"] = "root"
        config["setup_commands"] = [line for line in config["setup_commands"] if "venv/bin/p" not in line]
        for key in ("head_start_ray_commands", "worker_start_ray_commands"):
            config[key] = [line.replace("ray start", SMALL) for line in config[key]]
        return config

    def _given(self, printed: str) -> dict[str, str]:
        """The part of the services' environment that goes into the settings."""
        lines = [line.strip().removeprefix("export ") for line in printed.splitlines() if line.startswith("export ")]
        given = dict(line.split("=", 1) for line in lines)
        # The server hands artifacts on, so that no client needs to know where they are.
        destination = given.pop("MLFLOW_DEFAULT_ARTIFACT_ROOT")
        return {**given, "MLFLOW_ARTIFACTS_DESTINATION": destination, "MLFLOW_TRACKING_URI": "http://head:5000"}

    def _template(self, values: dict[str, str]) -> str:
        """The settings of docs/cluster, filled in."""
        lines = (ROOT / "docs" / "cluster" / "sonogrid.env").read_text(encoding="utf-8").splitlines()
        known = {line.removeprefix("# ").partition("=")[0] for line in lines}
        named = {line.partition("=")[0]: line for line in lines if line and not line.startswith("#")}
        assert values.keys() <= known, "docs/cluster/sonogrid.env lacks a setting"
        # The shared environment may know another checkout as the installed project.
        filled = {**named, **{name: f"{name}={value}" for name, value in values.items()}}
        return "\n".join([*filled.values(), f"PYTHONPATH={Path.home()}/sonogrid", ""])

    def __enter__(self) -> "Rack":
        return self

    def __exit__(self, *_: object) -> None:
        self.hosts.close()
