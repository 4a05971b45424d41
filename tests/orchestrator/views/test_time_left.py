"""How long a launch will still take."""

from dataclasses import replace

import pytest

from orchestrator.planning.plan import Plan, PlannedNode
from orchestrator.run.bound import Run
from orchestrator.store.node import Node
from orchestrator.views.time_left import TimeLeft

SHARD = Node("shard", "shard", {}, {}, "s" * 64, cost=1.0)


def training(name: str, cost: float, parent: Node = SHARD) -> Node:
    inputs = {"clips": (parent.signature,)}
    return Node(f"train-{name}-0", "train", {}, inputs, f"{name:x<64}", name, (0,), cost=cost, trains=True)


def left_of(run: Run, *nodes: Node) -> TimeLeft:
    return TimeLeft(Plan(run.graph, tuple(PlannedNode(node, "new", "") for node in nodes)))


def test_nothing_is_known_before_anything_has_run(inline_run: Run) -> None:
    left = left_of(inline_run, SHARD, training("A", 10.0))
    assert left.seconds(0.0) is None
    left.started(SHARD, 0.0)
    assert left.seconds(5.0) is None


def test_costs_are_counted_not_jobs(inline_run: Run) -> None:
    """Twenty seconds for a cost of 10: the other one, of a cost of 100, will take 200."""
    small, large = training("A", 10.0), training("B", 100.0)
    left = left_of(inline_run, SHARD, small, large)
    left.started(SHARD, 0.0)
    left.ended(SHARD, 1.0, done=True)
    left.started(small, 1.0)
    left.ended(small, 21.0, done=True)
    assert left.seconds(21.0) == pytest.approx(200.0)
    left.started(large, 21.0)
    assert left.seconds(71.0) == pytest.approx(150.0)
    left.reached(large, 0.5, 71.0)
    assert left.seconds(71.0) == pytest.approx(50.0), "its own pace counts from now on"
    left.reached(large, 0.5, 75.0)
    assert left.seconds(75.0) == pytest.approx(46.0), "until it has done more"
    left.ended(large, 121.0, done=True)
    assert left.seconds(121.0) == 0.0


def test_a_running_job_tells_the_pace_of_the_others(inline_run: Run) -> None:
    jobs = [replace(training("A", 10.0), signature=f"{number}" * 64) for number in range(4)]
    left = left_of(inline_run, *jobs)
    left.started(jobs[0], 0.0)
    left.reached(jobs[0], 0.1, 3.0)
    assert left.seconds(3.0) == pytest.approx(27.0 + 3 * 30.0)


def test_jobs_are_placed_on_as_many_slots_as_were_busy(inline_run: Run) -> None:
    jobs = [replace(training("A", 10.0), signature=f"{number}" * 64) for number in range(5)]
    left = left_of(inline_run, *jobs)
    for job in jobs[:2]:
        left.started(job, 0.0)
    for job in jobs[:2]:
        left.ended(job, 30.0, done=True)
    assert left.seconds(30.0) == pytest.approx(60.0), "three jobs of 30 s on two slots"


def test_a_chain_is_not_done_in_parallel(inline_run: Run) -> None:
    first = training("A", 10.0)
    second = training("B", 10.0, first)
    third = training("C", 10.0)
    left = left_of(inline_run, first, second, third)
    for job in (first, third):
        left.started(job, 0.0)
        left.reached(job, 0.5, 10.0)
    assert left.seconds(10.0) == pytest.approx(10.0 + 20.0)


def test_a_job_that_was_lost_counts_again(inline_run: Run) -> None:
    jobs = [training("A", 10.0), training("B", 10.0)]
    left = left_of(inline_run, *jobs)
    left.started(jobs[0], 0.0)
    left.ended(jobs[0], 10.0, done=True)
    left.started(jobs[1], 10.0)
    left.ended(jobs[1], 15.0, done=False)
    assert left.seconds(15.0) == pytest.approx(10.0)


def test_a_damaged_input_that_is_computed_again_counts_too(inline_run: Run) -> None:
    left = left_of(inline_run, training("A", 10.0))
    left.started(SHARD, 0.0)
    left.started(training("A", 10.0), 0.0)
    left.reached(training("A", 10.0), 0.5, 10.0)
    assert left.seconds(10.0) == pytest.approx(10.0)


def test_what_is_not_counted_has_a_rough_time(inline_run: Run) -> None:
    job = training("A", 10.0)
    blend = Node("blend", "blend", {}, {"members": (job.signature,)}, "b" * 64, cost=30.0)
    left = left_of(inline_run, job, blend)
    left.started(job, 0.0)
    left.ended(job, 10.0, done=True)
    assert left.seconds(10.0) == pytest.approx(5.0)
