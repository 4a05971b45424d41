"""The store: a folder of finished and unfinished nodes, the only truth about a grid.

A node's folder is `<name>-<first 12 digits of its signature>`:

    done.json        written last, by rename: without it a node is not done; names every result with its checksum
    attempt.json     which attempt may write, and whose it is; gone when the node is done
    attempt-<n>/     what attempt n has so far: checkpoints, history, half of the results, `alive.json`
    failed.json      the cause of the last failure
    damaged.json     a result was found not to be what done.json says; the node is computed again
    stop             asks the attempt to stop: 'epoch' or 'now'
    logs/<n>.log     what attempt n had to say

A worker that was cut off and comes back finds another attempt in `attempt.json` and writes nothing more.
"""

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from features.errors import DamagedInputError, StoreError
from features.files import read_json, sha256_file, write_json
from orchestrator.graph import Node
from trainers.progress import CHECKPOINT, PREVIOUS, latest_history
from trainers.weights import read_about

__all__ = ["State", "Store", "attempt_folder", "attempts", "mark_failed", "results", "sweep"]

PREFIX = 12
ALIVE = "alive.json"
LEASE = "attempt.json"
ALIVE_S = 15.0


@dataclass(frozen=True)
class State:
    """What the store knows of a node."""

    state: Literal["new", "partial", "failed", "damaged", "done"]
    cause: str | None = None
    mark: dict[str, Any] = field(default_factory=dict)
    """The done-mark of a finished node."""


class Store:
    """Folders of nodes under one root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._names: dict[str, str] = {}
        self.refresh()

    def refresh(self) -> None:
        """Read the list of folders anew."""
        if self.root.is_dir():
            self._names = {entry.name[-PREFIX:]: entry.name for entry in os.scandir(self.root) if entry.is_dir()}

    def folder(self, node: Node) -> Path:
        """The node's folder, whatever name it was made under; made or not."""
        return self.root / self.name_of(node.signature, node.name)

    def name_of(self, signature: str, name: str = "") -> str:
        """Name of the folder of a node with this signature."""
        key = signature[:PREFIX]
        return self._names.get(key, f"{name}-{key}")

    def state(self, node: Node) -> State:
        """New, partial, failed, damaged or done; from the marks in the node's folder."""
        folder = self.folder(node)
        if node.signature[:PREFIX] not in self._names and not folder.is_dir():
            return State("new")
        done = folder / "done.json"
        if done.exists():
            mark = read_json(done)
            if mark.get("signature") != node.signature:
                raise StoreError(f"{folder} belongs to another node; remove it and launch again")
            damaged = folder / "damaged.json"
            return State("damaged", str(read_json(damaged)["cause"])) if damaged.exists() else State("done", mark=mark)
        failed = folder / "failed.json"
        if failed.exists():
            return State("failed", str(read_json(failed).get("cause", "unknown")))
        return State("partial" if folder.is_dir() and any(folder.iterdir()) else "new")

    def inspected(self, node: Node) -> State:
        """`state`, after a look at the files: one that is gone, of another size, or newer than its mark is checked."""
        state = self.state(node)
        if state.state == "done":
            try:
                _check_files(self.folder(node), state.mark["files"], recent_only=True)
            except DamagedInputError as error:
                return State("damaged", str(error))
        return state

    def done(self, node: Node) -> dict[str, Any]:
        """The done-mark of a finished node.

        Raises:
            StoreError: the node is not done.
        """
        mark: dict[str, Any] = read_json(self.folder(node) / "done.json")
        return mark

    def results(self, node: Node) -> Path:
        """The folder of a finished node, all its files checked.

        Raises:
            DamagedInputError: a file is not what the done-mark says; the next launch computes the node again.
            StoreError: the node is not done.
        """
        return results(self.folder(node))

    def history(self, node: Node) -> list[dict[str, Any]]:
        """Epoch records of a training job, finished or not."""
        folder = self.folder(node)
        return latest_history([folder, *attempts(folder)])

    def alive(self, node: Node) -> dict[str, Any] | None:
        """The last sign of life of the node's newest attempt; None while there is none."""
        for folder in attempts(self.folder(node)):
            try:
                sign: dict[str, Any] = read_json(folder / ALIVE)
            except StoreError:
                continue
            return sign
        return None

    def newest_log(self, node: Node) -> Path | None:
        """Log of the node's latest attempt, if it said something."""
        logs = sorted((self.folder(node) / "logs").glob("*.log"), key=lambda path: int(path.stem))
        return logs[-1] if logs else None

    def has_leftovers(self, node: Node) -> bool:
        """Whether a finished node still has files of its attempts: it was killed after its done-mark."""
        folder = self.folder(node)
        return (folder / LEASE).exists() and (folder / "done.json").exists()

    def reached(self, node: Node) -> int:
        """Steps that the node's attempts have checkpoints of."""
        paths = (folder / name for folder in attempts(self.folder(node)) for name in (CHECKPOINT, PREVIOUS))
        return max((int(read_about(path).get("step", 0)) for path in paths), default=0)

    def is_busy(self, node: Node, owner: str) -> bool:
        """Whether the process of another owner works on the node."""
        lease = read_lease(self.folder(node))
        return bool(lease) and lease.get("owner") != owner and self.is_alive(node)

    def is_alive(self, node: Node) -> bool:
        """Whether the last sign of life of the node's latest attempt is young.

        Its age is told by the file system's own clock, whatever the machines' clocks say.
        """
        folder = self.folder(node)
        try:
            sign = attempt_folder(folder, int(read_lease(folder)["attempt"])) / ALIVE
            age = self._clock() - sign.stat().st_mtime
        except (OSError, KeyError, TypeError, ValueError):
            return False
        return age < ALIVE_S

    def _clock(self) -> float:
        probe = self.root / f".clock.{os.getpid()}.tmp"
        probe.touch()
        try:
            return probe.stat().st_mtime
        finally:
            probe.unlink()

    def claim(self, node: Node, owner: str) -> int:
        """Take a node for a new attempt; gives its number. Earlier attempts may write nothing more."""
        folder = self.folder(node)
        folder.mkdir(parents=True, exist_ok=True)
        number = 1 + max((_number(path) for path in attempts(folder)), default=0)
        lease = folder / LEASE
        if lease.exists():
            number = max(number, 1 + int(read_lease(folder).get("attempt", 0)))
        write_json(lease, {"attempt": number, "owner": owner})
        for name in ("done.json", "damaged.json", "failed.json", "stop"):
            (folder / name).unlink(missing_ok=True)
        return number


def attempt_folder(folder: Path, number: int) -> Path:
    """Where an attempt at a node works."""
    return folder / f"attempt-{number}"


def attempts(folder: Path) -> list[Path]:
    """Folders of the attempts at a node that is not done, newest first."""
    return sorted(folder.glob("attempt-*/"), key=_number, reverse=True)


def _number(folder: Path) -> int:
    text = folder.name.partition("-")[2]
    return int(text) if text.isdecimal() else 0


def read_lease(folder: Path) -> dict[str, Any]:
    """Which attempt may write to a node; empty when nobody may."""
    try:
        lease: dict[str, Any] = read_json(folder / LEASE)
    except StoreError:
        return {}
    return lease if isinstance(lease, dict) else {}


def results(folder: Path) -> Path:
    """The folder of a finished node, after a check of all its files; a process checks an unchanged file once.

    Raises:
        DamagedInputError: a file is missing or is not what the done-mark says, which `damaged.json` then remembers.
        StoreError: the node is not done.
    """
    _check_files(folder, read_json(folder / "done.json")["files"])
    return folder


def _check_files(folder: Path, files: dict[str, Any], *, recent_only: bool = False) -> None:
    """Hold a node's files against its done-mark; with `recent_only` read only those that are newer than the mark."""
    marked = (folder / "done.json").stat().st_mtime_ns
    place = str(folder)  # paths are put together by hand where there are tens of thousands
    for name, facts in files.items():
        try:
            status = os.stat(f"{place}/{name}")  # noqa: PTH116
            if status.st_size != facts["bytes"]:
                raise _damage(folder / name, f"it has {status.st_size} bytes, not {facts['bytes']}")
            if recent_only and max(status.st_mtime_ns, status.st_ctime_ns) <= marked:
                continue
            found = _checksum(folder / name, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if found != facts["sha256"]:
                raise _damage(folder / name, "its checksum is not the one it was written with")
        except OSError as error:
            raise _damage(folder / name, f"it can't be read ({error.strerror})") from None


@lru_cache(maxsize=65_536)
def _checksum(path: Path, size: int, mtime_ns: int, ctime_ns: int) -> str:  # noqa: ARG001 - the key
    return sha256_file(path)


def _damage(path: Path, what: str) -> DamagedInputError:
    error = DamagedInputError(f"{path} is damaged: {what}; launch or resume the run to compute it again")
    try:
        write_json(path.parent / "damaged.json", {"cause": str(error), "file": path.name})
    except OSError:  # a store that can't be written to is read all the same
        return error
    return error


def mark_done(folder: Path, mark: dict[str, Any], files: Iterable[Path]) -> None:
    """Finish a node: its files are linked into its folder, and `done.json`, with their checksums, is written last."""
    checksums = {}
    for path in sorted(files):
        checksums[path.name] = {"sha256": sha256_file(path), "bytes": path.stat().st_size}
        _link(path, folder / path.name)
    write_json(folder / "done.json", {**mark, "files": checksums})
    sweep(folder)


def _link(source: Path, target: Path) -> None:
    """A second name for a file, by rename; the first stays until the node is done."""
    if source == target:
        return
    temporary = target.with_name(f".{target.name}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, temporary)
    temporary.replace(target)


def sweep(folder: Path) -> None:
    """Remove what a finished node needs no more; the lease goes last, so that a kill in between is noticed."""
    for path in attempts(folder):
        shutil.rmtree(path, ignore_errors=True)
    for path in folder.glob(".*.tmp*"):
        path.unlink(missing_ok=True)
    for name in ("failed.json", "damaged.json", "stop"):
        (folder / name).unlink(missing_ok=True)
    # A result that loses its second name looks changed: the mark becomes the newer again, or every plan would read it.
    with suppress(FileNotFoundError):
        os.utime(folder / "done.json")
    (folder / LEASE).unlink(missing_ok=True)


def mark_failed(folder: Path, mark: dict[str, Any]) -> None:
    """Leave the cause of a failure."""
    write_json(folder / "failed.json", mark)
