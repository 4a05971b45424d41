"""Who ran where and when."""

from dataclasses import replace

import pytest

from orchestrator.pages import course
from orchestrator.pages.course import Job, course_section, finished_jobs
from orchestrator.pages.document import Table, Words
from orchestrator.pages.pictures import Span
from orchestrator.run.bound import Run
from orchestrator.store.marks import DoneMark
from orchestrator.store.node import Node


def job(name: str, start: float, seconds: float, host: str = "one", device: str = "cpu", **more: int) -> Job:
    mark = DoneMark(name, host=host, started=1e9 + start, seconds=seconds, device=device, peak_mb=100.0, **more)
    return Job(Node(name, "train", {}, {}, name, condition="A"), mark)


def drawn(monkeypatch: pytest.MonkeyPatch, jobs: list[Job]) -> list[Span]:
    found: list[Span] = []
    monkeypatch.setattr(course, "timeline", lambda spans, *_: found.extend(spans) or "<svg/>")
    course_section(jobs, len(jobs))
    return found


def test_jobs_that_overlap_have_lanes_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    spans = drawn(monkeypatch, [job("a", 0, 10), job("b", 5, 10), job("c", 10, 5), job("d", 11, 5, "two")])
    assert {span.lane for span in spans} == {"one, cpu", "one, cpu (2)", "two, cpu"}
    assert [(s.start, s.end) for s in spans if s.lane == "one, cpu"] == [(0, 10), (10, 15)]


def test_long_pauses_are_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [job("a", 0, 10), job("b", 100_010, 10)]
    assert [(span.start, span.end) for span in drawn(monkeypatch, jobs)] == [(0, 10), (10, 20)]
    monkeypatch.undo()
    assert "Pauses in which nothing ran are left out (27.8 h)" in str(course_section(jobs, 3).blocks)


def test_work_is_counted_by_place_and_kind() -> None:
    section = course_section([job("a", 0, 90), job("b", 5, 30, "two", "cuda: H200", attempts=2, workers=2)], 3)
    first = section.blocks[0]
    assert isinstance(first, Words)
    assert first.text.startswith("2 of 3 jobs are done. The first one started 2001-09-09 01:46 UTC")
    assert "60 s of it on GPUs" in first.text
    places, kinds, again = [block for block in section.blocks if isinstance(block, Table)]
    assert [row[:3] for row in places.rows] == [["one, cpu", "1", "90 s"], ["two, H200", "1", "30 s"]]
    assert list(kinds.rows[0])[:4] == ["training", "A", "2", "2 min"]
    assert list(again.rows[0])[:3] == ["b", "2", "two, H200"]


def test_jobs_of_a_real_run_are_all_there(inline_run: Run) -> None:
    jobs = finished_jobs(inline_run)
    assert len(jobs) == len(inline_run.graph.nodes)
    assert [job.mark.started for job in jobs] == sorted(job.mark.started for job in jobs)
    assert replace(jobs[0].mark, device="").device == ""
    assert "No job is finished yet" in str(course_section([], 3).blocks)
