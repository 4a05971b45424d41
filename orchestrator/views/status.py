"""`sonogrid status`: a line a job, from the store alone - from another terminal, after a crash, without Ray."""

import time
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from features.errors import StoreError
from orchestrator.run.owner import current_owner
from orchestrator.run.record import RecordedRun
from orchestrator.store.interfaces import ReaderStore
from orchestrator.store.marks import DoneMark, Failure
from orchestrator.store.node import Node
from orchestrator.store.results import TrainResult
from orchestrator.views.table import Lines
from orchestrator.without_gc import uncollected

__all__ = ["JobStatus", "Status", "read_status", "show", "watch"]

FRESH_S = 15.0
"""An owner writes a sign of life every three seconds."""
COLUMNS = ("state", "job", "epoch", "best", "alive", "left", "host", "why")
STYLES = {
    "running": "cyan", "retrying": "yellow", "stopped": "yellow", "failed": "red", "done": "green",
    "cached": "dim", "waiting": "dim",
}  # fmt: skip


@dataclass(frozen=True)
class JobStatus:
    """What the store says of one node."""

    name: str
    kind: str
    state: str
    """waiting, running, retrying (running, not for the first time), stopped, failed, done, or cached (done before)."""
    cause: str | None = None
    epoch: int | None = None
    epochs: int | None = None
    best_lwlrap: float | None = None
    age_s: float | None = None
    """Since the last sign of life of a job that is not done."""
    eta_s: float | None = None
    """Until the last epoch, at the pace of those so far."""
    host: str | None = None
    attempt: int | None = None
    log: str | None = None
    seconds: float | None = None
    peak_mb: float | None = None


@dataclass(frozen=True)
class Status:
    """All jobs of a run, and who runs it."""

    jobs: list[JobStatus]
    owner: str | None
    """The process that runs it, with the age of its last sign of life; None if nobody does."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON output."""
        return {"owner": self.owner, "jobs": [asdict(job) for job in self.jobs]}


@uncollected
def read_status(run: RecordedRun) -> Status:
    """Read the store once."""
    run.store.refresh()
    owner = current_owner(run.folder)
    words = None
    if owner is not None:
        age = max(0.0, time.time() - owner.time)
        gone = "" if age < FRESH_S else "; it may be dead: launch or resume the run to go on"
        words = f"{owner}, last sign of life {_span(age)} ago{gone}"
    launched = (run.folder / "run.json").stat().st_mtime
    return Status([_job(run.store, node, launched) for node in run.nodes.values()], words)


def _job(store: ReaderStore, node: Node, launched: float) -> JobStatus:
    known = store.state(node)
    facts: dict[str, Any] = {"name": node.name, "kind": node.kind, "cause": known.cause}
    if known.state == "new":
        facts |= _training(node, [])
        return JobStatus(state="waiting", **facts)
    if known.state == "done":
        mark = known.mark or store.done(node)
        facts |= _trained(node, mark)
        facts |= {"host": mark.host, "attempt": mark.attempts, "seconds": mark.seconds}
        done = "cached" if mark.started < launched else "done"
        return JobStatus(state=done, peak_mb=mark.peak_mb, **facts)
    facts |= _training(node, store.history(node) if node.kind == "train" else [])
    log = store.log(node)
    facts["log"] = str(log) if log else None
    sign = store.alive(node)
    lease = store.lease(store.name(node))
    attempt = None if lease is None else lease.attempt
    if sign is not None:
        facts |= {"host": sign.host, "age_s": round(max(0.0, time.time() - sign.time), 1)}
    if known.state == "failed":
        failure = store.read_mark(store.name(node), Failure) or Failure()
        facts |= {"host": failure.host, "attempt": failure.attempt}
        return JobStatus(state="failed", **facts)
    facts["attempt"] = attempt
    if sign is None or facts["age_s"] > store.alive_s:
        return JobStatus(state="waiting" if sign is None else "stopped", **facts)
    return JobStatus(state="retrying" if attempt and attempt > 1 else "running", **facts)


def _trained(node: Node, mark: DoneMark) -> dict[str, Any]:
    """Of a finished training job, from its mark: thousands of histories take seconds to read."""
    if node.kind != "train":
        return {}
    total = _epochs(node)
    return {"epoch": total, "epochs": total, "best_lwlrap": TrainResult.of(mark).best_lwlrap, "eta_s": 0.0}


def _epochs(node: Node) -> int:
    """`TrainSettings.total_epochs`, which would come with torch."""
    return int(node.payload["train"]["cycles"] * node.payload["train"]["epochs"])


def _training(node: Node, history: list[dict[str, Any]]) -> dict[str, Any]:
    if node.kind != "train":
        return {}
    total = _epochs(node)
    pace = median(record["seconds"] for record in history) if history else None
    return {
        "epoch": len(history),
        "epochs": total,
        "best_lwlrap": max((record["lwlrap"] for record in history), default=None),
        "eta_s": None if pace is None else round(pace * (total - len(history)), 1),
    }


def show(status: Status) -> Group:
    """The status as a table; shards are counted in a line."""
    rows = [_row(job) for job in status.jobs if job.kind != "shard" or job.state in ("failed", "retrying")]
    counts: dict[str, int] = {}
    for job in status.jobs:
        if job.kind != "shard":
            counts[job.state] = counts.get(job.state, 0) + 1
    shards = [job.state in ("done", "cached") for job in status.jobs if job.kind == "shard"]
    lines = [
        f"features: {sum(shards)} of {len(shards)} shards done",
        "jobs: " + ", ".join(f"{count} {state}" for state, count in counts.items()),
        f"run by {status.owner}" if status.owner else "nobody runs it now",
    ]
    return Group(Lines(COLUMNS, rows, styles=STYLES), Text(), *(Text(line) for line in lines))


def _row(job: JobStatus) -> tuple[str, ...]:
    over = job.state in ("done", "cached")
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
        f"{_span(job.age_s)} ago" if job.age_s is not None and not over else "",
        _span(job.eta_s) if job.eta_s is not None and job.state in ("running", "retrying") else "",
        job.host or "",
        why,
    )


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def watch(run: RecordedRun, console: Console, every_s: float = 2.0) -> None:
    """Show the status until all is done or Ctrl-C."""
    with Live(console=console, screen=False, auto_refresh=False) as live:
        while True:
            try:
                status = read_status(run)
            except StoreError:  # a file was renamed under our eyes; the next look has it
                time.sleep(every_s)
                continue
            live.update(show(status), refresh=True)
            if all(job.state in ("done", "cached") for job in status.jobs):
                return
            time.sleep(every_s)
