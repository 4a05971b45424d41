"""The cost of planning, watching and driving 10,000 nodes: `python -m benchmarks.scale_bench`.

CPU seconds of this process without imports; for whole verbs, of a new process with its imports. The data has the size
of FSDKaggle2019, so that a training job waits for hundreds of shards.
"""

import io
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.rows import Row, row_of
from features.assumed import assumed_manifest
from orchestrator.executors.outcome import outcome_of
from orchestrator.grids.load import load_grid
from orchestrator.planning.cost import Cost, Machines
from orchestrator.planning.gpus import find_gpu
from orchestrator.planning.graph import build_graph
from orchestrator.planning.plan import Plan, make_plan
from orchestrator.planning.scheduler import Events, Finished, run_plan
from orchestrator.planning.simulate import VirtualExecutor
from orchestrator.run.bound import Run
from orchestrator.run.execution import Execution
from orchestrator.run.record import RecordedRun
from orchestrator.run.selection import Selection, plan_of
from orchestrator.store.local import LocalNodeStore
from orchestrator.store.node import Node
from orchestrator.views.progress import LaunchView
from orchestrator.views.status import read_status, show
from tests.fixtures.scale_case import GROUPS, finish, many_run, write_grid

MACHINES = ("A100", 0.3)


def timed(what: str, function: Callable[[], Any]) -> Any:
    """Call a function and print its CPU and wall-clock seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    found = function()
    print(f"{what:44} {time.process_time() - cpu:6.2f} s CPU  {time.perf_counter() - wall:6.2f} s", flush=True)
    return found


def whole_process(what: str, *arguments: str) -> None:
    """Time a verb as a user runs it, with the interpreter and all imports."""
    before, wall = os.times(), time.perf_counter()
    subprocess.run([sys.executable, "-m", "orchestrator.cli", *arguments], stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    print(f"{what:44} {cpu:6.2f} s CPU  {time.perf_counter() - wall:6.2f} s", flush=True)


def memory(what: str) -> None:
    """Print the peak memory of this process so far."""
    print(f"{what:44} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:6.0f} MB", flush=True)


class Driven(VirtualExecutor):
    """N GPUs in virtual time. The driver's part of a job is real; the worker's part is simulated and timed apart."""

    def __init__(self, run: Run, seconds: dict[str, float], gpus: int) -> None:
        super().__init__(seconds, gpus)
        self.run, self.execution = run, Execution(executor="inline")
        self.workers_s = 0.0
        """CPU seconds spent in place of the workers."""

    def submit(self, node: Node) -> None:
        """Claim the node and build its job specification."""
        self.run.claim(node, self.execution.of_job())
        super().submit(node)

    def wait(self, timeout_s: float) -> list[Finished]:
        """Let the next workers finish, and read their outcomes from their folders."""
        ended = [self.run.graph.nodes[end.signature] for end in super().wait(timeout_s)]
        began = time.process_time()
        for node in ended:
            finish(self.run, node)
        self.workers_s += time.process_time() - began
        return [outcome_of(self.run, node, asked=False) for node in ended]


def drive(run: Run, plan: Plan, seconds: dict[str, float], gpus: int) -> tuple[float, int]:
    """Run a whole plan; return the CPU seconds of the driver and the number of jobs."""
    began = time.process_time()
    executor = Driven(run, seconds, gpus)
    view = LaunchView(run, plan, Console(file=io.StringIO()))

    class Drawn(Events):
        def on_start(self, node: Node) -> None:
            view.on_start(node)

        def on_finish(self, node: Node, finished: Finished) -> None:
            run.store.refresh(node)
            view.on_finish(node, finished)

        def on_tick(self) -> None:
            view.on_tick()

    summary = run_plan(plan, executor, Drawn())
    view.close()
    assert summary.done == len(plan.pending)
    return time.process_time() - began - executor.workers_s, summary.done


def rows(quick: bool) -> list[Row]:
    """CPU of the driver for a job of a large grid, against that of a small one: it should not grow."""
    name, share = MACHINES
    sides: dict[int, list[float]] = {2 if quick else GROUPS // 10: [], 4 if quick else GROUPS: []}
    jobs = 0
    for _ in range(1 if quick else 3):
        for groups, side in sides.items():
            with tempfile.TemporaryDirectory() as folder:
                grid = Path(folder, "many.yaml")
                write_grid(grid, groups)
                run = many_run(Path(folder, "run"), load_grid(str(grid)))
                plan = plan_of(run, Selection())
                cost = Cost.of(plan, run.recipe, run.manifest, Machines(find_gpu(name), 64, share))
                cpu, jobs = drive(run, plan, cost.seconds, 64)
                side.append(cpu / jobs)
    small, large = sides.values()
    return [row_of(f"driver, CPU per job of {jobs:,}", "peer: a tenth of the grid", large, small, "CPU s")]


def makespans(grid: str) -> None:
    """Print the simulated makespan of a grid on few and many GPUs, and its lower bound."""
    recipe = load_grid(grid)
    manifest = assumed_manifest(recipe.data)
    graph = build_graph(recipe, manifest)
    name, share = MACHINES
    cost = None
    for gpus in (8, 64, 1000):
        machines = Machines(find_gpu(name), gpus, share)
        if cost is None:
            cost = Cost.of(make_plan(graph, LocalNodeStore(Path("nowhere"))), recipe, manifest, machines)
        at = Cost(cost.plan, cost.nodes, machines)
        work = sum(at.seconds[p.node.signature] for p in at.plan.pending if p.node.trains) / gpus
        bound = "the work" if at.lower_bound_s == work else "the longest chain"
        print(
            f"{recipe.name}: {len(graph.nodes)} nodes on {gpus:4} GPUs {at.makespan_s / 3600:6.3f} h, lower bound "
            f"{at.lower_bound_s / 3600:6.3f} h ({bound}), ratio {at.ratio:.4f}"
        )


def verbs(folder: Path, groups: int) -> None:
    """Time each part of `plan`, `status` and `resume`, then the whole verbs."""
    grid = folder / "many.yaml"
    write_grid(grid, groups)
    recipe = timed("plan: read the grid", lambda: load_grid(str(grid)))
    manifest = timed("plan: assumed data", lambda: assumed_manifest(recipe.data))
    graph = timed("plan: graph with signatures", lambda: build_graph(recipe, manifest))
    plan = timed("plan: compare with an empty store", lambda: make_plan(graph, LocalNodeStore(folder / "empty")))
    name, share = MACHINES
    import torch._dynamo  # the first count on a network without numbers imports it  # noqa: F401

    memory("memory: imports")
    cost = timed("plan: count the cost", lambda: Cost.of(plan, recipe, manifest, Machines(find_gpu(name), 8, share)))
    timed("plan: makespan and bound", cost.as_dict)
    run = many_run(folder / "run", recipe)
    print(f"{len(graph.nodes)} nodes; run.json {(run.folder / 'run.json').stat().st_size / 1e6:.1f} MB")
    memory("memory: all of that")
    cpu, jobs = drive(run, plan_of(run, Selection()), cost.seconds, 64)
    print(f"driver: {jobs} jobs on 64 GPUs, {1000 * cpu / jobs:.2f} ms CPU per job, with claims, outcomes and the view")
    memory("memory: after the driver's jobs")
    recorded = timed("status: open the run", lambda: RecordedRun.open(folder / "run"))
    status = timed("status: read the store", lambda: read_status(recorded))
    timed("status: print", lambda: Console(file=io.StringIO(), width=160).print(show(status)))
    opened = timed("resume: open the run", lambda: Run.open(folder / "run"))
    timed("resume: graph with signatures", lambda: opened.graph)
    again = timed("resume: scan of a store with all done", lambda: plan_of(opened, Selection()))
    assert not again.pending
    whole_process("sonogrid --help", "--help")
    whole_process("sonogrid plan GRID", "plan", str(grid))
    whole_process("sonogrid status RUN", "status", str(folder / "run"))


def main() -> None:
    makespans("paper")
    with tempfile.TemporaryDirectory() as folder:
        verbs(Path(folder), GROUPS)


if __name__ == "__main__":
    main()
