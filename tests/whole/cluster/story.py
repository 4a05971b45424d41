"""A grid on a cluster that loses hosts: one is cut off and healed, one loses its raylet, one joins late.

Two scripts run on the head: one writes down, while the grid runs, which attempt is where and which hosts Ray believes
alive; the other collects at the end what the store, the tracking server and the databases hold.
"""

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from features.files import read_json
from tests.whole.cluster.rack import SHARED, Rack

__all__ = ["GRID", "STORE", "Story", "tell", "timeline"]

PATIENCE_S = 900
"""For anything that the cluster is to do: the hosts share one machine, which may have other work."""
STORE = "s3://sonogrid/story"
GRID = """
name: story
data: {folds: 2}
features: {mel: {n_mels: 64, hop_samples: 500}}
defaults:
  network: {kind: resnet, depth: 18, width: 16, head_units: 32}
  crop: 512
  batch_size: 2
  cycles: 2
  epochs: 4
  augment: {mixup: {}, gain: {}}
  predict: {pads: [2, 4]}
conditions:
  plain: {}
  A: {multitask: true}
  B: {base: A, epochs: 2, init_from: plain, pseudo: {teacher: A}}
members: [A, B]
blend: {trials: 5}
"""
WATCH = """
import json, logging, sys, time
from pathlib import Path
import ray
from orchestrator.run.record import RecordedRun

folder, log = Path(sys.argv[1]), open(sys.argv[2], "a")
ray.init("auto", log_to_driver=False, logging_level=logging.ERROR)
told = {}

def tell(key, facts):
    if told.get(key) != facts:
        told[key] = facts
        print(json.dumps({"time": time.time(), **facts}), file=log, flush=True)

while not (folder / "run.json").exists():
    time.sleep(0.5)
run = RecordedRun.open(folder)
while True:
    run.store.refresh()
    for node in run.nodes.values():
        done = run.store.state(node).state == "done"
        sign = run.store.alive(node) if run.store.is_there(node) and not done else None
        if done:
            tell(node.name, {"name": node.name, "done": True})
        elif sign:
            claim = run.store.latest_claim(run.store.name(node))
            attempt = claim.attempt if claim else None
            facts = {"name": node.name, "kind": node.kind, "attempt": attempt, "host": sign.host}
            tell(node.name, {**facts, "saved": sign.saved})
    tell("", {"alive": sorted(node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"])})
    time.sleep(0.5)
"""
COLLECT = """
import json, os, sys
from pathlib import Path
import boto3, mlflow, optuna
from sqlalchemy import create_engine, text
from features.files import sha256_file
from orchestrator.run.bound import Run

run = Run.open(Path(sys.argv[1]))
store = run.store
nodes = {}
for node in run.graph.nodes.values():
    folder, mark, name = store.results(node), store.done(node), store.name(node)
    nodes[node.name] = {
        "files": {file: sha256_file(folder / file) for file in mark.files},
        "history": store.history(node),
        "host": mark.host,
        "attempts": mark.attempts,
        "logs": {Path(key).stem: store.storage.read(key).decode() for key in store.storage.list(f"{name}/logs")},
    }
pages = boto3.client("s3").get_paginator("list_objects_v2").paginate(Bucket="sonogrid")
client = mlflow.MlflowClient()
runs = client.search_runs([client.get_experiment_by_name("story").experiment_id])
with create_engine(os.environ["MLFLOW_BACKEND_STORE_URI"]).connect() as database:
    rows = database.execute(text("select count(*) from runs")).scalar()
print("found", json.dumps({
    "nodes": nodes,
    "keys": [entry["Key"] for page in pages for entry in page["Contents"]],
    "runs": [
        {
            "name": each.info.run_name,
            "status": each.info.status,
            "steps": sorted(metric.step for metric in client.get_metric_history(each.info.run_id, "lwlrap")),
        }
        for each in runs
    ],
    "rows": rows,
    "studies": optuna.get_all_study_names(os.environ["SONOGRID_OPTUNA_STORAGE"]),
}))
"""


@dataclass
class Story:
    """What happened, and what was there in the end."""

    folder: Path
    cut: dict[str, Any]
    """The last word of the job whose host was cut off."""
    killed: dict[str, Any]
    """The last word of the job whose host lost its raylet."""
    silent_s: float
    """How long the host was cut off."""
    found: dict[str, Any]
    events: list[dict[str, Any]] = field(default_factory=list)
    deeds: list[tuple[float, str]] = field(default_factory=list)
    """What was done to the cluster, and when."""


class _Teller:
    """Waits for what the watching script writes down, and writes down what is done to the cluster."""

    def __init__(self, rack: Rack, launch: "subprocess.Popen[str]") -> None:
        self.rack, self.launch = rack, launch
        self.log = rack.shared / "events.jsonl"
        self.deeds: list[tuple[float, str]] = []

    def events(self) -> list[dict[str, Any]]:
        lines = self.log.read_text(encoding="utf-8").splitlines(keepends=True) if self.log.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def wait(self, what: str, look: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The newest word about a job or the hosts, as soon as it is as wanted."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            newest = {event.get("name"): event for event in self.events()}
            for event in newest.values():
                if look(event):
                    return event
            assert self.launch.poll() is None, f"the launch ended before {what}:\n{self.launch.communicate()[0]}"
            assert time.monotonic() < deadline, f"no sign of {what} in {PATIENCE_S} s: {newest}"
            time.sleep(0.2)

    def checkpointed_on(self, host: str) -> dict[str, Any]:
        """A training job on a host that has written a checkpoint and has most of its epochs before it."""
        return self.wait(
            f"a checkpoint on {host}",
            lambda event: event.get("kind") == "train" and event["host"] == host and event["saved"] > 0,
        )

    def did(self, deed: str) -> float:
        self.deeds.append((time.time(), deed))
        return time.monotonic()


def tell(rack: Rack, data: Path) -> Story:
    """Launch the grid from the laptop, lose and gain hosts while it runs, collect what is there at its end."""
    for name, text in (("story.yaml", GRID), ("watch.py", WATCH), ("collect.py", COLLECT)):
        (rack.shared / name).write_text(text, encoding="utf-8")
    run = f"{SHARED}/run"
    launch = rack.start_on_cluster(
        f"sonogrid launch {SHARED}/story.yaml --data {data} --out {run} --store {STORE} --address auto"
    )
    teller = _Teller(rack, launch)
    watch = rack.start_on_cluster(f"exec python {SHARED}/watch.py {run} {SHARED}/events.jsonl")
    try:
        cut = teller.checkpointed_on("worker-1")
        rack.hosts.all["worker-1"].cut()
        began = teller.did("worker-1 is cut off")
        killed = teller.checkpointed_on("worker-2")
        rack.hosts.all["worker-2"].kill("ray/raylet/raylet --")
        teller.did("the raylet of worker-2 is killed")
        late = rack.switch_on()
        teller.did(f"{late.name} is switched on")
        teller.wait("Ray giving worker-1 up", lambda event: "worker-1" not in event.get("alive", ["worker-1"]))
        teller.did("Ray gives up worker-1")
        teller.wait(
            f"another attempt at {cut['name']}",
            lambda event: event.get("name") == cut["name"] and event.get("attempt", 0) > cut["attempt"],
        )
        teller.wait(f"{late.name} in the cluster", lambda event: late.name in event.get("alive", []))
        rack.hosts.all["worker-1"].heal()
        silent_s = teller.did("worker-1 is healed") - began
        printed, _ = launch.communicate(timeout=PATIENCE_S)
        assert launch.returncode == 0, printed
    finally:
        rack.head.kill("[w]atch.py")
        watch.communicate()
        if launch.poll() is None:  # something failed; its processes end with the hosts
            launch.kill()
            launch.communicate()
    (line,) = [
        line
        for line in rack.on_cluster(f"python {SHARED}/collect.py {run}", timeout_s=180).splitlines()
        if line.startswith("found ")
    ]
    found = json.loads(line.removeprefix("found "))
    return Story(rack.shared / "run", cut, killed, silent_s, found, teller.events(), teller.deeds)


def timeline(story: Story) -> str:
    """One line per attempt (what ran where and when), and between them what was done to the cluster."""
    hosts = {(event["name"], event["attempt"]): event["host"] for event in story.events if "attempt" in event}
    for name, facts in story.found["nodes"].items():
        hosts[name, facts["attempts"]] = facts["host"]
    rows = sorted(read_json(story.folder / "timeline.json"), key=lambda row: row["start_s"])
    # An attempt is seen after its start, the fastest one hardly after: so the run's clock is held against the deeds'.
    first = {(event["name"], event["attempt"]): event["time"] for event in reversed(story.events) if "attempt" in event}
    count: dict[str, int] = {}
    lines = []
    offsets = []
    for row in rows:
        name = row["name"]
        count[name] = count.get(name, 0) + 1
        attempt = count[name]
        if (name, attempt) in first:
            offsets.append(first[name, attempt] - row["start_s"])
        host = hosts.get((name, attempt), "nowhere yet")
        span = f"{row['start_s']:6.1f} - {row['end_s']:6.1f} s"
        lines.append((row["start_s"], f"{span}  {host:12}{name}{f', attempt {attempt}' if attempt > 1 else ''}"))
    began = min(offsets)
    lines += [(when - began, f"{when - began:6.1f} s           -- {deed}") for when, deed in story.deeds]
    return "\n".join(line for _, line in sorted(lines))
