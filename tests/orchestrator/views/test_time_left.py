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


EPOCHS = 10


def left_of(run: Run, *nodes: Node) -> TimeLeft:
    plan = Plan(run.graph, tuple(PlannedNode(node, "new", "") for node in nodes))
    return TimeLeft(plan, lambda node: EPOCHS, lambda node: "D" if node.condition == "D" else "resnet")


def ends(epochs: int, first: float, others: float) -> list[float]:
    """When epochs ended, on a clock that nobody else has."""
    return [1e6 + first + others * epoch for epoch in range(epochs)]


def test_nothing_is_known_before_a_training_has_done_two_epochs(inline_run: Run) -> None:
    """The first epoch compiles; features say nothing of trainings."""
    job = training("A", 10.0)
    left = left_of(inline_run, SHARD, job)
    assert left.seconds(0.0) is None
    left.started(SHARD, 0.0)
    left.ended(SHARD, 5.0, done=True)
    left.started(job, 5.0)
    left.reached(job, ends(1, 9.0, 2.0), 15.0)
    assert left.seconds(15.0) is None
    left.reached(job, ends(2, 9.0, 2.0), 17.0)
    assert left.seconds(17.0) == pytest.approx(8 * 2.0)


def test_the_start_of_a_training_is_not_taken_for_its_pace(inline_run: Run) -> None:
    """Eight seconds of start, ten epochs of 2 s: the next one takes 28 s, and a tenfold cost takes 8 + 190 + 1 s."""
    small, same, large = training("A", 10.0), training("A", 10.0), training("B", 100.0)
    same = replace(same, signature="a" * 64)
    left = left_of(inline_run, small, same, large)
    left.started(small, 0.0)
    left.reached(small, ends(10, 10.0, 2.0), 28.0)
    left.ended(small, 28.0, done=True)
    left.started(large, 28.0)
    of_large = 8.0 + 10 * (1.9 * 10 + 0.1)
    assert left.seconds(28.0) == pytest.approx(28.0 + of_large)
    assert left.seconds(38.0) == pytest.approx(18.0 + of_large)
    left.reached(large, ends(5, 10.0, 4.0), 54.0)
    of_same = (8.0 + 6.0) / 2 + 10 * 2.0
    assert left.seconds(54.0) == pytest.approx(of_same + 5 * 4.0), "its own pace counts from now on"
    left.reached(large, ends(5, 10.0, 4.0), 56.0)
    assert left.seconds(56.0) == pytest.approx(of_same + 5 * 4.0 - 2.0), "until it has done more"


def test_a_condition_that_has_run_is_expected_as_it_was(inline_run: Run) -> None:
    """Though another one is slower for its cost."""
    jobs = [training("A", 10.0), training("B", 10.0), replace(training("A", 10.0), signature="a" * 64)]
    left = left_of(inline_run, *jobs)
    for job, epoch_s in zip(jobs[:2], (1.0, 5.0), strict=True):
        left.started(job, 0.0)
        left.reached(job, ends(10, epoch_s, epoch_s), 10 * epoch_s)
        left.ended(job, 10 * epoch_s, done=True)
    assert left.seconds(50.0) == pytest.approx(10.0)


def test_another_kind_of_network_is_not_taken_to_be_as_fast(inline_run: Run) -> None:
    """Of a cost a hundred times higher, ten times the seconds are expected until it has done epochs itself."""
    small, large = training("A", 1.0), training("D", 100.0)
    left = left_of(inline_run, small, large)
    left.started(small, 0.0)
    left.reached(small, ends(10, 1.0, 1.0), 10.0)
    left.ended(small, 10.0, done=True)
    assert left.seconds(10.0) == pytest.approx(10 * (10 * 1.0 + 0.1))


def test_a_prediction_takes_a_fixed_time_and_one_for_its_cost(inline_run: Run) -> None:
    job = training("A", 10.0)
    predictions = [
        Node(f"predict-A-{fold}", "predict", {}, {}, f"{fold}" * 64, "A", (fold,), cost=cost, trains=True)
        for fold, cost in enumerate((1.0, 10.0))
    ]
    left = left_of(inline_run, job, *predictions)
    left.started(job, 0.0)
    left.reached(job, ends(10, 1.1, 1.1), 11.0)
    left.ended(job, 11.0, done=True)
    left.started(predictions[0], 11.0)
    left.ended(predictions[0], 15.0, done=True)
    assert left.seconds(15.0) == pytest.approx(3.0 + 10.0), "1 s per cost, and 3 s of the one before"


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
        left.reached(job, ends(5, 2.0, 2.0), 10.0)
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
    job = training("A", 10.0)
    left = left_of(inline_run, job)
    left.started(SHARD, 0.0)
    left.ended(SHARD, 1.0, done=True)
    left.started(SHARD, 0.0)
    left.started(job, 0.0)
    left.reached(job, ends(5, 2.0, 2.0), 10.0)
    assert left.seconds(10.0) == pytest.approx(10.0)


def test_what_is_not_counted_has_a_rough_time(inline_run: Run) -> None:
    job = training("A", 10.0)
    blend = Node("blend", "blend", {}, {"members": (job.signature,)}, "b" * 64, cost=30.0)
    left = left_of(inline_run, job, blend)
    left.started(job, 0.0)
    left.ended(job, 10.0, done=True)
    assert left.seconds(10.0) == pytest.approx(8.0)
