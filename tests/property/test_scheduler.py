"""Laws of the scheduler, on any graph of jobs that fail, are lost, and take any time."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.planning.scheduler import Finished, run_plan
from orchestrator.store.node import Node
from tests.fixtures.fake_executor import FakeExecutor, node, plan


class Watched(FakeExecutor):
    """Checks that a job starts after its inputs are done, and not while it runs already."""

    def __init__(self, cpus: float, broken: set[str], lost: set[str]) -> None:
        super().__init__(cpus, outcome=self.end_of)
        self.broken, self.lost = broken, lost
        self.done: set[str] = set()

    def end_of(self, each: Node, tries: int) -> str:
        if each.name in self.lost and tries == 1:
            return "lost"
        return "failed" if each.name in self.broken else "done"

    def submit(self, each: Node) -> None:
        assert set(each.parents) <= self.done
        assert each.name not in self.done
        assert each.name not in {running.name for _, running, _ in self.running}
        super().submit(each)

    def wait(self, timeout_s: float) -> list[Finished]:
        ended = super().wait(timeout_s)
        self.done |= {end.signature for end in ended if end.outcome == "done"}
        return ended


@st.composite
def graphs(draw: st.DrawFn) -> list[Node]:
    """Nodes in order, each with some of the earlier ones as inputs."""
    names = [f"n{index}" for index in range(draw(st.integers(1, 25)))]
    return [
        node(
            name,
            *(draw(st.lists(st.sampled_from(names[:index]), max_size=3, unique=True)) if index else ()),
            cost=draw(st.integers(1, 9)),
            cpus=draw(st.sampled_from([0.5, 1, 2])),
        )
        for index, name in enumerate(names)
    ]


@given(graphs(), st.data(), st.integers(2, 6))
def test_each_job_ends_once_after_its_inputs(nodes: list[Node], data: st.DataObject, cpus: int) -> None:
    names = [each.name for each in nodes]
    broken, lost, cached = (data.draw(st.sets(st.sampled_from(names))) for _ in range(3))
    # A store never has a result whose inputs it lacks.
    for each in nodes:
        if not set(each.parents) <= cached:
            cached.discard(each.name)
    executor = Watched(cpus, broken, lost)
    executor.done |= cached
    summary = run_plan(plan(*nodes, cached=tuple(cached)), executor, pause_s=0)
    # A job is blocked exactly if one of its ancestors failed.
    failed: set[str] = set()
    blocked: set[str] = set()
    for each in nodes:
        if {*each.parents} & (failed | blocked):
            blocked.add(each.name)
        elif each.name in broken - cached:
            failed.add(each.name)
    assert set(summary.failed) == failed
    assert set(summary.blocked) == blocked
    assert summary.done == len(set(names) - cached - failed - blocked)
    assert executor.done == set(names) - failed - blocked
    assert executor.running == []
