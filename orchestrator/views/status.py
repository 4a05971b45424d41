"""`sonogrid status`: one line per job, read from the store only.

It works from another terminal, after a crash, and without Ray.

A job's state follows from what the store knows and from the last sign of life. The same job in other vocabularies:

    store    sign of life   here                   plan (`Action`)  MLflow (`JobState` in tracking)
    -------  -------------  ---------------------  ---------------  -------------------------------
    new      -              waiting                new, changed     no run
    partial  fresh          running, retrying (1)  continue         running
    partial  old            stopped                continue         killed
    partial  none           waiting                continue         killed
    failed   -              failed                 retry            failed
    damaged  old            stopped                repair           killed
    done     -              done, cached (2)       cached, force    done

(1) retrying: running, but not the first attempt. (2) cached: done before the last launch.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any, Literal

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from features.errors import StoreAwayError, StoreError
from orchestrator.run.owner import current_owner
from orchestrator.run.record import RecordedRun
from orchestrator.store.interfaces import ReaderStore, State
from orchestrator.store.marks import DoneMark, Failure
from orchestrator.store.node import Kind, Node, split_name
from orchestrator.store.patient import span
from orchestrator.store.results import TrainResult
from orchestrator.views.cells import Cell, Cells, CellState
from orchestrator.views.table import Lines
from orchestrator.without_gc import uncollected

__all__ = ["JobState", "JobStatus", "Status", "read_status", "show", "watch"]

FRESH_S = 15.0
"""Age of a sign of life above which an owner may be dead; it writes one every three seconds."""
TRIES = 3
"""How often a status that can't be read is read before that is an error."""
COLUMNS = ("state", "job", "epoch", "best", "took", "alive", "left", "host", "why")
STYLES = {
    "running": "cyan", "retrying": "yellow", "stopped": "yellow", "failed": "red", "done": "green",
    "cached": "dim", "waiting": "dim",
}  # fmt: skip


JobState = Literal["waiting", "running", "retrying", "stopped", "failed", "done", "cached"]
CELLS: dict[JobState, CellState] = {
    "waiting": "waiting", "running": "running", "retrying": "running", "stopped": "waiting", "failed": "failed",
    "done": "done", "cached": "done",
}  # fmt: skip


@dataclass(frozen=True)
class JobStatus:
    """The state of one job, as the store shows it."""

    name: str
    kind: Kind
    state: JobState
    cause: str | None = None
    epoch: int | None = None
    epochs: int | None = None
    best_lwlrap: float | None = None
    age_s: float | None = None
    """Time since the last sign of life of a job that is not done."""
    eta_s: float | None = None
    """Time to the last epoch, at the median pace so far."""
    host: str | None = None
    attempt: int | None = None
    log: str | None = None
    seconds: float | None = None
    peak_mb: float | None = None
    condition: str | None = None
    """Of a training of one fold."""
    fold: int | None = None

    @property
    def is_done(self) -> bool:
        """Whether the result exists."""
        return self.state in ("done", "cached")


@dataclass(frozen=True)
class Status:
    """All jobs of a run."""

    jobs: list[JobStatus]
    owner: str | None
    """The process that runs them, with the age of its last sign of life; None if there is none."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"owner": self.owner, "jobs": [asdict(job) for job in self.jobs]}


@uncollected
def read_status(run: RecordedRun) -> Status:
    """Read the status of a run from its store.

    Raises:
        StoreError: a mark is damaged.
    """
    run.store.refresh()
    launched = (run.folder / "run.json").stat().st_mtime
    jobs = [_placed(_job(run.store, node, launched), node) for node in run.nodes.values()]
    return Status(jobs, _owner(run))


def _owner(run: RecordedRun) -> str | None:
    owner = current_owner(run.folder)
    if owner is None:
        return None
    age = max(0.0, time.time() - owner.time)
    warning = "" if age < FRESH_S else "; it may be dead: launch or resume the run to continue"
    return f"{owner}, last sign of life {_span(age)} ago{warning}"


def _job(store: ReaderStore, node: Node, launched: float) -> JobStatus:
    known = store.state(node)
    if known.state == "new":
        return _with_progress(JobStatus(node.name, node.kind, "waiting", known.cause), node, [])
    if known.state == "done":
        return _done(node, known.mark or store.done(node), launched)
    return _unfinished(store, node, known)


def _done(node: Node, mark: DoneMark, launched: float) -> JobStatus:
    """The status of a finished job, from its done-mark alone: reading thousands of histories takes seconds."""
    status = JobStatus(
        node.name, node.kind, "cached" if mark.started < launched else "done",
        host=mark.host, attempt=mark.attempts, seconds=mark.seconds, peak_mb=mark.peak_mb,
    )  # fmt: skip
    if node.kind != "train":
        return status
    total = _epochs(node)
    best = TrainResult.of(mark).best_lwlrap
    return replace(status, epoch=total, epochs=total, best_lwlrap=best, eta_s=0.0)


def _unfinished(store: ReaderStore, node: Node, known: State) -> JobStatus:
    """The status of a job that has begun, whether it runs, was stopped or has failed."""
    log, sign, claim = store.log(node), store.alive(node), store.latest_claim(store.name(node))
    age_s = None if sign is None else round(max(0.0, time.time() - sign.time), 1)
    status = JobStatus(
        node.name, node.kind, "waiting", known.cause,
        age_s=age_s, host=None if sign is None else sign.host, log=str(log) if log else None,
    )  # fmt: skip
    status = _with_progress(status, node, store.history(node) if node.kind == "train" else [])
    if known.state == "failed":
        failure = store.failure(store.name(node)) or Failure()
        return replace(status, state="failed", host=failure.host, attempt=failure.attempt)
    attempt = None if claim is None else claim.attempt
    state: JobState = "waiting"
    if age_s is not None and age_s > store.alive_s:
        state = "stopped"
    elif age_s is not None:
        state = "retrying" if claim is not None and claim.tries > 1 else "running"
    return replace(status, state=state, attempt=attempt)


def _with_progress(status: JobStatus, node: Node, history: list[dict[str, Any]]) -> JobStatus:
    """Adds the epochs of a training job."""
    if node.kind != "train":
        return status
    total = _epochs(node)
    pace = median(record["seconds"] for record in history) if history else None
    return replace(
        status,
        epoch=len(history),
        epochs=total,
        best_lwlrap=max((record["lwlrap"] for record in history), default=None),
        eta_s=None if pace is None else round(pace * (total - len(history)), 1),
    )


def _placed(status: JobStatus, node: Node) -> JobStatus:
    """Adds condition and fold of a training; not of one that only makes labels for another."""
    held_out = node.payload.get("held_out", ())
    if node.kind != "train" or len(held_out) != 1:
        return status
    condition = node.name.removeprefix("train-").removesuffix(f"-{split_name(held_out)}")
    return status if "." in condition else replace(status, condition=condition, fold=int(held_out[0]))


def _epochs(node: Node) -> int:
    """Like `TrainSettings.total_epochs`, without importing torch."""
    return int(node.payload["train"]["cycles"] * node.payload["train"]["epochs"])


def show(status: Status) -> Group:
    """The status as a table, with one line that counts the shards."""
    rows = [_row(job) for job in status.jobs if job.kind != "shard" or job.state in ("failed", "retrying")]
    return Group(_table(rows), Text(), *map(Text, _sums(status)))


def picture(status: Status, height: int) -> Group:
    """The status on one screen: a cell per condition and fold, the jobs that run or failed, and sums.

    Args:
        status: of all jobs.
        height: lines of the terminal.
    """
    cells: dict[str, dict[int, Cell]] = {}
    for job in status.jobs:
        if job.condition is not None and job.fold is not None:
            score = () if job.best_lwlrap is None else (job.best_lwlrap,)
            cells.setdefault(job.condition, {})[job.fold] = Cell(CELLS[job.state], job.epochs or 0, score, job.epoch)
    rows = [_row(job) for job in status.jobs if job.state in ("running", "retrying", "stopped", "failed")]
    sums = _sums(status)
    room = max(2, height - len(sums) - 6)
    parts: list[RenderableType] = [Cells(cells, room - min(len(rows), room // 2)), Text()] if cells else []
    if rows:
        parts += [_table(rows[: room // 2]), Text()]
    return Group(*parts, *map(Text, sums))


def _sums(status: Status) -> list[str]:
    """How many jobs are in which state, and who runs them."""
    counts: dict[str, int] = {}
    for job in status.jobs:
        if job.kind != "shard":
            counts[job.state] = counts.get(job.state, 0) + 1
    shards = [job.is_done for job in status.jobs if job.kind == "shard"]
    return [
        f"features: {sum(shards)} of {len(shards)} shards done",
        "jobs: " + ", ".join(f"{count} {state}" for state, count in counts.items()),
        f"run by {status.owner}" if status.owner else "not running",
    ]


def _table(rows: Sequence[Sequence[str]]) -> Lines:
    """Rows without the columns that are empty in all of them."""
    shown = [n for n, name in enumerate(COLUMNS) if name in ("state", "job") or any(row[n] for row in rows)]
    return Lines([COLUMNS[n] for n in shown], [[row[n] for n in shown] for row in rows], styles=STYLES)


def _row(job: JobStatus) -> tuple[str, ...]:
    why = job.cause or ""
    if job.log and job.state == "failed":
        why += f" (log: {job.log})"
    if job.state == "retrying":
        why = f"attempt {job.attempt}"
    return (
        job.state,
        job.name,
        f"{job.epoch}/{job.epochs}" if job.epochs else "",
        f"{job.best_lwlrap:.3f}" if job.best_lwlrap is not None else "",
        _span(job.seconds) if job.seconds is not None else "",
        f"{_span(job.age_s)} ago" if job.age_s is not None and not job.is_done else "",
        _span(job.eta_s) if job.eta_s is not None and job.state in ("running", "retrying") else "",
        job.host or "",
        why,
    )


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def looks(run: RecordedRun, every_s: float = 2.0) -> Iterator[Status | StoreAwayError]:
    """The status, again and again until all jobs are done; in its place the error while the store does not answer.

    Args:
        run: the run.
        every_s: seconds from one look at the store to the next.

    Raises:
        StoreError: a mark stays damaged.
    """
    failures = 0
    while True:
        try:
            status = read_status(run)
        except StoreAwayError as error:
            yield error
        except StoreError:  # a file may have been renamed while it was read; try again
            failures += 1
            if failures == TRIES:
                raise
        else:
            failures = 0
            yield status
            if all(job.is_done for job in status.jobs):
                return
        time.sleep(every_s)


def watch(run: RecordedRun, console: Console, every_s: float = 2.0) -> None:
    """Show the status until all jobs are done or Ctrl-C, or that the store does not answer.

    Raises:
        StoreError: a mark stays damaged.
    """
    answered = time.monotonic()
    try:
        with Live(console=console, screen=False, auto_refresh=False) as live:
            for found in looks(run, every_s):
                if isinstance(found, StoreAwayError):
                    away = span(time.monotonic() - answered)
                    live.update(Text(f"the store does not answer since {away}: {found.why}; waiting"), refresh=True)
                    continue
                answered = time.monotonic()
                live.update(picture(found, console.height) if console.is_terminal else show(found), refresh=True)
    finally:
        if not console.is_terminal:
            console.print()  # Live prints the last table without the end of its last line
