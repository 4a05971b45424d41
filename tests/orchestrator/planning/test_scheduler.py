"""The scheduler with a fake executor; the real ones are in test_inline_run.py and test_ray.py."""

import time
from dataclasses import replace

import pytest

from orchestrator.planning.scheduler import Events, Finished, Needs, Standing, remaining_path, run_plan
from orchestrator.store.node import Node
from tests.fixtures.fake_executor import FakeExecutor, node, plan


class Clock:
    """The scheduler's `time`, in which nothing but its pauses takes any."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("orchestrator.planning.scheduler.time", clock)
    return clock


def test_parents_run_before_children_and_cached_nodes_do_not_run() -> None:
    executor = FakeExecutor()
    summary = run_plan(plan(node("a"), node("b"), node("c", "a", "b"), node("d", "c"), cached=("a",)), executor)
    assert executor.started == ["b", "c", "d"]
    assert summary.done == 3
    assert not summary.failed


def test_a_cached_node_costs_nothing() -> None:
    nodes = plan(node("a", cost=5.0), node("b", "a", cost=2.0), node("c", "b", cost=5.0), cached=("a", "c"))
    assert remaining_path(nodes) == {"a": 2.0, "b": 2.0, "c": 0.0}


def test_needs_and_outcomes_say_little_by_default() -> None:
    assert str(Needs(2.0)) == "2 CPUs and 0 GPUs"
    assert str(Needs(2.0, 1.0, 3, "H200")) == "2 CPUs and 1 GPUs of type H200 for each of 3 workers"
    assert Finished("a", "done") == Finished("a", "done", "", 0, ())


def test_what_happens_is_told(clock: Clock) -> None:
    told: list[object] = []

    class Told(Events):
        def on_start(self, node: Node) -> None:
            told.append(("start", node.name))

        def on_finish(self, node: Node, finished: Finished) -> None:
            told.append((node.name, finished.outcome))

        def on_tick(self) -> None:
            told.append("tick")

    executor = FakeExecutor(outcome=lambda n, tries: "failed" if n.name == "b" else "done")
    summary = run_plan(plan(node("z"), node("a", "z"), node("b", "a"), node("c", "b"), cached=("z",)), executor, Told())
    assert told == [("start", "a"), ("a", "done"), "tick", ("start", "b"), ("b", "failed"), "tick"]
    assert [name for name, _, _ in summary.timeline] == ["a", "b"]
    assert executor.standings == [
        Standing(cached=1, running=1, done=0, failed=0, blocked=0, waiting=2, ready={}),
        Standing(cached=1, running=1, done=1, failed=0, blocked=0, waiting=1, ready={}),
        Standing(cached=1, running=0, done=1, failed=1, blocked=1, waiting=0, ready={}),
    ]


def test_a_job_that_was_stopped_ends_the_run() -> None:
    executor = FakeExecutor(cpus=1, outcome=lambda n, tries: "stopped" if n.name == "a" else "done")
    summary = run_plan(plan(node("a", cost=2.0), node("b")), executor)
    assert summary.stopped
    assert (summary.done, summary.failed, summary.blocked) == (0, {}, [])
    assert executor.started == ["a"]


@pytest.mark.parametrize(
    ("outcome", "starts"),
    [("lost", [0, 1, 3, 7, 15, 31, 63, 123, 183]), ("busy", [*range(0, 45, 5)]), ("preempted", [0] * 9)],
)
def test_pauses_before_the_next_attempt(outcome: str, starts: list[int], clock: Clock) -> None:
    started: list[float] = []

    class Timed(FakeExecutor):
        def submit(self, node: Node) -> None:
            super().submit(node)
            started.append(clock.now)

    executor = Timed(outcome=lambda n, tries: "done" if tries == 9 else outcome)
    assert run_plan(plan(node("a")), executor, retries=8, pause_s=1.0, tick_s=0.5).done == 1
    assert started == starts
    assert max(clock.slept, default=0.5) == 0.5, "a tick at most"


def test_a_job_that_names_no_damaged_input_is_tried_again() -> None:
    executor = FakeExecutor(outcome=lambda n, tries: "damaged" if tries == 1 else "done")
    assert run_plan(plan(node("a")), executor, pause_s=9).done == 1
    assert executor.started == ["a", "a"]


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
    assert run_plan(plan(node("a")), executor, retries=2, pause_s=0).done == 1
    executor = FakeExecutor(outcome=lambda n, tries: "lost")
    summary = run_plan(plan(node("a"), node("b", "a")), executor, retries=2, pause_s=0)
    assert summary.failed == {"a": "a broke (gave up after 3 attempts without progress)"}
    assert summary.blocked == ["b"]
    assert executor.started.count("a") == 3


def test_a_job_that_gets_further_each_time_is_not_given_up() -> None:
    executor = FakeExecutor(
        outcome=lambda n, tries: "done" if tries == 9 else "lost", reached=lambda n, tries: 10 * (tries // 2)
    )
    assert run_plan(plan(node("a")), executor, retries=2, pause_s=0).done == 1
    assert executor.started.count("a") == 9


def test_attempts_pause_longer_each_time_and_other_jobs_go_on() -> None:
    executor = FakeExecutor(cpus=1, outcome=lambda n, tries: "lost" if n.name == "a" and tries < 3 else "done")
    began = time.monotonic()
    assert run_plan(plan(node("a", cost=9), node("b"), node("c")), executor, pause_s=0.1).done == 3
    assert executor.started == ["a", "b", "c", "a", "a"]
    assert time.monotonic() - began >= 0.1 + 0.2


def test_a_preempted_job_is_tried_again_at_once_and_without_limit() -> None:
    executor = FakeExecutor(outcome=lambda n, tries: "preempted" if tries < 30 else "done")
    began = time.monotonic()
    pause_s = 60.0
    assert run_plan(plan(node("a")), executor, retries=0, pause_s=pause_s).done == 1
    assert time.monotonic() - began < pause_s


def test_a_job_without_memory_gets_more_room_while_there_is_some() -> None:
    executor = FakeExecutor(outcome=lambda n, tries: "memory" if tries < 3 else "done", room=2)
    assert run_plan(plan(node("a")), executor, pause_s=0).done == 1
    executor = FakeExecutor(outcome=lambda n, tries: "memory", room=1)
    summary = run_plan(plan(node("a")), executor, pause_s=0)
    assert summary.failed == {"a": "a broke (it already had all the memory there is)"}
    assert executor.started.count("a") == 2


def test_a_damaged_input_is_computed_again_and_nothing_else() -> None:
    for cached in (("a", "b"), ("a",)):  # done long ago, or in this run
        executor = FakeExecutor(
            cpus=1, outcome=lambda n, tries: "damaged" if n.name == "c" and tries == 1 else "done", damaged=("b",)
        )
        nodes = plan(node("a"), node("b", "a"), node("c", "a", "b"), node("d", "b"), node("e", "c"), cached=cached)
        summary = run_plan(nodes, executor, pause_s=0)
        assert not summary.failed
        assert executor.started.count("b") == 1 + ("b" not in cached)
        assert executor.started.index("c") < len(executor.started) - 1 - executor.started[::-1].index("b")
        assert executor.started.count("c") == 2
        assert executor.started.count("a") == 0
        assert executor.started.count("d") == executor.started.count("e") == 1
    executor = FakeExecutor(outcome=lambda n, tries: "damaged" if n.name == "c" else "done", damaged=("b",))
    summary = run_plan(plan(node("b"), node("c", "b")), executor, retries=2, pause_s=0)
    assert "gave up after" in summary.failed["c"], "a disk that damages what is written is not waited for for ever"


def test_a_job_that_never_fits_is_an_error_not_a_hang() -> None:
    summary = run_plan(plan(node("a", trains=True), node("b", "a"), node("c")), FakeExecutor(gpus=0))
    assert summary.done == 1
    assert "more than the cluster has" in summary.failed["a"]
    assert summary.blocked == ["b"]


def test_a_job_that_fits_nowhere_yet_is_waited_for_while_the_cluster_may_grow() -> None:
    class Grows(FakeExecutor):
        def hold(self, standing: Standing) -> bool:
            super().hold(standing)
            if len(self.standings) == 3:  # a machine joins
                self.free = Needs(self.free.cpus, 1)
            return True

    executor = Grows(gpus=0)
    assert run_plan(plan(node("a", trains=True), node("b", "a")), executor, tick_s=0.01).done == 2
    assert executor.standings[0] == Standing(
        cached=0, running=0, done=0, failed=0, blocked=0, waiting=1, ready={Needs(1, 1): 1}
    )
    assert executor.standings[-1] == Standing(cached=0, running=0, done=2, failed=0, blocked=0, waiting=0, ready={})


def test_jobs_that_wait_when_the_first_gpu_joins_take_it() -> None:
    """What a job needs is asked again when it starts: machines with GPUs may join a cluster later."""

    class Joined(FakeExecutor):
        joined = False
        taken: dict[str, Needs]

        def needs(self, node: Node) -> Needs:
            return Needs(1, 1.0) if self.joined and node.trains else Needs(1)

        def submit(self, node: Node) -> None:
            self.taken = {**getattr(self, "taken", {}), node.name: self.needs(node)}
            super().submit(node)
            if len(self.taken) == 1:
                self.joined, self.free = True, Needs(self.free.cpus, 1)

    executor = Joined(cpus=1, gpus=0)
    assert run_plan(plan(*(node(f"n{i}", trains=True) for i in range(3))), executor, tick_s=0.01).done == 3
    assert list(executor.taken.values()) == [Needs(1), Needs(1, 1.0), Needs(1, 1.0)]


def test_stopping_submits_nothing_more_and_waits_for_what_runs() -> None:
    executor = FakeExecutor(cpus=1)

    class StopAfterTwo(Events):
        def should_stop(self) -> bool:
            return len(executor.started) >= 2

    summary = run_plan(plan(*(node(f"n{i}") for i in range(5))), executor, StopAfterTwo())
    assert summary.stopped
    assert summary.done == len(executor.started) == 2


def test_siblings_wait_until_a_damaged_input_is_repaired() -> None:
    """While the input is computed again, a sibling that started would find no input and fail for good."""

    class Reads(FakeExecutor):
        """A job reads its input when it starts."""

        whole, found_none = True, ()

        def submit(self, node: Node) -> None:
            super().submit(node)
            if node.name != "a" and not self.whole:
                self.found_none = (*self.found_none, node.name)

    for cached in (("a",), ()):
        executor = Reads(cpus=3)

        def outcome(n: Node, tries: int, executor: Reads = executor) -> str:
            if n.name == "a":
                executor.whole = True
            elif n.name in ("b0", "b1") and tries == 1:  # both read the damaged input
                executor.whole = False
                return "damaged"
            return "done"

        executor.outcome = outcome
        executor.damaged = ("a",)
        children = [node(f"b{i}", "a", cost=10.0 - i) for i in range(6)]
        nodes = plan(node("a", cost=30.0), *children, node("c", "b5"), cached=cached)
        summary = run_plan(nodes, executor, pause_s=0)
        assert executor.found_none == ()
        assert summary.failed == {}
        assert summary.done == 8
        assert executor.started.count("a") == 1 + (not cached)


def test_a_node_that_was_lost_while_its_input_is_repaired_waits_for_it() -> None:
    ended = []

    def outcome(n: Node, tries: int) -> str:
        ended.append(n.name)
        if tries > 1 or n.name == "a":
            return "done"
        return "damaged" if n.name == "b0" else "lost"

    executor = FakeExecutor(cpus=2, outcome=outcome, damaged=("a",))
    nodes = plan(node("a", cost=5.0), node("b0", "a"), node("b1", "a", cost=2.0), cached=("a",))
    assert run_plan(nodes, executor, pause_s=0).done == 3
    assert ended[:3] == ["b0", "b1", "a"]


def test_a_child_that_reports_damage_after_its_input_has_failed_is_blocked() -> None:
    """It is neither forgotten nor run again: every node is done, failed or blocked."""

    def outcome(n: Node, tries: int) -> str:
        if n.name == "a":
            return "failed"
        return "damaged" if n.name.startswith("b") else "done"

    executor = FakeExecutor(cpus=2, outcome=outcome, damaged=("a",))
    slow = node("b1", "a", cost=20.0)
    summary = run_plan(plan(node("a"), node("b0", "a"), slow, node("c", "b1"), cached=("a",)), executor, pause_s=0)
    assert summary.failed == {"a": "a broke"}
    assert sorted(summary.blocked) == ["b0", "b1", "c"]
    assert summary.done == 0


def test_a_damaged_input_of_a_damaged_input_is_repaired_first() -> None:
    class Executor(FakeExecutor):
        def wait(self, timeout_s: float) -> list[Finished]:
            found = super().wait(timeout_s)
            parents = {"c": ("b",), "b": ("a",)}
            return [replace(f, damaged=parents[f.signature]) if f.outcome == "damaged" else f for f in found]

    executor = Executor(outcome=lambda n, tries: "damaged" if n.name in "bc" and tries == 1 else "done")
    nodes = plan(node("a"), node("b", "a"), node("c", "b"), node("d", "a"), cached=("a", "b"))
    summary = run_plan(nodes, executor, pause_s=0)
    assert not summary.failed
    assert summary.done == 4
    assert executor.started[-1] == "c"
    assert executor.started.count("b") == 2
