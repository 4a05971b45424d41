"""Kills whatever runs a grid, again and again, and holds what is left against an undisturbed run.

    python -m tests.whole.chaos.chaos --seed 0 --kills 30 --drivers 2

Real Ray on several nodes of this machine, with a declared GPU each, and a real MLflow server. A seeded schedule ends
(with SIGKILL) a driver, a Train worker, a Train controller, a node, or the MLflow server, asks a driver to stop (with
SIGTERM), or freezes a worker (with SIGSTOP). Drivers are started again with `sonogrid resume`, nodes and server come
back after a while. Several drivers start together, each with a RUN of its own, on one store. When a grid is finished
before all kills are spent, one with another seed follows. Then, for each:

    every result is the undisturbed run's, byte for byte (but for times)
    no attempt went on from further back than the last checkpoint that was written: at most one epoch is repeated a kill
    MLflow has one run per job, finished, each step once
    no driver has crashed: its exit code was 0 or 1, or the signal that it was sent
    no process, no temporary file, no mark of an attempt is left

Exit code 0 if all that holds.
"""

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from features.files import read_json
from features.synthetic import generate
from orchestrator.executors.ray.train import fast_start_environment
from orchestrator.run.bound import Run
from tests.whole.chaos.checks import check_mlflow, compare, leftovers, repeated_epochs

GRID = """
name: chaos
data: {folds: 2}
features: {mel: {n_mels: 16, hop_samples: 1000}}
defaults:
  network: {kind: resnet, depth: 10, width: 8, head_units: 16}
  crop: 48
  batch_size: 4
  cycles: 2
  epochs: 5
  augment: {mixup: {}, gain: {}}
  predict: {pads: [2]}
conditions:
  plain: {}
  A: {multitask: true}
  B: {base: A, init_from: plain, pseudo: {teacher: A}}
blend: {trials: 5}
"""
TARGETS = ("driver", "terminate", "worker", "worker", "controller", "node", "mlflow", "freeze")
MARK = "SONOGRID_CHAOS"
STALL_S = 60
"""After so long a frozen worker is ended. A job must start within it, also on a busy machine."""


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """An MLflow server that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [
            sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1",
            "--backend-store-uri", f"sqlite:///{self.folder / 'mlflow.db'}",
            "--artifacts-destination", str(self.folder / "artifacts"),
        ]  # fmt: skip
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.folder / "mlflow.log").open("a") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, start_new_session=True, cwd=self.folder
            )

    def wait_until_up(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.3)
        raise AssertionError("the MLflow server does not come up")

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@dataclass
class Driver:
    """A process that takes a RUN to its end; another one follows until it is there."""

    out: Path
    process: subprocess.Popen[bytes]
    sent: set[int] = field(default_factory=set)
    """Signals that this process was sent."""

    @property
    def is_done(self) -> bool:
        return self.process.poll() == 0 and (self.out / "report.json").exists()


class Chaos:
    """A cluster, a server, drivers, and someone who kills them."""

    def __init__(self, folder: Path, seed: int, kills: int, drivers: int) -> None:
        self.folder, self.random, self.left, self.number = folder, random.Random(seed), kills, drivers
        self.counts: Counter[str] = Counter()
        self.bag: list[str] = []
        """What is still to be hit before anything is again: chance alone would leave a target out in thirty kills."""
        self.data = folder / "data"
        self.grid = folder / "chaos.yaml"
        self.server = Server(folder)
        self.due: list[tuple[float, str]] = []
        """What comes back, and when."""
        self.drivers: list[Driver] = []
        self.store = folder / "store"

    def prepare(self) -> None:
        from ray.cluster_utils import Cluster

        generate(self.data, seed=5, curated=24, noisy=16, test=6)
        self.grid.write_text(GRID, encoding="utf-8")
        self.server.start()
        os.environ["SONOGRID_PRETEND_GPUS"] = "1"
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        self.nodes = [self.add_node(), self.add_node()]
        self.server.wait_until_up()

    def add_node(self) -> Any:
        return self.cluster.add_node(num_cpus=1, num_gpus=1, object_store_memory=80_000_000)

    def sonogrid(self, *arguments: str, tracking: str) -> subprocess.Popen[bytes]:
        log = (self.folder / "driver.log").open("ab")
        environment = {**os.environ, "MLFLOW_TRACKING_URI": tracking}
        with log:
            return subprocess.Popen(
                [sys.executable, "-m", "orchestrator.cli", *arguments], stdout=log, stderr=log, env=environment
            )

    def undisturbed(self, seed: int) -> Path:
        """The grid in one process, left alone."""
        out = self.folder / f"undisturbed-{seed}"
        arguments = ["launch", str(self.grid), "--data", str(self.data), "--out", str(out), "--executor", "inline"]
        tracking = f"sqlite:///{self.folder / 'undisturbed.db'}"
        process = self.sonogrid(*arguments, "--set", f"defaults.seed={seed}", tracking=tracking)
        assert process.wait(600) == 0, "the undisturbed run failed"
        return out

    def disturbed(self, seed: int) -> list[Path]:
        """The grid on the cluster, with kills until every driver has finished it; their RUN folders."""
        self.store = self.folder / f"store-{seed}"
        how = ["--address", self.cluster.address, "--retries", "8", "--stall-s", str(STALL_S)]
        data = ["--data", str(self.data), "--store", str(self.store), "--set", f"defaults.seed={seed}"]

        def start(out: Path) -> Driver:
            launched = (out / "run.json").exists()
            verb = ["resume", str(out)] if launched else ["launch", str(self.grid), "--out", str(out), *data]
            return Driver(out, self.sonogrid(*verb, *how, tracking=self.server.uri))

        outs = [self.folder / f"disturbed-{seed}-{number}" for number in range(self.number)]
        self.drivers = [start(out) for out in outs]
        pause = self.next_kill()
        while not all(driver.is_done for driver in self.drivers):
            self.bring_back()
            for index, driver in enumerate(self.drivers):
                code = driver.process.poll()
                if code is not None and not driver.is_done:
                    say(f"{driver.out.name} ({driver.process.pid}) ended with exit code {code}")
                    assert code in (0, 1) or -code in driver.sent, f"a driver ended with exit code {code}"
                    self.drivers[index] = start(driver.out)
            if self.left and time.monotonic() > pause:
                self.kill_something()
                pause = self.next_kill()
            time.sleep(0.1)
        return outs

    def next_kill(self) -> float:
        return time.monotonic() + self.random.uniform(2.0, 14.0)

    def bring_back(self) -> None:
        for when, what in list(self.due):
            if time.monotonic() > when:
                self.due.remove((when, what))
                if what == "mlflow":
                    self.server.start()
                else:
                    self.nodes.append(self.add_node())

    def kill_something(self) -> None:
        self.bag = self.bag or list(TARGETS)
        target = self.random.choice(self.bag)
        victim = getattr(self, f"find_{target}")()
        if victim is None:
            return
        self.bag.remove(target)
        self.left -= 1
        self.counts[target] += 1
        say(f"kill {sum(self.counts.values()):3d}: {target} {victim}")

    def find_driver(self) -> str | None:
        return self.end_driver(signal.SIGKILL)

    def find_terminate(self) -> str | None:
        return self.end_driver(signal.SIGTERM)

    def end_driver(self, how: signal.Signals) -> str | None:
        running = [driver for driver in self.drivers if driver.process.poll() is None]
        if not running:
            return None
        driver = self.random.choice(running)
        driver.sent.add(how)
        driver.process.send_signal(how)
        return f"{driver.out.name} ({driver.process.pid})"

    def find_freeze(self) -> str | None:
        return self.find_worker(signal.SIGSTOP)

    def find_worker(self, how: signal.Signals = signal.SIGKILL) -> str | None:
        signs = [path for path in self.store.glob("*/attempt-*/alive.json") if time.time() - path.stat().st_mtime < 5]
        self.random.shuffle(signs)
        for path in signs:
            pid = int(read_json(path)["pid"])
            if kill_process(pid, how):
                return f"{path.parent.parent.name} ({pid})"
        return None

    def find_controller(self) -> str | None:
        for process in marked_processes():
            if "TrainController" in " ".join(command_of(process)) and kill_process(process.pid):
                return str(process.pid)
        return None

    def find_node(self) -> str | None:
        if len(self.nodes) < 2:
            return None
        node = self.nodes.pop(self.random.randrange(len(self.nodes)))
        self.cluster.remove_node(node, allow_graceful=False)
        self.due.append((time.monotonic() + self.random.uniform(1.0, 8.0), "node"))
        return str(node.node_id)[:8]

    def find_mlflow(self) -> str | None:
        if self.server.process is None:
            return None
        self.server.kill()
        self.due.append((time.monotonic() + self.random.uniform(2.0, 15.0), "mlflow"))
        return str(self.server.port)

    def end(self) -> None:
        for driver in self.drivers:
            driver.process.kill()
            driver.process.wait()
        self.cluster.shutdown()
        self.server.kill()


def kill_process(pid: int, how: signal.Signals = signal.SIGKILL) -> bool:
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        return False
    return True


def command_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def marked_processes() -> list[psutil.Process]:
    """Processes that were started from here, however far from here, and are not this one."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == os.environ[MARK] and process.pid != os.getpid():
                found.append(process)
        except psutil.Error:
            continue
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="Kills whatever runs a grid and checks what is left.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--drivers", type=int, default=1, help="so many share the store")
    parser.add_argument("--keep", type=Path, help="work here and leave everything")
    arguments = parser.parse_args()
    os.environ[MARK] = uuid.uuid4().hex
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"
    fast_start_environment()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.keep or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        chaos = Chaos(folder, arguments.seed, arguments.kills, arguments.drivers)
        began = time.monotonic()
        files = runs = again = repeated = rounds = 0
        chaos.prepare()
        try:
            while chaos.left or rounds == 0:
                outs, reference = chaos.disturbed(rounds), Run.open(chaos.undisturbed(rounds))
                if chaos.server.process is None:
                    chaos.due = [entry for entry in chaos.due if entry[1] != "mlflow"]
                    chaos.server.start()
                    chaos.server.wait_until_up()
                    for out in outs:
                        assert chaos.sonogrid("sync", str(out), tracking=chaos.server.uri).wait(300) == 0
                disturbed = [Run.open(out) for out in outs]
                files += sum(compare(each, reference) for each in disturbed)
                runs = check_mlflow(disturbed[0], chaos.server.uri)
                more, twice = repeated_epochs(chaos.store)
                again, repeated = again + more, repeated + twice
                left = leftovers([*outs, chaos.store])
                assert not left, f"left behind: {left}"
                rounds += 1
                say(f"round {rounds}: {len(reference.graph.nodes)} nodes as undisturbed, {chaos.left} kills left")
        finally:
            chaos.end()
        deadline = time.monotonic() + 15
        while marked_processes() and time.monotonic() < deadline:
            time.sleep(0.5)
        orphans = [f"{process.pid} {' '.join(command_of(process))[:80]}" for process in marked_processes()]
        assert not orphans, f"processes left: {orphans}"
        assert repeated == 0, f"{repeated} epochs were trained again although a checkpoint had them"
    facts = {
        "kills": dict(chaos.counts), "drivers": arguments.drivers, "grids": rounds, "files_compared": files,
        "mlflow_runs": runs,
        "attempts_made_again": again, "epochs_lost_from_checkpoints": repeated,
        "seconds": round(time.monotonic() - began),
    }  # fmt: skip
    print(json.dumps(facts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
