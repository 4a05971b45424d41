"""Ten thousand nodes: whatever grows faster than their number shows here.

Limits are twice what the project promises, in CPU seconds; `python -m benchmarks.scale_bench` prints the figures.
"""

import gc
import io
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from rich.console import Console

from features.assumed import assumed_manifest
from features.files import hash_of, save_npy
from orchestrator.grids.load import load_grid
from orchestrator.planning.cost import Cost, Machines
from orchestrator.planning.gpus import find_gpu
from orchestrator.planning.graph import build_graph
from orchestrator.planning.plan import make_plan
from orchestrator.planning.scheduler import run_plan
from orchestrator.run.bound import Run
from orchestrator.run.record import RecordedRun, read_run_json
from orchestrator.run.selection import Selection, plan_of
from orchestrator.store.local import LocalNodeStore
from orchestrator.store.marks import DoneMark
from orchestrator.store.node import STAGE_VERSIONS
from orchestrator.views.status import JobStatus, Status, read_status, show
from orchestrator.without_gc import uncollected
from tests.fixtures.fake_executor import FakeExecutor, node, plan
from tests.fixtures.scale_case import GROUPS, finish, many_run, write_grid

LIMIT_S = 4.0
T = TypeVar("T")


def seconds(function: Callable[[], T]) -> tuple[float, T]:
    began = time.process_time()
    found = function()
    return time.process_time() - began, found


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("grid") / "many.yaml"
    write_grid(path)
    return path


@pytest.fixture(scope="module")
def many(grid: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run on an eighth of the clips; at full size it has hundreds of shards and takes a minute."""
    run = many_run(tmp_path_factory.mktemp("many"), load_grid(str(grid)), clips=1 / 8)
    for each in run.graph.nodes.values():
        finish(run, each)
    return run


def test_plan(grid: Path, tmp_path: Path) -> None:
    def whole() -> Cost:
        recipe = load_grid(str(grid))
        manifest = assumed_manifest(recipe.data)
        plan = make_plan(build_graph(recipe, manifest), LocalNodeStore(tmp_path / "store"))
        cost = Cost.of(plan, recipe, manifest, Machines(find_gpu("A100"), 8, 0.3))
        assert 1 <= cost.ratio < 1.05
        return cost

    import torch._dynamo  # the first count on a network without numbers imports it  # noqa: F401

    taken, cost = seconds(whole)
    assert len(cost.plan.pending) > 10_000
    assert taken < LIMIT_S


def test_status(many: Run) -> None:
    out = io.StringIO()

    def whole() -> Status:
        status = read_status(RecordedRun.open(many.folder))
        Console(file=out, width=160).print(show(status))
        return status

    taken, status = seconds(whole)
    assert Counter(job.state for job in status.jobs) == {"cached": len(many.graph.nodes)}
    assert f"{50 * GROUPS + 1} cached" in out.getvalue()
    assert len(out.getvalue().splitlines()) > 9_990
    assert taken < LIMIT_S


def test_scan_of_resume(many: Run) -> None:
    run = Run.open(many.folder)
    taken, plan = seconds(lambda: plan_of(run, Selection()))
    assert {planned.action for planned in plan.nodes} == {"cached"}
    assert len(plan.nodes) > 9_990
    assert taken < LIMIT_S


def test_own_cost_of_jobs_that_are_lost_and_inputs_that_are_damaged() -> None:
    shards = [node(f"s{i}") for i in range(400)]
    jobs = [node(f"t{i}", *(f"s{j}" for j in range(i % 40, 400, 40)), cost=5.0) for i in range(9_600)]
    outcomes = ("lost", "memory", "preempted", "damaged")
    ends = 0

    def outcome(each: object, tries: int) -> str:
        nonlocal ends
        ends += 1
        index = int(each.name[1:])  # type: ignore[attr-defined]
        return outcomes[index % 4] if each.name[0] == "t" and index % 20 < 4 and tries == 1 else "done"  # type: ignore[attr-defined]

    executor = Tallied(cpus=64, outcome=outcome, room=10**6, damaged=("s7",))
    taken, summary = seconds(lambda: run_plan(plan(*shards, *jobs), executor, pause_s=0))
    assert summary.done == 10_000
    assert not summary.failed
    assert ends > 10_000 + 1_900
    assert taken / ends < 0.005


class Tallied(FakeExecutor):
    """Counts starts as they happen: counting them again each time would dominate the measurement."""

    def __init__(self, **more: object) -> None:
        super().__init__(**more)  # type: ignore[arg-type]
        self.tries: Counter[str] = Counter()
        self.started = _Counted(self.tries)


class _Counted(list[str]):
    def __init__(self, tries: Counter[str]) -> None:
        super().__init__()
        self.tries = tries

    def append(self, name: str) -> None:
        self.tries[name] += 1

    def count(self, name: str) -> int:
        return self.tries[name]


def test_makespan_of_the_papers_grid(tmp_path: Path) -> None:
    recipe = load_grid("paper")
    manifest = assumed_manifest(recipe.data)
    plan = make_plan(build_graph(recipe, manifest), LocalNodeStore(tmp_path / "store"))
    cost = Cost.of(plan, recipe, manifest, Machines(find_gpu("A100"), 8, 0.3))
    for gpus in (8, 64, 1000):
        at = Cost(cost.plan, cost.nodes, Machines(cost.machines.gpu, gpus, 0.3))
        assert 1 <= at.ratio < 1.05


# --- the fast paths give the same answers as the slow ones


def test_signatures_are_hashes_of_canonical_json(many: Run) -> None:
    for each in list(many.graph.nodes.values())[::97]:
        whole = {"kind": each.kind, "schema": STAGE_VERSIONS[each.kind], "payload": each.payload, "inputs": each.inputs}
        assert each.signature == hash_of(whole)


def test_run_json_names_shared_inputs_once_and_reads_them_whole(many: Run) -> None:
    raw = read_run_json(many.folder)
    assert raw is not None
    nodes = {each.name: each for each in many.graph.nodes.values()}
    assert raw["nodes"].keys() == nodes.keys()
    for name in list(nodes)[::97]:
        inputs = {role: tuple(group) for role, group in raw["nodes"][name]["inputs"].items()}
        assert inputs == nodes[name].inputs
    assert (many.folder / "run.json").stat().st_size < 2_000 * len(nodes)


def test_a_finished_node_is_not_read_again_by_every_plan(tmp_path: Path, many: Run) -> None:
    """A result that is newer than its mark would make each plan compute its checksum."""
    store = LocalNodeStore(tmp_path)
    each = next(iter(many.graph.nodes.values()))
    claim, name = store.claim(each, ""), store.name(each)
    path = store.begin(name, 1) / "data.npy"
    save_npy(path, assumed_manifest(many.recipe.data).clips["n_samples"].to_numpy())
    store.finish(name, claim, DoneMark(signature=each.signature), [path])
    result, mark = path, path.with_name("done.json")
    assert store.inspected(each).state == "done"
    assert result.stat().st_ctime_ns <= mark.stat().st_mtime_ns


def test_long_causes_are_folded_and_nothing_in_them_is_followed() -> None:
    cause = "a/very/long/path is damaged: " + "it has 7 bytes, not 8; " * 12 + "\x1b[31m [bold]"
    out = io.StringIO()
    Console(file=out, width=100).print(show(Status([JobStatus("train-A-0", "train", "failed", cause=cause)], None)))
    lines = out.getvalue().splitlines()
    assert all(len(line) <= 100 for line in lines)
    assert lines[2].startswith("failed  train-A-0")
    assert "\x1b" not in out.getvalue()
    assert "\\x1b[31m [bold]" in " ".join(line.strip() for line in lines)


def test_garbage_collection_is_on_again_after_an_error() -> None:
    @uncollected
    def broken() -> None:
        assert not gc.isenabled()
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        broken()
    assert gc.isenabled()
