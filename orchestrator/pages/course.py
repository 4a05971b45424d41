"""Section: what the run cost, and who ran where and when, from the marks of finished jobs."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from features.words import count
from orchestrator.pages.document import Block, Picture, Section, Table, Words
from orchestrator.pages.pictures import Drawing, Span, timeline
from orchestrator.pages.summary import duration
from orchestrator.run.bound import Run
from orchestrator.store.marks import DoneMark
from orchestrator.store.node import Node

__all__ = ["Job", "course_section", "finished_jobs"]

KINDS = {
    "shard": "features", "train": "training", "predict": "prediction", "pseudo": "soft labels",
    "distill": "labels of a student", "blend": "blend",
}  # fmt: skip
PAUSE_S = 600.0
"""Longer times in which nothing ran are left out of the picture."""
MOST_LANES = 40


@dataclass(frozen=True)
class Job:
    """A finished job."""

    node: Node
    mark: DoneMark

    @property
    def end(self) -> float:
        """Unix time."""
        return self.mark.started + self.mark.seconds

    @property
    def place(self) -> str:
        """Host and device."""
        device = self.mark.device.removeprefix("cuda: ")
        return f"{self.mark.host}, {device}" if device else self.mark.host


def finished_jobs(run: Run) -> list[Job]:
    """The jobs that are done, the first one first."""
    done = [node for node in run.graph.nodes.values() if run.store.state(node).state == "done"]
    jobs = [Job(node, run.store.done(node)) for node in done]
    return sorted((job for job in jobs if job.mark.host), key=lambda job: job.mark.started)


def course_section(jobs: Sequence[Job], total: int) -> Section:
    """The section.

    Args:
        jobs: the finished ones, in order of time.
        total: jobs of the grid.
    """
    if not jobs:
        return Section("Cost and course", [Words("No job is finished yet.", "note")])
    start, end = jobs[0].mark.started, max(job.end for job in jobs)
    work = sum(job.mark.seconds for job in jobs)
    gpu = sum(job.mark.seconds * job.mark.workers for job in jobs if job.mark.device.startswith("cuda"))
    again = [job for job in jobs if job.mark.attempts > 1]
    spans, left_out, hidden = _spans(jobs)
    words = (
        f"{len(jobs):,} of {count(total, 'job')} are done. The first one started {_day(start)}, the last one ended "
        f"{_day(end)}. They worked {duration(work)} together"
        + (f", {duration(gpu)} of it on GPUs" if gpu else "")
        + "; results that another run of the same store had made are counted with the time that they took then."
    )
    blocks: list[Block] = [Words(words), Picture(*_timeline(spans, left_out, hidden)), _by_place(jobs), _by_kind(jobs)]
    if again:
        names = [[job.node.name, str(job.mark.attempts), job.place, duration(job.mark.seconds)] for job in again[:20]]
        title = f"{count(len(again), 'job')} needed more than one attempt"
        blocks.append(Table(["job", "attempts", "finished on", "last attempt"], names, title))
    return Section("Cost and course", blocks)


def _timeline(spans: Sequence[Span], left_out: float, hidden: int) -> tuple[Drawing, str]:
    """The picture, and what it shows."""
    total = max(span.end for span in spans)
    unit, name = (3600.0, "hours") if total > 7200 else (60.0, "minutes") if total > 240 else (1.0, "seconds")
    text = "Who ran where and when: a lane for each place of a machine where a job can run, a colour for each kind."
    if left_out:
        text += f" Pauses in which nothing ran are left out ({duration(left_out)})."
    if hidden:
        text += f" {count(hidden, 'more lane')} not shown."
    return timeline(spans, f"{name} since the first job started", unit), text


def _spans(jobs: Sequence[Job]) -> tuple[list[Span], float, int]:
    """Jobs as spans on lanes without long pauses; the seconds of pauses, and the number of lanes that are left out."""
    free: dict[str, list[float]] = defaultdict(list)
    spans: list[Span] = []
    first, reached, left_out = jobs[0].mark.started, jobs[0].mark.started, 0.0
    for job in jobs:
        if job.mark.started - reached > PAUSE_S:
            left_out += job.mark.started - reached
        reached = max(reached, job.end)
        lanes = free[job.place]
        lane = next((index for index, end in enumerate(lanes) if end <= job.mark.started + 0.05), len(lanes))
        lanes[lane : lane + 1] = [job.end]
        name = job.place if lane == 0 else f"{job.place} ({lane + 1})"
        offset = first + left_out
        spans.append(Span(name, KINDS[job.node.kind], job.mark.started - offset, job.end - offset))
    names = sorted({span.lane for span in spans})
    shown = set(names[:MOST_LANES])
    ordered = sorted((span for span in spans if span.lane in shown), key=lambda span: names.index(span.lane))
    return ordered, left_out, len(names) - len(shown)


def _by_place(jobs: Iterable[Job]) -> Table:
    places: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        places[job.place].append(job)
    rows = [
        [
            place,
            str(len(of)),
            duration(sum(job.mark.seconds for job in of)),
            _day(min(job.mark.started for job in of)),
            _day(max(job.end for job in of)),
            f"{max(job.mark.peak_mb for job in of):,.0f} MB",
        ]
        for place, of in sorted(places.items())
    ]
    return Table(["host, device", "jobs", "work", "first start", "last end", "peak memory"], rows, "who ran where")


def _by_kind(jobs: Iterable[Job]) -> Table:
    kinds: dict[tuple[str, str], list[Job]] = defaultdict(list)
    for job in jobs:
        kinds[KINDS[job.node.kind], job.node.condition or ""].append(job)
    rows = [
        [
            kind,
            condition or "all",
            str(len(of)),
            duration(sum(job.mark.seconds for job in of)),
            duration(sorted(job.mark.seconds for job in of)[len(of) // 2]),
            f"{sum(job.mark.n_bytes for job in of) / 1e6:,.1f} MB",
        ]
        for (kind, condition), of in kinds.items()
    ]
    columns = ["work", "condition", "jobs", "total", "median", "results"]
    return Table(columns, rows, "what it cost", words=2)


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"
