"""`sonogrid logs`: the logs of a job's attempts, read from the store only."""

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from features.errors import InputError
from features.words import nearest, printable, short
from orchestrator.run.record import RecordedRun
from orchestrator.store.node import Node
from orchestrator.store.patient import patient

__all__ = ["find_job", "find_log", "follow_log", "log_lines"]

EVERY_S = 0.5

log = logging.getLogger("sonogrid")


def find_job(run: RecordedRun, name: str) -> Node:
    """The node of a name, as `status` shows it.

    Raises:
        InputError: there is none; the sentence names the nearest one.
    """
    if name not in run.nodes:
        near = nearest(name, run.nodes)
        hint = f"did you mean '{near}'? " if near else ""
        raise InputError(
            f"{run.folder} has no job '{short(name)}'; {hint}'sonogrid status {run.folder}' lists all jobs"
        )
    return run.nodes[name]


def find_log(run: RecordedRun, node: Node, attempt: int | None = None) -> Path:
    """The log of an attempt at a node, by default of the latest.

    Raises:
        InputError: there is none.
    """
    run.store.refresh(node)
    newest = run.store.log(node)
    if newest is None:
        raise InputError(f"{node.name} has no log yet: no attempt has started; --follow waits for one")
    path = newest if attempt is None else run.store.log(node, attempt)
    if path is None:
        raise InputError(f"{node.name} has no log of attempt {attempt}; its latest attempt is {newest.stem}")
    return path


def log_lines(path: Path) -> Iterator[str]:
    """The lines of a log, with unprintable characters escaped."""
    with path.open(encoding="utf-8", errors="backslashreplace") as file:
        for line in file:
            yield _shown(line)


def follow_log(run: RecordedRun, node: Node, attempt: int | None = None) -> Iterator[str]:
    """The lines of a log as they are written, until the job is done or failed.

    Unless an attempt is named, later attempts follow. A store that does not answer is waited for.

    Raises:
        InputError: the job is over, and there is no such log.
    """
    run = replace(run, store=patient(run.store, log.warning))
    path, seen = None, 0
    while True:
        over = run.store.state(node).state in ("done", "failed")  # read first, so that the log is complete
        try:
            latest = find_log(run, node, attempt)
        except InputError:
            if over:
                raise
        else:
            if path is not None and path != latest:
                lines, _ = _news(path, seen, to_the_end=True)
                yield from lines
            seen = seen if path == latest else 0
            path = latest
            lines, seen = _news(path, seen, to_the_end=over)
            yield from lines
            if over:
                return
        time.sleep(EVERY_S)


def _news(path: Path, seen: int, *, to_the_end: bool) -> tuple[list[str], int]:
    """Whole lines after the first `seen` bytes, at the end also a part of a line; and the number of bytes seen now."""
    with path.open("rb") as file:
        file.seek(seen)
        text = file.read()
    if not to_the_end:
        text = text[: text.rfind(b"\n") + 1]
    lines = text.decode("utf-8", "backslashreplace").split("\n")
    return [_shown(line) for line in (lines if lines[-1] else lines[:-1])], seen + len(text)


def _shown(line: str) -> str:
    return printable(line.rstrip("\r\n").expandtabs())
