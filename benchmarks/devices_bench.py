"""The share of sixteen declared GPUs that the scheduler uses on real Ray, with jobs that only sleep.

`python -m benchmarks.devices_bench`: four machines (raylets of this one) of four GPUs, jobs of mixed length and shares.
"""

import logging
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from orchestrator.executors.ray.executor import RayExecutor
from orchestrator.jobs.execution import JobExecution
from orchestrator.jobs.pseudo import PseudoSpec
from orchestrator.jobs.spec import JobSpec
from orchestrator.planning.plan import Plan, PlannedNode
from orchestrator.planning.scheduler import Needs, run_plan
from orchestrator.run.execution import Execution
from orchestrator.store.local import LocalNodeStore
from orchestrator.store.node import Node


def _sleeper() -> Callable[[JobSpec], bool]:
    def sleep(spec: JobSpec) -> bool:
        from orchestrator.store.marks import DoneMark, SignOfLife
        from orchestrator.store.open import open_store

        began, store = time.time(), open_store(spec.store, listed=False)
        store.begin(spec.node, spec.attempt)
        store.beat(spec.node, spec.attempt, SignOfLife(count=1))
        time.sleep(spec.work.temperature)  # type: ignore[attr-defined]  # any work that carries a number will do
        result = {"began": began, "ended": time.time(), "gpus": spec.execution.gpus}
        store.finish(spec.node, spec.claim, DoneMark(spec.name, spec.signature, result=result, host="here"), [])
        return True

    return sleep  # made here, it travels with the task: workers can't import test modules


class SleepingExecutor(RayExecutor):
    """The real executor, whose jobs sleep on their share of a GPU."""

    run_in_task = staticmethod(_sleeper())  # type: ignore[assignment]  # the name of its argument is lost

    def needs(self, node: Node) -> Needs:
        """The share of a GPU that the job was made with."""
        return Needs(0.1, node.payload["gpus"])


def device_share(root: Path, jobs: list[tuple[float, float]], devices: int) -> float:
    """Run jobs of (GPUs, seconds); the share of all devices' time that was slept on, from the first start to the last.

    The jobs record the times themselves, because starting a process does not use a device.
    """
    nodes = [
        Node(f"j{i}", "predict", {"gpus": gpus, "seconds": s}, {}, f"{i:064x}"[::-1], cost=s)
        for i, (gpus, s) in enumerate(jobs)
    ]
    store = LocalNodeStore(root)

    def claim(node: Node, execution: JobExecution) -> JobSpec:
        attempt = store.claim(node, "")
        return JobSpec(
            node.name, node.signature, store.url, store.name(node), attempt, "", {}, {},
            PseudoSpec(node.payload["seconds"]), execution,
        )  # fmt: skip

    run: Any = SimpleNamespace(store=store, claim=claim, identity="", recipe=SimpleNamespace(conditions={}))
    executor = SleepingExecutor(run, Execution())
    graph: Any = None
    summary = run_plan(Plan(graph, tuple(PlannedNode(node, "new", "") for node in nodes)), executor)
    executor.close()
    assert summary.done == len(jobs)
    assert not executor.ledger._held
    marks = [store.done(node).result for node in nodes]
    first, last = min(m["began"] for m in marks), max(m["began"] for m in marks)
    used = sum(m["gpus"] * (min(m["ended"], last) - m["began"]) for m in marks)
    return float(used / (devices * (last - first)))


def mixed_jobs(count: int, mean_s: float) -> list[tuple[float, float]]:
    """(GPUs, seconds): whole GPUs, halves and quarters; 0.4 to 1.6 times the mean."""
    draw = random.Random(0)
    return [(draw.choice([1.0, 1.0, 0.5, 0.25]), mean_s * draw.uniform(0.4, 1.6)) for _ in range(count)]


def main(count: int = 80, mean_s: float = 90.0) -> None:
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(4):
        cluster.add_node(num_cpus=16, num_gpus=4)
    ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    try:
        with tempfile.TemporaryDirectory() as root:
            share = device_share(Path(root), mixed_jobs(count, mean_s), 16)
        print(f"{count} jobs of {mean_s:g} s on average: {share:.1%} of device-time used", flush=True)
    finally:
        ray.shutdown()
        cluster.shutdown()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
