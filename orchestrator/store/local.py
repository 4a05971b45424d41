"""A store in a local folder or on a network file system, where an attempt works in its place.

A process that reads results checks each unchanged file once. Paths are put together by hand where there are tens of
thousands of them.
"""

import errno
import json
import os
import shutil
import time
import uuid
from collections.abc import Collection, Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from typing_extensions import override

from features.errors import DamagedInputError, StoreAwayError, StoreError
from features.files import create, sha256_file, write_json
from orchestrator.store.base import PREFIX, NodeStore, place_of
from orchestrator.store.interfaces import M, State
from orchestrator.store.layout import Layout, attempt_folder, attempt_place
from orchestrator.store.marks import DoneMark, Mark, Placement, Queued, ResultFile, SignOfLife, StopRequest
from orchestrator.store.node import Node
from orchestrator.store.objects.base import away_errors, os_errors
from trainers.history import read_history

__all__ = ["LocalNodeStore"]

OLD_S = 3600.0
"""A temporary file that was last written so long ago belongs to a process that was killed."""
OF_DRIVER = tuple(f".{Path(mark.FILE).stem}." for mark in (StopRequest, Queued, Placement))
"""How the temporary files of marks begin that another process than the attempt's may be writing."""
BROKEN = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EIO)
"""Errors that say that a result is gone or its disk is broken. Others say nothing about it."""
BROKEN_AFTER_S = (1.0, 5.0)
"""Pauses before a file is read again after an input/output error: a soft mount of NFS reports one when it times out."""


class LocalNodeStore(NodeStore):
    """Nodes in the folders of a folder."""

    beat_s = 2.0
    alive_s = 15.0

    def __init__(self, root: Path, *, listed: bool = True) -> None:
        super().__init__(root.resolve(), listed=listed)
        self._was_there = self.root.is_dir()

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

    @override
    def is_there(self, node: Node) -> bool:
        return node.signature[:PREFIX] in self._names or self.folder(node).is_dir()

    @override
    def layout(self, name: str) -> Layout:
        place = f"{self.root}/{name}"
        try:
            with os_errors(place):
                found = Layout.of([*os.listdir(place), *self._late.get(name, ())])  # noqa: PTH208 - as below
        except (FileNotFoundError, NotADirectoryError):
            self._require_root()
            return Layout(frozenset())
        self._was_there = True
        return found

    def _require_root(self) -> None:
        """Tell a store that was unmounted from an empty one.

        Raises:
            StoreAwayError: its folder was there before, and is not now.
        """
        if self._was_there and not self.root.is_dir():
            raise StoreAwayError(f"{self.root} is gone", "mount or restore it, then launch again")

    @override
    def known_layout(self, name: str) -> Layout:
        return self.layout(name)

    # --- marks

    @override
    def read_mark(self, place: str, mark: type[M], file: str = "") -> M | None:
        path = f"{self.root}/{place}/{file or mark.FILE}"
        try:
            with away_errors(path), open(path, encoding="utf-8") as opened:  # noqa: PTH123 - asked tens of thousands of times
                content = json.load(opened)
        except (FileNotFoundError, NotADirectoryError):
            self._require_root()
            return None
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            raise StoreError(f"{path} is damaged: it is not JSON ({error})") from None
        return mark.from_json(content, path)

    @override
    def write_mark(self, place: str, mark: Mark) -> None:
        self._require_root()
        with away_errors(f"{self.root}/{place}"):
            write_json(self.root / place / mark.FILE, mark.to_json())

    @override
    def create_mark(self, place: str, mark: Mark, file: str) -> bool:
        text = json.dumps(mark.to_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        self._require_root()
        with away_errors(f"{self.root}/{place}"):
            return create(self.root / place / file, text.encode())

    @override
    def drop_marks(self, place: str, *marks: type[Mark]) -> None:
        self._drop(place, (mark.FILE for mark in marks))

    @override
    def _drop(self, name: str, files: Iterable[str]) -> None:
        with away_errors(f"{self.root}/{name}"):
            for file in files:
                (self.root / name / file).unlink(missing_ok=True)

    # --- for readers and the driver

    @override
    def inspected(self, node: Node) -> State:
        """Files that are newer than the done-mark are read and checked too."""
        state = self.state(node)
        if state.mark is not None:
            name = self.name(node)
            try:
                self._compare(name, state.mark, recent_only=True)
            except DamagedInputError as error:
                return State("damaged", str(self.damage(name, self.layout(name).generation, error)))
        return state

    @override
    def _history(self, place: str) -> list[dict[str, Any]]:
        return read_history(self.root / place)

    @override
    def is_alive(self, node: Node) -> bool:
        """Measured by the file system's clock, whatever the machines' clocks say."""
        name = self.name(node)
        claim = self.latest_claim(name)
        if claim is None:
            return False
        try:
            shown = (self.root / attempt_place(name, claim.attempt) / SignOfLife.FILE).stat().st_mtime
        except FileNotFoundError:
            return False
        return self._clock() - shown < self.alive_s

    def _clock(self) -> float:
        probe = self.root / f".clock.{uuid.uuid4().hex[:8]}.tmp"
        try:
            probe.touch()
            shown = probe.stat().st_mtime
            probe.unlink()
        except OSError:  # a store that may only be read
            return time.time()
        return shown

    @override
    def log(self, node: Node, attempt: int | None = None) -> Path | None:
        logs = {int(path.stem): path for path in (self.folder(node) / "logs").glob("*.log")}
        return logs.get(max(logs, default=0) if attempt is None else attempt)

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
    def earlier(self, name: str, before: int | None = None) -> list[Path]:
        layout = self.layout(name)
        void = self._void(name, layout)
        # Asked for by their names: NFS may show the node's folder as it was before the last attempt.
        numbers = layout.attempts if before is None else range(before - 1, 0, -1)
        folders = (self.root / name / attempt_folder(number) for number in numbers if number not in void)
        return [folder for folder in folders if folder.is_dir()]

    @override
    def checkpointed(self, name: str, number: int, folder: Path) -> None:
        """Remove the folders of attempts before the last one."""
        for path in self.earlier(name, number)[1:]:
            shutil.rmtree(path, ignore_errors=True)

    @override
    def sweep(self, name: str) -> None:
        super().sweep(name)
        for path in (self.root / name).glob(".*.tmp*"):
            with suppress(FileNotFoundError):
                if self._clock() - path.stat().st_mtime > OLD_S:
                    path.unlink()

    @override
    def close(self) -> None:
        """Nothing is held."""

    # --- inside

    @override
    def _publish(self, name: str, number: int, files: Iterable[Path]) -> None:
        """Nothing: they were written to their place."""

    @override
    def _has(self, name: str, number: int, mark: type[Mark]) -> bool:
        return os.path.exists(f"{self.root}/{attempt_place(name, number)}/{mark.FILE}")  # noqa: PTH110 - as above

    @override
    def _clear(self, name: str, number: int, keep: Collection[str]) -> None:
        folder = self.root / attempt_place(name, number)
        if keep:
            others = {path.name for path in folder.iterdir() if not path.name.startswith(OF_DRIVER)} - {*keep}
            self._drop(attempt_place(name, number), sorted(others, key=SignOfLife.FILE.__eq__))
        else:
            shutil.rmtree(folder, ignore_errors=True)

    @override
    def _checked(self, name: str, mark: DoneMark, file: str) -> Path:
        return self._compare(name, mark)

    def _compare(self, name: str, mark: DoneMark, *, recent_only: bool = False) -> Path:
        """Compare results with their done-mark; with `recent_only` read only those that are newer than the mark.

        Raises:
            DamagedInputError: a file does not match.
            StoreError: a file can't be read, which does not mean that it is damaged.
        """
        place = f"{self.root}/{place_of(name, mark)}"
        try:
            marked = os.stat(f"{place}/{DoneMark.FILE}").st_mtime_ns  # noqa: PTH116
        except FileNotFoundError:
            self._require_root()
            raise _damage(f"{place}/{DoneMark.FILE}", "it is missing") from None
        for file, expected in mark.files.items():
            path = f"{place}/{file}"
            for pause_s in (*BROKEN_AFTER_S, None):
                try:
                    _compare_file(path, expected, marked if recent_only else 0)
                    break
                except OSError as error:
                    self.layout(name)  # raises StoreAwayError if it is not this file alone that can't be read
                    if error.errno not in BROKEN:
                        raise StoreError(f"{path} cannot be read: {error.strerror}") from None
                    if error.errno != errno.EIO or pause_s is None:
                        raise _damage(path, f"it can't be read ({error.strerror})") from None
                time.sleep(pause_s)
        return Path(place)


def _compare_file(path: str, expected: ResultFile, known_ns: int) -> None:
    """Compare a file with what its done-mark says; its content only if it is newer than a time.

    Raises:
        DamagedInputError: it does not match.
        OSError: it can't be read.
    """
    status = os.stat(path)  # noqa: PTH116
    if status.st_size != expected.bytes:
        raise _damage(path, f"it has {status.st_size} bytes, not {expected.bytes}")
    if max(status.st_mtime_ns, status.st_ctime_ns) <= known_ns:
        return
    if _checksum(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns) != expected.sha256:
        raise _damage(path, "its checksum is not the one it was written with")


def _damage(path: str, what: str) -> DamagedInputError:
    return DamagedInputError(f"{path} is damaged: {what}; launch or resume the run to compute it again")


@lru_cache(maxsize=65_536)
def _checksum(path: str, size: int, mtime_ns: int, ctime_ns: int) -> str:  # noqa: ARG001 - the key
    return sha256_file(Path(path))
