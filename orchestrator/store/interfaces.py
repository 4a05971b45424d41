"""What the three users of a store may do with it: those who show a run, the driver that runs it, and its workers.

    MarkReader ── ReaderStore ─┐
        └───────── MarkWriter ─┴─ DriverStore ─┐
                        └──────── WorkerStore ─┴─ NodeStore (orchestrator.store.base)

Functions take the smallest of these that they need. The drivers and readers speak of nodes. A worker knows its job and
the names of folders, and needs no graph.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from orchestrator.store.marks import DoneMark, Lease, Mark, SignOfLife
from orchestrator.store.node import Node
from trainers.supervisor import Stop

__all__ = ["DriverStore", "M", "MarkReader", "MarkWriter", "ReaderStore", "State", "WorkerStore"]

M = TypeVar("M", bound=Mark)


@dataclass(frozen=True)
class State:
    """What the store knows of a node."""

    state: Literal["new", "partial", "failed", "damaged", "done"]
    cause: str | None = None
    mark: DoneMark | None = None
    """The done-mark of a finished node, if it had to be read."""


class MarkReader(ABC):
    """Reads marks and results by the names of their folders."""

    beat_s: ClassVar[float]
    """Seconds between two signs of life of an attempt."""
    alive_s: ClassVar[float]
    """An attempt whose sign of life is older is dead."""
    root: Path
    """A folder on this host: the store itself, or for a remote store a place for working files."""

    @property
    @abstractmethod
    def url(self) -> str:
        """What `orchestrator.store.open.open_store` takes."""

    @abstractmethod
    def read_mark(self, name: str, mark: type[M]) -> M | None:
        """The mark of a class in a node's folder; None if it isn't there.

        Raises:
            StoreError: it is damaged.
        """

    @abstractmethod
    def lease(self, name: str) -> Lease | None:
        """Which attempt may write to a node; None if none may."""

    @abstractmethod
    def results_of(self, name: str) -> Path:
        """A local folder with the results of the finished node in a folder, all of them checked.

        Raises:
            DamagedInputError: a file is not what the done-mark says; the next launch computes the node again.
            StoreError: the node is not done.
        """

    @abstractmethod
    def close(self) -> None:
        """Release what is held on this host."""


class MarkWriter(MarkReader):
    """Writes marks and finishes nodes, also by the names of their folders."""

    @abstractmethod
    def write_mark(self, name: str, mark: Mark) -> None:
        """Write a mark."""

    @abstractmethod
    def drop_marks(self, name: str, *marks: type[Mark]) -> None:
        """Remove marks, ignoring missing ones."""

    @abstractmethod
    def finish(self, name: str, mark: DoneMark, files: Iterable[Path]) -> None:
        """Make files the results of a node, then write the done-mark with their checksums, then `sweep`.

        Raises:
            SupersededError: another attempt finished the node first.
        """

    @abstractmethod
    def sweep(self, name: str) -> None:
        """Remove what a finished node no longer needs; the lease goes last, so that a kill in between is noticed."""


class ReaderStore(MarkReader):
    """What a run looks like, for read-only commands and reports."""

    @abstractmethod
    def refresh(self, node: Node | None = None) -> None:
        """Re-read the index of node folders, or look for one node."""

    @abstractmethod
    def name(self, node: Node) -> str:
        """Name of the node's folder, whatever name it was made under; made or not."""

    @abstractmethod
    def where(self, node: Node) -> str:
        """The node's place, for messages."""

    @abstractmethod
    def is_there(self, node: Node) -> bool:
        """Whether the node has a folder."""

    @abstractmethod
    def state(self, node: Node) -> State:
        """New, partial, failed, damaged or done, according to the marks in the node's folder.

        Raises:
            StoreError: a mark is damaged, or the folder belongs to another node.
        """

    @abstractmethod
    def done(self, node: Node) -> DoneMark:
        """The done-mark of a finished node.

        Raises:
            StoreError: the node is not done.
        """

    @abstractmethod
    def results(self, node: Node) -> Path:
        """`results_of` a node."""

    @abstractmethod
    def history(self, node: Node) -> list[dict[str, Any]]:
        """Epoch records of a training job, finished or not."""

    @abstractmethod
    def alive(self, node: Node) -> SignOfLife | None:
        """The last sign of life of the node's newest attempt; None if there is none."""

    @abstractmethod
    def is_alive(self, node: Node) -> bool:
        """Whether the node's latest attempt has given a sign of life within `alive_s`."""

    @abstractmethod
    def log(self, node: Node, attempt: int | None = None) -> Path | None:
        """Log of an attempt at the node, by default of the latest that has one; None if there is none."""


class DriverStore(ReaderStore, MarkWriter):
    """What the process that runs a grid asks and does."""

    @abstractmethod
    def name_of(self, signature: str, name: str = "") -> str:
        """Name of the folder of a node with this signature; `name` is used if there is no folder yet."""

    @abstractmethod
    def inspected(self, node: Node) -> State:
        """`state`, after a look at the files: one that is missing or of another size makes the node damaged."""

    @abstractmethod
    def sign_of(self, name: str, number: int) -> SignOfLife | None:
        """The last sign of life of one attempt; None if there is none."""

    @abstractmethod
    def is_busy(self, node: Node, run_id: str) -> bool:
        """Whether another run works on the node."""

    @abstractmethod
    def reached(self, node: Node) -> int:
        """Steps that the node's latest attempt had done when it last wrote a checkpoint."""

    @abstractmethod
    def has_leftovers(self, node: Node) -> bool:
        """Whether a finished node still has files of its attempts: it was killed after its done-mark."""

    @abstractmethod
    def claim(self, node: Node, run_id: str) -> int:
        """Claim a node for a new attempt of a run; returns its number. Earlier attempts may no longer write.

        A done-mark stays unless the node is damaged: an attempt that was believed lost may finish at this very moment.
        """

    @abstractmethod
    def forget(self, node: Node) -> None:
        """Remove a node's done-mark, so that it is computed again."""

    @abstractmethod
    def ask_to_stop(self, node: Node, stop: Stop) -> None:
        """Ask the node's attempt to stop."""


class WorkerStore(MarkWriter):
    """What an attempt asks and does."""

    @abstractmethod
    def may_write(self, name: str, number: int) -> bool:
        """Whether an attempt is the one that may write to a node."""

    @abstractmethod
    def stop_asked(self, name: str) -> Stop:
        """Whether the node's attempt was asked to stop."""

    @abstractmethod
    def begin(self, name: str, number: int) -> Path:
        """The folder in which an attempt works."""

    @abstractmethod
    def end(self, folder: Path) -> None:
        """An attempt has left its folder, finished or not."""

    @abstractmethod
    def log_file(self, name: str, number: int) -> Path:
        """Where an attempt writes its log."""

    @abstractmethod
    def keep_log(self, name: str, number: int) -> None:
        """Copy the log to where others can read it."""

    @abstractmethod
    def earlier(self, name: str, number: int) -> list[Path]:
        """Folders of attempts other than `number`, newest first."""

    @abstractmethod
    def beat(self, name: str, number: int, sign: SignOfLife) -> None:
        """Write a sign of life."""

    @abstractmethod
    def checkpointed(self, name: str, number: int, folder: Path) -> None:
        """Keep the checkpoint that an attempt has written to its folder; remove those that are no longer needed."""
