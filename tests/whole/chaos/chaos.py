"""Kills whatever runs a grid, again and again, and holds what is left against an undisturbed run.

    python tests/whole/chaos/chaos.py --seed 0 --kills 30

Real Ray on several nodes of this machine, with a declared GPU each, and a real MLflow server. A seeded schedule ends
(with SIGKILL) the driver, a Train worker, a Train controller, a node, or the MLflow server, or freezes a worker (with
SIGSTOP). The driver is started again with `sonogrid resume`, nodes and server come back after a while. When a grid is
finished before all kills are spent, one with another seed follows. Then, for each:

    every result is the undisturbed run's, byte for byte (but for times)
    no attempt went on from further back than the last checkpoint that was written: at most one epoch is repeated a kill
    MLflow has one run a job, finished, each step once
    no process, no temporary file, no lease is left

Exit code 0 if all that holds.
"""

import argparse
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from features.files import read_json, sha256_file
from features.synthetic import generate
from orchestrator.executors.ray.train import fast_start_environment
from orchestrator.run.bound import Run
from orchestrator.store.base import NodeStore
from trainers.history import read_history

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
TARGETS = ("driver", "worker", "worker", "controller", "node", "mlflow", "freeze")
MARK = "SONOGRID_CHAOS"
TIMES = {"seconds", "samples_per_s", "time"}


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


class Chaos:
    """A cluster, a server, a driver, and someone who kills them."""

    def __init__(self, folder: Path, seed: int, kills: int) -> None:
        self.folder, self.random, self.left = folder, random.Random(seed), kills
        self.counts: Counter[str] = Counter()
        self.bag: list[str] = []
        """What is still to be hit before anything is again: chance alone would leave a target out in thirty kills."""
        self.data = folder / "data"
        self.grid = folder / "chaos.yaml"
        self.server = Server(folder)
        self.due: list[tuple[float, str]] = []
        """What comes back, and when."""
        self.driver: subprocess.Popen[bytes] | None = None

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

    def disturbed(self, seed: int) -> Path:
        """The grid on the cluster, with kills until it is finished."""
        out = self.folder / f"disturbed-{seed}"
        how = ["--address", self.cluster.address, "--retries", "8", "--stall-s", "20"]
        first = ["launch", str(self.grid), "--data", str(self.data), "--out", str(out), *how]
        self.driver = self.sonogrid(*first, "--set", f"defaults.seed={seed}", tracking=self.server.uri)
        pause = self.next_kill()
        while True:
            self.bring_back()
            code = self.driver.poll()
            if code is not None:
                if code == 0 and (out / "report.json").exists():
                    return out
                launched = (out / "run.json").exists()
                self.driver = self.sonogrid(
                    *(["resume", str(out), *how] if launched else first), tracking=self.server.uri
                )
            if self.left and time.monotonic() > pause:
                self.kill_something(out)
                pause = self.next_kill()
            time.sleep(0.1)

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

    def kill_something(self, out: Path) -> None:
        self.bag = self.bag or list(TARGETS)
        target = self.random.choice(self.bag)
        victim = getattr(self, f"find_{target}")(out)
        if victim is None:
            return
        self.bag.remove(target)
        self.left -= 1
        self.counts[target] += 1
        say(f"kill {sum(self.counts.values()):3d}: {target} {victim}")

    def find_driver(self, _: Path) -> str | None:
        assert self.driver is not None
        if self.driver.poll() is not None:
            return None
        self.driver.kill()
        self.driver.wait()
        return str(self.driver.pid)

    def find_freeze(self, out: Path) -> str | None:
        return self.find_worker(out, signal.SIGSTOP)

    def find_worker(self, out: Path, how: signal.Signals = signal.SIGKILL) -> str | None:
        signs = [path for path in out.glob("store/*/attempt-*/alive.json") if time.time() - path.stat().st_mtime < 5]
        self.random.shuffle(signs)
        for path in signs:
            pid = int(read_json(path)["pid"])
            if kill_process(pid, how):
                return f"{path.parent.parent.name} ({pid})"
        return None

    def find_controller(self, _: Path) -> str | None:
        for process in marked_processes():
            if "TrainController" in " ".join(command_of(process)) and kill_process(process.pid):
                return str(process.pid)
        return None

    def find_node(self, _: Path) -> str | None:
        if len(self.nodes) < 2:
            return None
        node = self.nodes.pop(self.random.randrange(len(self.nodes)))
        self.cluster.remove_node(node, allow_graceful=False)
        self.due.append((time.monotonic() + self.random.uniform(1.0, 8.0), "node"))
        return str(node.node_id)[:8]

    def find_mlflow(self, _: Path) -> str | None:
        if self.server.process is None:
            return None
        self.server.kill()
        self.due.append((time.monotonic() + self.random.uniform(2.0, 15.0), "mlflow"))
        return str(self.server.port)

    def end(self) -> None:
        if self.driver is not None and self.driver.poll() is None:
            self.driver.kill()
            self.driver.wait()
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


def compare(disturbed: Run, undisturbed: Run) -> int:
    """Compare all results of two runs; return the number of files."""
    count = 0
    assert disturbed.graph.nodes.keys() == undisturbed.graph.nodes.keys()
    for node in disturbed.graph.nodes.values():
        a, b = disturbed.store.results(node), undisturbed.store.results(node)
        for name in read_json(a / "done.json")["files"]:
            count += 1
            if name == "history.jsonl":
                one, two = ([{k: v for k, v in r.items() if k not in TIMES} for r in read_history(f)] for f in (a, b))
                assert one == two, f"{node.name}: another history"
            elif name != "study.journal":  # holds the time of each trial
                assert sha256_file(a / name) == sha256_file(b / name), f"{node.name}: {name} differs"
    return count


def repeated_epochs(store: NodeStore) -> tuple[int, int]:
    """(attempts that were made again, epochs that they trained again although a checkpoint had them)."""
    again = repeated = 0
    for folder in store.root.glob("train-*"):
        reached = 0
        for log in sorted(folder.glob("logs/*.log"), key=lambda path: int(path.stem)):
            text = log.read_text(encoding="utf-8", errors="replace")
            went_on = re.search(r"continued at epoch (\d+)", text)
            began = int(went_on.group(1)) if went_on else 0
            saved = [int(epoch) for epoch in re.findall(r"checkpoint at epoch (\d+)", text)]
            again += log.stem != "1"
            if saved or went_on:
                repeated += max(0, reached - began)
                reached = max(reached, *saved, began)
    return again, repeated


def check_mlflow(run: Run, uri: str) -> int:
    """Check that MLflow has one finished run per job, each step once; return the number of runs."""
    import mlflow

    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("chaos")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=5_000)
    by_key = Counter(found.data.tags["sonogrid.signature"] for found in runs)
    assert max(by_key.values()) == 1, f"a run is there twice: {by_key.most_common(1)}"
    found = {each.data.tags["sonogrid.signature"]: each for each in runs}
    for signature in run.graph.train.values():
        each = found[signature]
        node = run.graph.nodes[signature]
        assert each.info.status == "FINISHED", f"{node.name} is {each.info.status} in MLflow"
        points = client.get_metric_history(each.info.run_id, "lwlrap")
        history = run.store.history(node)
        assert [(p.step, p.value) for p in points] == [(r["epoch"], r["lwlrap"]) for r in history], node.name
    return len(runs)


def main() -> int:
    parser = argparse.ArgumentParser(description="Kills whatever runs a grid and checks what is left.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--keep", type=Path, help="work here and leave everything")
    arguments = parser.parse_args()
    os.environ[MARK] = uuid.uuid4().hex
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "1"
    fast_start_environment()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.keep or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        chaos = Chaos(folder, arguments.seed, arguments.kills)
        began = time.monotonic()
        files = runs = again = repeated = rounds = 0
        chaos.prepare()
        try:
            while chaos.left or rounds == 0:
                out, reference = chaos.disturbed(rounds), chaos.undisturbed(rounds)
                if chaos.server.process is None:
                    chaos.due = [entry for entry in chaos.due if entry[1] != "mlflow"]
                    chaos.server.start()
                    chaos.server.wait_until_up()
                    assert chaos.sonogrid("sync", str(out), tracking=chaos.server.uri).wait(300) == 0
                disturbed, undisturbed = Run.open(out), Run.open(reference)
                files += compare(disturbed, undisturbed)
                runs = check_mlflow(disturbed, chaos.server.uri)
                more, twice = repeated_epochs(disturbed.store)
                again, repeated = again + more, repeated + twice
                names = (
                    ".*.tmp*",
                    "checkpoint*",
                    "alive.json",
                    "queued.json",
                    "stop.json",
                    "owner.json",
                    "failed.json",
                    "placement.json",
                )
                left = [str(path.relative_to(out)) for name in names for path in out.rglob(name)]
                assert not left, f"left behind: {left}"
                rounds += 1
                say(f"round {rounds}: {len(disturbed.graph.nodes)} nodes as undisturbed, {chaos.left} kills left")
        finally:
            chaos.end()
        deadline = time.monotonic() + 15
        while marked_processes() and time.monotonic() < deadline:
            time.sleep(0.5)
        orphans = [f"{process.pid} {' '.join(command_of(process))[:80]}" for process in marked_processes()]
        assert not orphans, f"processes left: {orphans}"
        assert repeated == 0, f"{repeated} epochs were trained again although a checkpoint had them"
    facts = {
        "kills": dict(chaos.counts), "grids": rounds, "files_compared": files, "mlflow_runs": runs,
        "attempts_made_again": again, "epochs_lost_from_checkpoints": repeated,
        "seconds": round(time.monotonic() - began),
    }  # fmt: skip
    print(json.dumps(facts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
