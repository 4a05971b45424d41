"""Ten thousand nodes: whatever grows faster than their number shows here.

`python -m benchmarks.scale_bench` prints the seconds.
"""

import gc
import io
from collections import Counter
from pathlib import Path

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
from tests.fixtures.timing import assert_ratio

TIMES = 4
"""By how much the large case is larger than the small one."""
LIMIT = 1.6 * TIMES


def finished(folder: Path, groups: int) -> Run:
    """A finished run on an eighth of the clips; at full size it has hundreds of shards and takes a minute."""
    write_grid(folder / "many.yaml", groups)
    run = many_run(folder, load_grid(str(folder / "many.yaml")), clips=1 / 8)
    for each in run.graph.nodes.values():
        finish(run, each)
    return run


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return finished(tmp_path_factory.mktemp("many"), GROUPS)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return finished(tmp_path_factory.mktemp("few"), GROUPS // TIMES)


@pytest.mark.long
def test_plan(tmp_path: Path) -> None:
    for groups in (GROUPS, GROUPS // TIMES):
        write_grid(tmp_path / f"{groups}.yaml", groups)

    def whole(groups: int) -> None:
        recipe = load_grid(str(tmp_path / f"{groups}.yaml"))
        manifest = assumed_manifest(recipe.data)
        plan = make_plan(build_graph(recipe, manifest), LocalNodeStore(tmp_path / "store"))
        cost = Cost.of(plan, recipe, manifest, Machines(find_gpu("A100"), 8, 0.3))
        assert 1 <= round(cost.ratio, 9) < 1.05
        assert len(cost.plan.pending) > 50 * groups

    whole(GROUPS // TIMES)  # counts the operations of the networks, which are remembered
    assert_ratio(lambda: whole(GROUPS), lambda: whole(GROUPS // TIMES), LIMIT)


@pytest.mark.long
def test_status(many: Run, few: Run) -> None:
    def whole(run: Run) -> None:
        out = io.StringIO()
        status = read_status(RecordedRun.open(run.folder))
        Console(file=out, width=160).print(show(status))
        number = len(run.graph.nodes)
        assert Counter(job.state for job in status.jobs) == {"cached": number}
        shards = sum(each.shard is not None for each in run.graph.nodes.values())
        assert f"{number - shards} cached" in out.getvalue()
        assert len(out.getvalue().splitlines()) > number - shards

    assert len(many.graph.nodes) > 10_000
    assert_ratio(lambda: whole(many), lambda: whole(few), LIMIT)


@pytest.mark.long
def test_scan_of_resume(many: Run, few: Run) -> None:
    def whole(run: Run) -> None:
        plan = plan_of(Run.open(run.folder), Selection())
        assert {planned.action for planned in plan.nodes} == {"cached"}
        assert len(plan.nodes) == len(run.graph.nodes)

    assert_ratio(lambda: whole(many), lambda: whole(few), LIMIT)


def test_own_cost_of_jobs_that_are_lost_and_inputs_that_are_damaged() -> None:
    outcomes = ("lost", "memory", "preempted", *["done"] * 17)

    def whole(number: int) -> None:
        shards = [node(f"s{i}") for i in range(number // 25)]
        readers = range(len(shards) // 10)
        jobs = [
            node(f"t{i}", *(f"s{j}" for j in range(i % len(readers), len(shards), len(readers))), cost=5.0)
            for i in range(number - len(shards))
        ]
        ends = 0

        def outcome(each: object, tries: int) -> str:
            nonlocal ends
            ends += 1
            index = int(each.name[1:])  # type: ignore[attr-defined]
            if each.name[0] == "s" or tries > 1:  # type: ignore[attr-defined]
                return "done"
            return "damaged" if index < 5 else outcomes[index % 20]

        executor = Tallied(cpus=64, outcome=outcome, room=10**6, damaged=("s7",))
        summary = run_plan(plan(*shards, *jobs), executor, pause_s=0)
        assert summary.done == number
        assert not summary.failed
        assert ends > 1.14 * number

    assert_ratio(lambda: whole(10_000), lambda: whole(10_000 // TIMES), LIMIT)


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
