"""A store of nodes: a folder per node, whose marks are the only truth about a grid.

A node's folder is `<name>-<first 12 digits of its signature>`:

    done.json        written last: without it a node is not done; lists every result with its checksum
    attempt.json     which attempt may write, and for which run; removed when the node is done
    attempt-<n>/     what attempt n has so far: checkpoints, history, some of the results, `alive.json`
    failed.json      the cause of the last failure
    damaged.json     a result no longer matches done.json; the node is computed again
    stop.json        asks the attempt to stop: at the end of its epoch, or now
    logs/<n>.log     log of attempt n

A worker that was cut off and comes back finds another attempt in `attempt.json` and stops writing.

`NodeStore` is what all stores share. `orchestrator.store.local` keeps nodes in a folder, where attempts work in place;
`orchestrator.store.remote` keeps them in an object store, in the same form.
"""

from abc import abstractmethod
from collections.abc import Iterable
from pathlib import Path

from typing_extensions import override

from features.errors import DamagedInputError, StoreError
from features.files import sha256_file
from orchestrator.store.interfaces import DriverStore, State, WorkerStore
from orchestrator.store.marks import Damage, DoneMark, Failure, Lease, ResultFile, SignOfLife, StopRequest
from orchestrator.store.node import Node
from trainers.supervisor import Stop

__all__ = ["PREFIX", "NodeStore", "attempt_folder", "checksums", "number_of"]

PREFIX = 12
"""Digits of a signature in the name of a folder."""


class NodeStore(DriverStore, WorkerStore):
    """Nodes under one root, and what follows from their marks alone.

    Args:
        root: a folder on this host, see `MarkReader.root`.
        listed: read the index of all nodes now; a worker, which knows its nodes by name, needs none.
    """

    def __init__(self, root: Path, *, listed: bool = True) -> None:
        self.root = root
        self._names: dict[str, str] = {}
        """First digits of a signature -> name of the folder."""
        if listed:
            self.refresh()

    @abstractmethod
    def has_files(self, name: str) -> bool:
        """Whether anything is in a node's folder."""

    @abstractmethod
    def attempts(self, name: str) -> list[int]:
        """Numbers of the attempts that have a folder, newest first."""

    @override
    def name(self, node: Node) -> str:
        return self.name_of(node.signature, node.name)

    @override
    def name_of(self, signature: str, name: str = "") -> str:
        key = signature[:PREFIX]
        return self._names.get(key, f"{name}-{key}")

    @override
    def state(self, node: Node) -> State:
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

    @override
    def done(self, node: Node) -> DoneMark:
        mark = self.read_mark(self.name(node), DoneMark)
        if mark is None:
            raise StoreError(f"{self.where(node)} is not done; resume the run")
        return mark

    @override
    def results(self, node: Node) -> Path:
        return self.results_of(self.name(node))

    @override
    def sign_of(self, name: str, number: int) -> SignOfLife | None:
        try:
            return self.read_mark(f"{name}/{attempt_folder(number)}", SignOfLife)
        except StoreError:
            return None

    @override
    def is_busy(self, node: Node, run_id: str) -> bool:
        lease = self.lease(self.name(node))
        return lease is not None and lease.run_id != run_id and self.is_alive(node)

    @override
    def reached(self, node: Node) -> int:
        sign = self.alive(node)
        return 0 if sign is None else sign.saved

    @override
    def claim(self, node: Node, run_id: str) -> int:
        name = self.name(node)
        number = 1 + max(self.attempts(name), default=0)
        lease = self.lease(name)
        if lease is not None:
            number = max(number, 1 + lease.attempt)
        self.write_mark(name, Lease(number, run_id))
        if self.read_mark(name, Damage) is not None:
            self.drop_marks(name, DoneMark, Damage)
        self.drop_marks(name, Failure, StopRequest)
        return number

    @override
    def forget(self, node: Node) -> None:
        self.drop_marks(self.name(node), DoneMark, Damage)

    @override
    def ask_to_stop(self, node: Node, stop: Stop) -> None:
        self.write_mark(self.name(node), StopRequest(stop))

    @override
    def lease(self, name: str) -> Lease | None:
        try:
            return self.read_mark(name, Lease)
        except StoreError:
            return None

    @override
    def may_write(self, name: str, number: int) -> bool:
        lease = self.lease(name)
        return lease is not None and lease.attempt == number

    @override
    def stop_asked(self, name: str) -> Stop:
        try:
            mark = self.read_mark(name, StopRequest)
        except StoreError:
            return "no"
        return "no" if mark is None else mark.stop

    @override
    def log_file(self, name: str, number: int) -> Path:
        path = self.root / name / "logs" / f"{number}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    @override
    def beat(self, name: str, number: int, sign: SignOfLife) -> None:
        self.write_mark(f"{name}/{attempt_folder(number)}", sign)

    def damage(self, name: str, file: str, what: str) -> DamagedInputError:
        """The error for a result that does not match its done-mark; `damaged.json` remembers it."""
        text = f"{self.url}/{name}/{file} is damaged: {what}; launch or resume the run to compute it again"
        try:
            self.write_mark(name, Damage(text, file))
        except (OSError, StoreError):  # a store that can't be written to can still be read
            return DamagedInputError(text)
        return DamagedInputError(text)


def attempt_folder(number: int) -> str:
    """Name of an attempt's folder in its node's."""
    return f"attempt-{number}"


def number_of(folder: str) -> int:
    """The number in the name of an attempt's folder; 0 if it has none."""
    text = folder.partition("-")[2]
    return int(text) if text.isdecimal() else 0


def checksums(files: Iterable[Path]) -> dict[str, ResultFile]:
    """What a done-mark lists of results."""
    return {path.name: ResultFile(sha256_file(path), path.stat().st_size) for path in sorted(files)}
