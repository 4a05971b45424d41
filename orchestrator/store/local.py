"""The store: a folder of finished and unfinished nodes, the only truth about a grid.

A node's folder is `<name>-<first 12 digits of its signature>`:

    done.json        written last: without it a node is not done; names every result with its checksum
    attempt.json     which attempt may write, and whose it is; gone when the node is done
    attempt-<n>/     what attempt n has so far: checkpoints, history, half of the results, `alive.json`
    failed.json      the cause of the last failure
    damaged.json     a result was found not to be what done.json says; the node is computed again
    stop.json        asks the attempt to stop: at the end of its epoch, or now
    logs/<n>.log     what attempt n had to say

A worker that was cut off and comes back finds another attempt in `attempt.json` and writes nothing more.

This is the store in a local folder or on a network file system, where an attempt works in its place. The one in an
object store is `orchestrator.remote_store`, which has the same form and overrides what has to do with files.
"""

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from features.errors import DamagedInputError, StoreError
from features.files import link, read_json, sha256_file, write_json
from orchestrator.store.marks import (
    Damage,
    DoneMark,
    Failure,
    Lease,
    Mark,
    ResultFile,
    SignOfLife,
    StopRequest,
)
from orchestrator.store.node import Node
from trainers.history import latest_history
from trainers.supervisor import Stop

__all__ = ["State", "Store"]

PREFIX = 12

M = TypeVar("M", bound=Mark)


@dataclass(frozen=True)
class State:
    """What the store knows of a node."""

    state: Literal["new", "partial", "failed", "damaged", "done"]
    cause: str | None = None
    mark: DoneMark | None = None
    """The done-mark of a finished node, if it had to be read."""


class Store:
    """Nodes under one root. Methods take a node, or in a worker the name of its folder."""

    beat_s = 2.0
    """Between two signs of life of an attempt."""
    alive_s = 15.0
    """A sign of life that is older is one of a dead process."""

    def __init__(self, root: Path, *, listed: bool = True) -> None:
        self.root = root.resolve()
        self._names: dict[str, str] = {}
        if listed:
            self.refresh()

    @property
    def url(self) -> str:
        """What `orchestrator.stores.open_store` takes."""
        return str(self.root)

    # --- where things are

    def refresh(self, node: Node | None = None) -> None:
        """Read the list of folders anew, or look whether one has come."""
        if node is not None:
            name = self.name(node)
            if (self.root / name).is_dir():
                self._names[node.signature[:PREFIX]] = name
        elif self.root.is_dir():
            self._names = {entry.name[-PREFIX:]: entry.name for entry in os.scandir(self.root) if entry.is_dir()}

    def name(self, node: Node) -> str:
        """Name of the node's folder, whatever name it was made under; made or not."""
        return self.name_of(node.signature, node.name)

    def name_of(self, signature: str, name: str = "") -> str:
        """Name of the folder of a node with this signature."""
        key = signature[:PREFIX]
        return self._names.get(key, f"{name}-{key}")

    def folder(self, node: Node) -> Path:
        """The node's folder."""
        return self.root / self.name(node)

    def where(self, node: Node) -> str:
        """The node's place in words."""
        return str(self.folder(node))

    # --- marks

    def read_mark(self, name: str, mark: type[M]) -> M | None:
        """The mark of a class in a node's folder; None if it isn't there.

        Raises:
            StoreError: it is damaged.
        """
        path = self.root / name / mark.FILE
        if not os.path.exists(path):  # noqa: PTH110 - a third of the time, and asked tens of thousands of times
            return None
        return mark.from_json(read_json(path), str(path))

    def write_mark(self, name: str, mark: Mark) -> None:
        """Write a mark."""
        write_json(self.root / name / mark.FILE, mark.to_json())

    def drop_marks(self, name: str, *marks: type[Mark]) -> None:
        """Remove marks, ignoring missing ones."""
        for mark in marks:
            (self.root / name / mark.FILE).unlink(missing_ok=True)

    # --- what the driver asks and does

    def state(self, node: Node) -> State:
        """New, partial, failed, damaged or done; from the marks in the node's folder."""
        name = self.name(node)
        if not self.is_there(node):
            return State("new")
        done = self.read_mark(name, DoneMark)
        if done is not None:
            if done.signature != node.signature:
                raise StoreError(f"{self.where(node)} belongs to another node; remove it and launch again")
            damaged = self.read_mark(name, Damage)
            return State("damaged", damaged.cause) if damaged else State("done", mark=done)
        failed = self.read_mark(name, Failure)
        if failed is not None:
            return State("failed", failed.cause)
        return State("partial" if self.has_files(name) else "new")

    def is_there(self, node: Node) -> bool:
        """Whether the node has a folder."""
        return node.signature[:PREFIX] in self._names or self.folder(node).is_dir()

    def has_files(self, name: str) -> bool:
        """Whether anything is in a node's folder."""
        return any((self.root / name).iterdir())

    def inspected(self, node: Node) -> State:
        """`state`, after a look at the files: one that is gone, of another size, or newer than its mark is checked."""
        state = self.state(node)
        if state.mark is not None:
            try:
                self._check(self.name(node), state.mark, recent_only=True)
            except DamagedInputError as error:
                return State("damaged", str(error))
        return state

    def done(self, node: Node) -> DoneMark:
        """The done-mark of a finished node.

        Raises:
            StoreError: the node is not done.
        """
        mark = self.read_mark(self.name(node), DoneMark)
        if mark is None:
            raise StoreError(f"{self.where(node)} is not done; resume the run")
        return mark

    def results(self, node: Node) -> Path:
        """A local folder with the results of a finished node, all of them checked.

        Raises:
            DamagedInputError: a file is not what the done-mark says; the next launch computes the node again.
            StoreError: the node is not done.
        """
        return self.results_of(self.name(node))

    def history(self, node: Node) -> list[dict[str, Any]]:
        """Epoch records of a training job, finished or not."""
        folder = self.folder(node)
        return latest_history([folder, *self._attempts(folder.name)])

    def alive(self, node: Node) -> SignOfLife | None:
        """The last sign of life of the node's newest attempt; None while there is none."""
        name = self.name(node)
        for folder in self._attempts(name):
            try:
                return self.read_mark(f"{name}/{folder.name}", SignOfLife)
            except StoreError:
                continue
        return None

    def sign_of(self, name: str, number: int) -> SignOfLife | None:
        """The last sign of life of one attempt; None while there is none."""
        try:
            return self.read_mark(f"{name}/{_attempt(number)}", SignOfLife)
        except StoreError:
            return None

    def is_alive(self, node: Node) -> bool:
        """Whether the last sign of life of the node's latest attempt is young.

        Its age is told by the file system's own clock, whatever the machines' clocks say.
        """
        name = self.name(node)
        lease = self.lease(name)
        if lease is None:
            return False
        sign = self.root / name / _attempt(lease.attempt) / SignOfLife.FILE
        try:
            age = self._clock() - sign.stat().st_mtime
        except OSError:
            return False
        return age < self.alive_s

    def _clock(self) -> float:
        probe = self.root / f".clock.{os.getpid()}.tmp"
        probe.touch()
        try:
            return probe.stat().st_mtime
        finally:
            probe.unlink()

    def is_busy(self, node: Node, run_id: str) -> bool:
        """Whether another run works on the node."""
        lease = self.lease(self.name(node))
        return lease is not None and lease.run_id != run_id and self.is_alive(node)

    def reached(self, node: Node) -> int:
        """Steps that the node's latest attempt had when it last wrote a checkpoint."""
        sign = self.alive(node)
        return 0 if sign is None else sign.saved

    def log(self, node: Node, attempt: int | None = None) -> Path | None:
        """Log of an attempt at the node, by default of the latest that said something; None if there is none."""
        logs = {int(path.stem): path for path in (self.folder(node) / "logs").glob("*.log")}
        return logs.get(max(logs, default=0) if attempt is None else attempt)

    def has_leftovers(self, node: Node) -> bool:
        """Whether a finished node still has files of its attempts: it was killed after its done-mark."""
        folder = self.folder(node)
        return (folder / Lease.FILE).exists() and (folder / DoneMark.FILE).exists()

    def claim(self, node: Node, run_id: str) -> int:
        """Claim a node for a new attempt; returns its number. Earlier attempts may write nothing more.

        A done-mark stays unless the node is damaged: an attempt that was believed lost may finish at this very moment.
        """
        name = self.name(node)
        number = 1 + max(self._numbers(name), default=0)
        lease = self.lease(name)
        if lease is not None:
            number = max(number, 1 + lease.attempt)
        self.write_mark(name, Lease(number, run_id))
        if self.read_mark(name, Damage) is not None:
            self.drop_marks(name, DoneMark, Damage)
        self.drop_marks(name, Failure, StopRequest)
        return number

    def forget(self, node: Node) -> None:
        """Take the done-mark of a node away: it is computed again."""
        self.drop_marks(self.name(node), DoneMark, Damage)

    def ask_to_stop(self, node: Node, stop: Stop) -> None:
        """Ask the node's attempt to stop."""
        self.write_mark(self.name(node), StopRequest(stop))

    # --- what a worker does

    def lease(self, name: str) -> Lease | None:
        """Which attempt may write to a node; None if none may."""
        try:
            return self.read_mark(name, Lease)
        except StoreError:
            return None

    def may_write(self, name: str, number: int) -> bool:
        """Whether an attempt is the one that may write to a node."""
        lease = self.lease(name)
        return lease is not None and lease.attempt == number

    def stop_asked(self, name: str) -> Stop:
        """Whether the node's attempt was asked to stop."""
        try:
            mark = self.read_mark(name, StopRequest)
        except StoreError:
            return "no"
        return "no" if mark is None else mark.stop

    def begin(self, name: str, number: int) -> Path:
        """The folder in which an attempt works."""
        folder = self.root / name / _attempt(number)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def log_file(self, name: str, number: int) -> Path:
        """Where an attempt's log is written."""
        path = self.root / name / "logs" / f"{number}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def keep_log(self, name: str, number: int) -> None:
        """Bring the log so far to where others can read it."""

    def earlier(self, name: str, number: int) -> list[Path]:
        """Folders of earlier attempts, newest first."""
        return [path for path in self._attempts(name) if path.name != _attempt(number)]

    def beat(self, name: str, number: int, sign: SignOfLife) -> None:
        """Write a sign of life."""
        self.write_mark(f"{name}/{_attempt(number)}", sign)

    def checkpointed(self, name: str, number: int, folder: Path) -> None:  # noqa: ARG002 - the interface
        """An attempt has a checkpoint in its folder: those of attempts before the last one are of no use any more."""
        for path in self.earlier(name, number)[1:]:
            shutil.rmtree(path, ignore_errors=True)

    def finish(self, name: str, mark: DoneMark, files: Iterable[Path]) -> None:
        """Finish a node: link its files into its folder, then write the done-mark with their checksums."""
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        for path in files:
            link(path, folder / path.name)
        self.write_mark(name, replace(mark, files=checksums(files)))
        self.sweep(name)

    def sweep(self, name: str) -> None:
        """Remove what a finished node needs no more; the lease goes last, so that a kill in between is noticed."""
        for path in self._attempts(name):
            shutil.rmtree(path, ignore_errors=True)
        for path in (self.root / name).glob(".*.tmp*"):
            path.unlink(missing_ok=True)
        self.drop_marks(name, Failure, Damage, StopRequest)
        # A result that loses its second name looks changed: the mark is made the newer again, or plans would read it.
        with suppress(FileNotFoundError):
            os.utime(self.root / name / DoneMark.FILE)
        self.drop_marks(name, Lease)

    def close(self) -> None:
        """Let go of what is held on this host."""

    def end(self, folder: Path) -> None:
        """An attempt has left its folder, finished or not."""

    def results_of(self, name: str) -> Path:
        """See `results`."""
        path = self.root / name / DoneMark.FILE
        self._check(name, DoneMark.from_json(read_json(path), str(path)))
        return self.root / name

    # --- inside

    def _attempts(self, name: str) -> list[Path]:
        """Folders of the attempts at a node that is not done, newest first."""
        return sorted((self.root / name).glob("attempt-*/"), key=lambda path: number_of(path.name), reverse=True)

    def _numbers(self, name: str) -> list[int]:
        return [number_of(path.name) for path in self._attempts(name)]

    def _check(self, name: str, mark: DoneMark, *, recent_only: bool = False) -> None:
        """Compare a node's files with its done-mark; with `recent_only` read only those that are newer than the mark.

        A process checks an unchanged file once.
        """
        folder = self.root / name
        marked = (folder / DoneMark.FILE).stat().st_mtime_ns
        place = str(folder)  # paths are put together by hand where there are tens of thousands
        for file, expected in mark.files.items():
            try:
                status = os.stat(f"{place}/{file}")  # noqa: PTH116
                if status.st_size != expected.bytes:
                    raise self.damage(name, file, f"it has {status.st_size} bytes, not {expected.bytes}")
                if recent_only and max(status.st_mtime_ns, status.st_ctime_ns) <= marked:
                    continue
                found = _checksum(folder / file, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
                if found != expected.sha256:
                    raise self.damage(name, file, "its checksum is not the one it was written with")
            except OSError as error:
                raise self.damage(name, file, f"it can't be read ({error.strerror})") from None

    def damage(self, name: str, file: str, what: str) -> DamagedInputError:
        """The error for a result that is not what it was; `damaged.json` remembers it."""
        text = f"{self.url}/{name}/{file} is damaged: {what}; launch or resume the run to compute it again"
        try:
            self.write_mark(name, Damage(text, file))
        except (OSError, StoreError):  # a store that can't be written to is read all the same
            return DamagedInputError(text)
        return DamagedInputError(text)


def checksums(files: Iterable[Path]) -> dict[str, ResultFile]:
    """What a done-mark lists of results."""
    return {path.name: ResultFile(sha256_file(path), path.stat().st_size) for path in sorted(files)}


def number_of(attempt: str) -> int:
    """The number in 'attempt-3'."""
    text = attempt.partition("-")[2]
    return int(text) if text.isdecimal() else 0


def _attempt(number: int) -> str:
    return f"attempt-{number}"


@lru_cache(maxsize=65_536)
def _checksum(path: Path, size: int, mtime_ns: int, ctime_ns: int) -> str:  # noqa: ARG001 - the key
    return sha256_file(path)
