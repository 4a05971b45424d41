"""What happens to the jobs of a run, for programs."""

import pytest

from features.errors import StoreAwayError, StoreError
from orchestrator.run.bound import Run
from orchestrator.run.record import RecordedRun
from orchestrator.store.marks import DoneMark
from orchestrator.views.events import events
from orchestrator.views.status import TRIES, Status, read_status


def test_a_finished_run_is_told_once(inline_run: Run) -> None:
    found = list(events(RecordedRun.open(inline_run.folder), every_s=0.0))
    names = [event["name"] for event in found]
    assert len(names) == len(set(names)) == len(inline_run.graph.nodes)
    assert {event["state"] for event in found} <= {"done", "cached"}
    assert all(event["time"] > 0 for event in found)


def test_a_job_is_told_again_when_it_changes(copy: Run) -> None:
    node = copy.graph.nodes[copy.graph.train["A", 0]]
    path = copy.store.root / copy.store.name(node) / DoneMark.FILE
    mark = path.read_bytes()
    path.unlink()
    told = events(RecordedRun.open(copy.folder), every_s=0.0)
    first = [next(told) for _ in copy.graph.nodes]
    assert node.name in [event["name"] for event in first if event["state"] not in ("done", "cached")]
    path.write_bytes(mark)
    (again,) = told
    assert (again["name"], again["state"]) == (node.name, "done")


def test_a_mark_that_stays_damaged_ends_it(copy: Run) -> None:
    name = copy.store.name(copy.graph.nodes[copy.graph.train["A", 0]])
    (copy.store.root / name / "done.json").write_text("half a ma")
    with pytest.raises(StoreError, match=r"done\.json is damaged"):
        list(events(RecordedRun.open(copy.folder), every_s=0.0))


def test_a_store_that_does_not_answer_is_waited_for(inline_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    away = [StoreAwayError("the store", "no answer")] * (TRIES + 1)

    def answers(run: RecordedRun) -> Status:
        if away:
            raise away.pop()
        return read_status(run)

    monkeypatch.setattr("orchestrator.views.status.read_status", answers)
    assert list(events(RecordedRun.open(inline_run.folder), every_s=0.0))
    assert not away
