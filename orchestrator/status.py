"""`sonogrid status`: a line a job, from the store alone - from another terminal, after a crash, without Ray."""

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from statistics import median
from textwrap import wrap
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, Group
from rich.live import Live
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from features.errors import StoreError, printable
from orchestrator.collector import uncollected
from orchestrator.graph import Node
from orchestrator.owner import current_owner
from orchestrator.run import Run
from orchestrator.store import FAILED

__all__ = ["JobStatus", "Status", "read_status", "show", "watch"]

FRESH_S = 15.0
"""An owner writes a sign of life every three seconds."""
COLUMNS = ("state", "job", "epoch", "best", "alive", "left", "host", "why")
GAP = 2
"""Spaces between two columns."""
MIN_WORDS = 20
"""Width of the last column on a narrow terminal."""
STYLES = {"running": "cyan", "retrying": "yellow", "failed": "red", "done": "green", "cached": "dim", "waiting": "dim"}


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
def read_status(run: Run) -> Status:
    """Read the store once."""
    run.store.refresh()
    owner = current_owner(run.folder)
    words = None
    if owner is not None:
        age = max(0.0, time.time() - float(owner.get("time", 0)))
        gone = "" if age < FRESH_S else "; it may be dead: launch or resume the run to go on"
        words = f"process {owner.get('pid')} on {owner.get('host')}, last sign of life {_span(age)} ago{gone}"
    launched = (run.folder / "run.json").stat().st_mtime
    return Status([_job(run, node, launched) for node in run.graph.nodes.values()], words)


def _job(run: Run, node: Node, launched: float) -> JobStatus:
    store = run.store
    known = store.state(node)
    facts: dict[str, Any] = {"name": node.name, "kind": node.kind, "cause": known.cause}
    if known.state == "new":
        facts |= _training(run, node, [])
        return JobStatus(state="waiting", **facts)
    if known.state == "done":
        mark = known.mark or store.done(node)
        facts |= _trained(run, node, mark)
        facts |= {"host": mark["host"], "attempt": mark["attempts"], "seconds": mark["seconds"]}
        done = "cached" if mark["started"] < launched else "done"
        return JobStatus(state=done, peak_mb=mark["peak_mb"], **facts)
    facts |= _training(run, node, store.history(node) if node.kind == "train" else [])
    log = store.log(node)
    facts["log"] = str(log) if log else None
    sign = store.alive(node)
    attempt = store.lease(store.name(node)).get("attempt")
    if sign is not None:
        facts |= {"host": sign.get("host"), "age_s": round(max(0.0, time.time() - float(sign.get("time", 0))), 1)}
    if known.state == "failed":
        failure = store.mark(store.name(node), FAILED) or {}
        facts |= {"host": failure.get("host"), "attempt": failure.get("attempt")}
        return JobStatus(state="failed", **facts)
    facts["attempt"] = attempt
    if sign is None or facts["age_s"] > store.alive_s:
        return JobStatus(state="waiting" if sign is None else "stopped", **facts)
    return JobStatus(state="retrying" if attempt and attempt > 1 else "running", **facts)


def _trained(run: Run, node: Node, mark: dict[str, Any]) -> dict[str, Any]:
    """Of a finished training job, from its mark: thousands of histories take seconds to read."""
    if node.kind != "train":
        return {}
    total = _epochs(run, node)
    return {"epoch": total, "epochs": total, "best_lwlrap": mark["result"]["best_lwlrap"], "eta_s": 0.0}


def _epochs(run: Run, node: Node) -> int:
    assert node.condition is not None
    return run.recipe.conditions[node.condition].train.total_epochs


def _training(run: Run, node: Node, history: list[dict[str, Any]]) -> dict[str, Any]:
    if node.kind != "train":
        return {}
    total = _epochs(run, node)
    pace = median(record["seconds"] for record in history) if history else None
    return {
        "epoch": len(history),
        "epochs": total,
        "best_lwlrap": max((record["lwlrap"] for record in history), default=None),
        "eta_s": None if pace is None else round(pace * (total - len(history)), 1),
    }


def show(status: Status) -> Group:
    """The status as a table; shards are counted in a line."""
    rows = [_row(job) for job in status.jobs if job.kind != "shard" or job.state in ("failed", "retrying", "damaged")]
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
    return Group(_Lines(rows), Text(), *(Text(line) for line in lines))


class _Lines:
    """Rows below the names of their columns; a `rich.table.Table` would take seconds for ten thousand of them."""

    def __init__(self, rows: list[tuple[str, ...]]) -> None:
        self.rows = [tuple(map(printable, row)) for row in rows]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        *widths, _ = (max(map(cell_len, column)) for column in zip(COLUMNS, *self.rows, strict=True))
        indent = sum(widths) + GAP * len(widths)
        room = max(MIN_WORDS, options.max_width - indent)
        yield from _line(COLUMNS, widths, console.get_style("bold"))
        yield from (Segment("─" * min(options.max_width, indent + len(COLUMNS[-1]))), Segment.line())
        for *cells, words in self.rows:
            first, *rest = wrap(words, room) if len(words) > room else [words]
            yield from _line((*cells, first), widths, console.get_style(STYLES.get(cells[0], "yellow")), cells=1)
            for more in rest:
                yield from (Segment(" " * indent + more), Segment.line())


def _line(row: tuple[str, ...], widths: list[int], style: Style, cells: int | None = None) -> Iterator[Segment]:
    """A row, its first `cells` in a style."""
    texts = [set_cell_size(cell, width + GAP) for cell, width in zip(row, widths, strict=False)] + [row[-1]]
    yield Segment("".join(texts[:cells]), style)
    if cells is not None:
        yield Segment("".join(texts[cells:]).rstrip())
    yield Segment.line()


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


def watch(run_folder: Run, console: Console, every_s: float = 2.0) -> None:
    """Show the status until all is done or Ctrl-C."""
    with Live(console=console, screen=False, auto_refresh=False) as live:
        while True:
            try:
                status = read_status(run_folder)
            except StoreError:  # a file was renamed under our eyes; the next look has it
                time.sleep(every_s)
                continue
            live.update(show(status), refresh=True)
            if all(job.state in ("done", "cached") for job in status.jobs):
                return
            time.sleep(every_s)
