"""A store in a local folder or on a network file system, where an attempt works in its place.

A process that reads results checks each unchanged file once. Paths are put together by hand where there are tens of
thousands of them.
"""

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from typing_extensions import override

from features.errors import DamagedInputError, StoreError
from features.files import link, read_json, sha256_file, write_json
from orchestrator.store.base import PREFIX, NodeStore, attempt_folder, checksums, number_of
from orchestrator.store.interfaces import M, State
from orchestrator.store.marks import Damage, DoneMark, Failure, Lease, Mark, SignOfLife, StopRequest
from orchestrator.store.node import Node
from trainers.history import latest_history

__all__ = ["LocalNodeStore"]


class LocalNodeStore(NodeStore):
    """Nodes in the folders of a folder."""

    beat_s = 2.0
    alive_s = 15.0

    def __init__(self, root: Path, *, listed: bool = True) -> None:
        super().__init__(root.resolve(), listed=listed)

    @property
    @override
    def url(self) -> str:
        return str(self.root)

    def folder(self, node: Node) -> Path:
        """The node's folder."""
        return self.root / self.name(node)

    @override
    def where(self, node: Node) -> str:
        return str(self.folder(node))

    @override
    def refresh(self, node: Node | None = None) -> None:
        if node is not None:
            name = self.name(node)
            if (self.root / name).is_dir():
                self._names[node.signature[:PREFIX]] = name
        elif self.root.is_dir():
            self._names = {entry.name[-PREFIX:]: entry.name for entry in os.scandir(self.root) if entry.is_dir()}

    # --- marks

    @override
    def read_mark(self, name: str, mark: type[M]) -> M | None:
        path = self.root / name / mark.FILE
        if not os.path.exists(path):  # noqa: PTH110 - a third of the time, and asked tens of thousands of times
            return None
        return mark.from_json(read_json(path), str(path))

    @override
    def write_mark(self, name: str, mark: Mark) -> None:
        write_json(self.root / name / mark.FILE, mark.to_json())

    @override
    def drop_marks(self, name: str, *marks: type[Mark]) -> None:
        for mark in marks:
            (self.root / name / mark.FILE).unlink(missing_ok=True)

    # --- for readers and the driver

    @override
    def is_there(self, node: Node) -> bool:
        return node.signature[:PREFIX] in self._names or self.folder(node).is_dir()

    @override
    def has_files(self, name: str) -> bool:
        return any((self.root / name).iterdir())

    @override
    def attempts(self, name: str) -> list[int]:
        return [number_of(path.name) for path in self._attempts(name)]

    @override
    def inspected(self, node: Node) -> State:
        """Files that are newer than the done-mark are read and checked too."""
        state = self.state(node)
        if state.mark is not None:
            try:
                self._check(self.name(node), state.mark, recent_only=True)
            except DamagedInputError as error:
                return State("damaged", str(error))
        return state

    @override
    def history(self, node: Node) -> list[dict[str, Any]]:
        folder = self.folder(node)
        return latest_history([folder, *self._attempts(folder.name)])

    @override
    def alive(self, node: Node) -> SignOfLife | None:
        name = self.name(node)
        for folder in self._attempts(name):
            try:
                return self.read_mark(f"{name}/{folder.name}", SignOfLife)
            except StoreError:
                continue
        return None

    @override
    def is_alive(self, node: Node) -> bool:
        """Measured by the file system's clock, whatever the machines' clocks say."""
        name = self.name(node)
        lease = self.lease(name)
        if lease is None:
            return False
        sign = self.root / name / attempt_folder(lease.attempt) / SignOfLife.FILE
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

    @override
    def log(self, node: Node, attempt: int | None = None) -> Path | None:
        logs = {int(path.stem): path for path in (self.folder(node) / "logs").glob("*.log")}
        return logs.get(max(logs, default=0) if attempt is None else attempt)

    @override
    def has_leftovers(self, node: Node) -> bool:
        folder = self.folder(node)
        return (folder / Lease.FILE).exists() and (folder / DoneMark.FILE).exists()

    # --- for workers

    @override
    def begin(self, name: str, number: int) -> Path:
        folder = self.root / name / attempt_folder(number)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @override
    def end(self, folder: Path) -> None:
        """Nothing: an attempt's folder is where the next one continues."""

    @override
    def keep_log(self, name: str, number: int) -> None:
        """Nothing: it is written where others can read it."""

    @override
    def earlier(self, name: str, number: int) -> list[Path]:
        return [path for path in self._attempts(name) if path.name != attempt_folder(number)]

    @override
    def checkpointed(self, name: str, number: int, folder: Path) -> None:
        """Remove the folders of attempts before the last one."""
        for path in self.earlier(name, number)[1:]:
            shutil.rmtree(path, ignore_errors=True)

    @override
    def finish(self, name: str, mark: DoneMark, files: Iterable[Path]) -> None:
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        for path in files:
            link(path, folder / path.name)
        self.write_mark(name, replace(mark, files=checksums(files)))
        self.sweep(name)

    @override
    def sweep(self, name: str) -> None:
        for path in self._attempts(name):
            shutil.rmtree(path, ignore_errors=True)
        for path in (self.root / name).glob(".*.tmp*"):
            path.unlink(missing_ok=True)
        self.drop_marks(name, Failure, Damage, StopRequest)
        # A result that loses its second name looks changed. Unless the mark is newer, every plan would read the result.
        with suppress(FileNotFoundError):
            os.utime(self.root / name / DoneMark.FILE)
        self.drop_marks(name, Lease)

    @override
    def results_of(self, name: str) -> Path:
        path = self.root / name / DoneMark.FILE
        self._check(name, DoneMark.from_json(read_json(path), str(path)))
        return self.root / name

    @override
    def close(self) -> None:
        """Nothing is held."""

    # --- inside

    def _attempts(self, name: str) -> list[Path]:
        """Folders of the attempts at a node that is not done, newest first."""
        return sorted((self.root / name).glob("attempt-*/"), key=lambda path: number_of(path.name), reverse=True)

    def _check(self, name: str, mark: DoneMark, *, recent_only: bool = False) -> None:
        """Compare a node's files with its done-mark; with `recent_only` read only those that are newer than the mark.

        Raises:
            DamagedInputError: a file does not match.
        """
        folder = self.root / name
        marked = (folder / DoneMark.FILE).stat().st_mtime_ns
        place = str(folder)
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


@lru_cache(maxsize=65_536)
def _checksum(path: Path, size: int, mtime_ns: int, ctime_ns: int) -> str:  # noqa: ARG001 - the key
    return sha256_file(path)
