"""A real Ray cluster of several machines (raylets of this one): preemption, workers, demand, metrics."""

import json
import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray._raylet import GcsClient
from ray.autoscaler._private.constants import AUTOSCALER_RESOURCE_REQUEST_CHANNEL
from ray.cluster_utils import Cluster
from ray.core.generated import autoscaler_pb2
from ray.experimental.internal_kv import _internal_kv_get

from features.errors import GridError, InputError
from orchestrator.executors.ray.cluster import Demand
from orchestrator.executors.ray.executor import RayExecutor
from orchestrator.executors.ray.train import fast_start_environment
from orchestrator.grids.load import load_grid
from orchestrator.jobs.execution import PRETEND_GPUS
from orchestrator.jobs.run import run_job
from orchestrator.planning.plan import Plan
from orchestrator.planning.scheduler import Events, Finished, Needs, Standing, run_plan
from orchestrator.run.bound import Run
from orchestrator.run.execution import Execution, Place
from orchestrator.run.selection import Selection, plan_of, prepare
from orchestrator.store.marks import SignOfLife
from orchestrator.store.node import Node

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head that takes no jobs, and two machines of two GPUs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv(PRETEND_GPUS, "1")
        fast_start_environment()
        made = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 0,
                "include_dashboard": False,
                "_system_config": {"metrics_report_interval_ms": 1000},
            },
        )
        for _ in range(2):
            made.add_node(num_cpus=2, num_gpus=2)
        ray.init(address=made.address, log_to_driver=False, logging_level="error")
        yield made
        ray.shutdown()
        made.shutdown()


@pytest.fixture
def run(tmp_path: Path, small_data: Path, tiny_grid: Path) -> Run:
    """The tiny grid with its features done and a training of many epochs to interrupt."""
    recipe = load_grid(str(tiny_grid), ["conditions.plain.epochs=2000"])
    return with_features(prepare(recipe, small_data, tmp_path / "run"))


def with_features(run: Run) -> Run:
    run.save()
    for node in run.graph.nodes.values():
        if node.shard is not None:
            run_job(run.claim(node, Execution().of_job()))
    run.store.refresh()
    return run


@pytest.mark.long
def test_workers_share_a_job_and_go_on_elsewhere_when_their_machine_is_about_to_go(cluster: Cluster, run: Run) -> None:
    node = run.graph.nodes[run.graph.train["plain", 0]]
    ended: list[Finished] = []
    places: list[set[str]] = []
    enough: list[bool] = []
    executor = RayExecutor(run, Execution(gpus_per_job=2.0, workers=2), lambda: "now" if enough else "no")
    began = time.monotonic()

    def drain() -> None:
        here = set(executor.ledger.machines_of(node.signature))
        folders = [path.name for path in run.store.folder(node).glob("attempt-*/")]
        sign = run.store.alive(node) or SignOfLife()
        if not places and (sign.epoch or 0) >= 1:
            places.append(here)
            reason = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
            client: Any = GcsClient(address=cluster.address)
            assert client.drain_node(next(iter(here)), reason, "spot", int(time.time() * 1000) + 600_000)[0]
        elif not enough and ended and "attempt-2" in folders and (sign.step or 0) > ended[0].reached:
            places.append(here)
            enough.append(True)
        if time.monotonic() - began > 400:
            enough.append(True)

    class Draining(Events):
        def on_tick(self) -> None:
            drain()

        def on_finish(self, node: Node, finished: Finished) -> None:
            ended.append(finished)

        def should_stop(self) -> bool:
            return bool(enough)

    plan = plan_of(run, Selection(("plain",), (0,)))
    only = Plan(plan.graph, tuple(p for p in plan.nodes if p.action == "cached" or p.node.signature == node.signature))
    summary = run_plan(only, executor, Draining(), retries=0, tick_s=0.2)
    speed = _metrics()
    executor.close()
    assert [end.outcome for end in ended] == ["preempted", "stopped"], ended
    assert not summary.failed, "no attempt was counted, with none to spare"
    assert ended[1].reached > ended[0].reached > 0
    first, second = places
    assert first.isdisjoint(second)
    log = (run.store.folder(node) / "logs" / "2.log").read_text()
    assert f"step {ended[0].reached}" in log, "it went on where it was asked to stop"
    assert speed["sonogrid_epochs_total"] >= 1
    assert speed["sonogrid_retries_total{preempted}"] == 1
    assert speed["sonogrid_jobs{running}"] == 0
    assert speed["sonogrid_cache_hits_total"] > 0
    assert "sonogrid_queue_jobs" in speed
    assert "sonogrid_samples_per_second{plain}" in speed


def _metrics() -> dict[str, float]:
    """What Prometheus would read of ours on the driver's machine, once the last figures are there."""
    head = next(node for node in ray.nodes() if "node:__internal_head__" in node["Resources"])
    found: dict[str, float] = {}
    end = time.monotonic() + 120
    while time.monotonic() < end and found.get("sonogrid_retries_total{preempted}") != 1:
        time.sleep(1)
        with urllib.request.urlopen(f"http://{head['NodeManagerAddress']}:{head['MetricsExportPort']}/metrics") as page:
            lines = page.read().decode().splitlines()
        for line in lines:
            if match := re.match(r"ray_(sonogrid_\w+)\{(.*)\} (\S+)", line):
                tags = re.findall(r'(?:state|cause|outcome|condition)="([^"]+)"', match[2])
                found[match[1] + (f"{{{tags[0]}}}" if tags else "")] = float(match[3])
    return found


def test_an_error_in_a_job_is_its_cause(cluster: Cluster, tmp_path: Path, small_data: Path, tiny_grid: Path) -> None:
    recipe = load_grid(str(tiny_grid), ["conditions.plain.lr_max=1e30", "conditions.plain.optimizer=sgd"])
    run = with_features(prepare(recipe, small_data, tmp_path / "run"))
    executor = RayExecutor(run, Execution(gpus_per_job=0.0))
    node = run.graph.nodes[run.graph.train["plain", 0]]
    room = Needs(1, 0, int(sum(machine.cpus for machine in executor.ledger.machines.values())))
    assert executor.fits(room)
    executor.submit(node)
    assert not executor.fits(room)
    finished: list[Finished] = []
    while not finished:
        finished = executor.wait(1.0)
    (outcome,) = finished
    assert outcome.outcome == "failed"
    assert "try a lower lr_max" in outcome.cause
    assert executor.fits(room)
    executor.close()


def test_the_autoscaler_is_shown_what_waits_and_nothing_when_none_does(cluster: Cluster) -> None:
    def asked() -> Any:
        return json.loads(_internal_kv_get(AUTOSCALER_RESOURCE_REQUEST_CHANNEL) or b"[]")

    demand = Demand()
    for needs, bundles in (
        ({Needs(2, 1, 2, "A100"): 1, Needs(1): 2},
         [{"CPU": 2, "GPU": 1, "accelerator_type:A100": 0.001}] * 2 + [{"CPU": 1}] * 2),
        ({}, []),
    ):  # fmt: skip
        demand.show(needs)
        end = time.monotonic() + 120
        while asked() != bundles and time.monotonic() < end:
            time.sleep(0.2)
        assert asked() == bundles


def test_what_fits_no_machine_is_refused_and_what_the_grid_lacks_too(cluster: Cluster, run: Run) -> None:
    node = run.graph.nodes[run.graph.train["plain", 0]]
    execution = Execution(gpus_per_job=1.0, place={"plain": Place(gpu="H100")})
    executor = RayExecutor(run, execution)

    plan = plan_of(run, Selection(("plain",), (0,)))
    only = Plan(plan.graph, tuple(p for p in plan.nodes if p.node.signature == node.signature))
    summary = run_plan(only, executor)
    assert summary.failed == {node.signature: "needs 1 CPUs and 1 GPUs of type H100, more than the cluster has"}
    with pytest.raises(GridError, match=r"--place Z: there is no such condition; there are plain"):
        RayExecutor(run, Execution(place={"Z": Place(workers=2)}))
    with pytest.raises(InputError, match=r"condition plain has batches of 4 clips.*at most 4 workers"):
        RayExecutor(run, Execution(gpus_per_job=0.0, workers=5))


def test_a_machine_that_joins_while_nothing_runs_is_seen_and_vetted(
    cluster: Cluster, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.executors.ray.executor.has_autoscaler", lambda: True)
    executor = RayExecutor(run, Execution(gpus_per_job=1.0))
    here = executor.ledger.machines
    many = Needs(1.0, 1.0, int(sum(machine.gpus for machine in here.values())) + 1)
    executor._vetted = set(here)  # as on a cluster that an address names
    assert not executor.fits(many)
    cluster.add_node(num_cpus=2, num_gpus=2)
    standing = Standing(cached=0, running=0, done=0, failed=0, blocked=0, waiting=0, ready={many: 1})
    end = time.monotonic() + 240
    while not executor.fits(many):
        assert executor.hold(standing), "with an autoscaler it waits"
        assert time.monotonic() < end
        time.sleep(0.2)
    assert len(executor._vetted) == len(here) + 1
    # The devices are read again too: jobs of a cluster that had no GPU train on those of a machine that joins.
    late = RayExecutor(run, Execution())
    late._has_gpus = False
    training = next(node for node in run.graph.nodes.values() if node.kind == "train")
    assert late.needs(training).gpus == 0
    late._looked = 0.0
    late.hold(standing)
    assert late.needs(training).gpus == 1.0
    executor.demand.show({})
