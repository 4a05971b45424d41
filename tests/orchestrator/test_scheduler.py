"""The scheduler with a fake executor; the real ones are in test_inline_run.py and test_ray.py."""

import time
from collections.abc import Callable

from orchestrator.graph import Node
from orchestrator.plan import Plan, PlannedNode
from orchestrator.scheduler import Finished, Needs, remaining_path, run_plan


class FakeExecutor:
    """Machines of a size; a job takes its cost in simulated seconds."""

    def __init__(
        self, cpus: float = 2, gpus: float = 0, outcome: Callable[[Node, int], str] = lambda *_: "done"
    ) -> None:
        self.free, self.outcome = Needs(cpus, gpus), outcome
        self.clock = 0.0
        self.running: list[tuple[float, Node, Needs]] = []
        self.started: list[str] = []
        self.most = 0

    def needs(self, node: Node) -> Needs:
        return Needs(node.cpus, 1.0 if node.trains else 0.0)

    def fits(self, needs: Needs) -> bool:
        return needs.cpus <= self.free.cpus and needs.gpus <= self.free.gpus

    def submit(self, node: Node) -> None:
        needs = self.needs(node)
        assert self.fits(needs)
        self.free = Needs(self.free.cpus - needs.cpus, self.free.gpus - needs.gpus)
        self.running.append((self.clock + node.cost, node, needs))
        self.started.append(node.name)
        self.most = max(self.most, len(self.running))

    def wait(self, timeout_s: float) -> list[Finished]:
        self.running.sort(key=lambda job: job[0])
        self.clock, node, needs = self.running.pop(0)
        self.free = Needs(self.free.cpus + needs.cpus, self.free.gpus + needs.gpus)
        outcome = self.outcome(node, self.started.count(node.name))
        return [Finished(node.signature, outcome, "" if outcome == "done" else f"{node.name} broke")]

    def close(self) -> None:
        pass


def node(name: str, *parents: str, cost: float = 1.0, cpus: float = 1.0, trains: bool = False) -> Node:
    return Node(name, "train", {}, {"inputs": parents}, name, cost=cost, cpus=cpus, trains=trains)


def plan(*nodes: Node, cached: tuple[str, ...] = ()) -> Plan:
    return Plan(None, tuple(PlannedNode(n, "cached" if n.name in cached else "new", "") for n in nodes))  # type: ignore[arg-type]


def test_parents_run_before_children_and_cached_nodes_do_not_run() -> None:
    executor = FakeExecutor()
    summary = run_plan(plan(node("a"), node("b"), node("c", "a", "b"), node("d", "c"), cached=("a",)), executor)
    assert executor.started == ["b", "c", "d"]
    assert summary.done == 3
    assert not summary.failed


def test_longest_remaining_path_goes_first() -> None:
    nodes = plan(node("short"), node("long"), node("child", "long", cost=10.0))
    assert remaining_path(nodes) == {"short": 1.0, "long": 11.0, "child": 10.0}
    executor = FakeExecutor(cpus=1)
    run_plan(nodes, executor)
    assert executor.started == ["long", "child", "short"]


def test_admits_only_what_fits_and_a_big_job_hides_no_small_one() -> None:
    executor = FakeExecutor(cpus=4)
    nodes = plan(node("big", cost=9.0, cpus=4.0), *(node(f"s{i}") for i in range(3)), node("big2", cost=8.0, cpus=4.0))
    run_plan(nodes, executor)
    assert executor.started[0] == "big"
    assert set(executor.started) == {"big", "big2", "s0", "s1", "s2"}


def test_a_failed_node_blocks_its_dependents_and_nothing_else() -> None:
    executor = FakeExecutor(outcome=lambda n, _: "failed" if n.name == "a" else "done")
    summary = run_plan(plan(node("a"), node("b"), node("c", "a"), node("d", "c", "b"), node("e", "b")), executor)
    assert summary.failed == {"a": "a broke"}
    assert sorted(summary.blocked) == ["c", "d"]
    assert executor.started.count("a") == 1, "an error in the job is not repeated"
    assert "e" in executor.started


def test_a_lost_node_is_tried_again_up_to_the_limit() -> None:
    executor = FakeExecutor(outcome=lambda n, tries: "done" if tries == 3 else "lost")
    assert run_plan(plan(node("a")), executor, retries=2).done == 1
    executor = FakeExecutor(outcome=lambda n, tries: "lost")
    assert run_plan(plan(node("a")), executor, retries=2).failed == {"a": "a broke"}
    assert executor.started.count("a") == 3


def test_a_job_that_never_fits_is_an_error_not_a_hang() -> None:
    summary = run_plan(plan(node("a", trains=True), node("b", "a"), node("c")), FakeExecutor(gpus=0))
    assert summary.done == 1
    assert "more than the cluster has" in summary.failed["a"]
    assert summary.blocked == ["b"]


def test_stopping_submits_nothing_more_and_waits_for_what_runs() -> None:
    executor = FakeExecutor(cpus=1)
    summary = run_plan(
        plan(*(node(f"n{i}") for i in range(5))), executor, should_stop=lambda: len(executor.started) >= 2
    )
    assert summary.stopped
    assert summary.done == len(executor.started) == 2


def test_own_cost_a_job_is_below_5_ms() -> None:
    nodes = [node(f"s{i}") for i in range(4000)]
    nodes += [node(f"t{i}", *(f"s{j}" for j in range(i, i + 10)), cost=5.0) for i in range(0, 3900)]
    started = time.process_time()
    assert run_plan(plan(*nodes), FakeExecutor(cpus=64)).done == len(nodes)
    assert (time.process_time() - started) / len(nodes) < 0.005
