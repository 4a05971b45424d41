"""What the three users of a store may do with it: those who show a run, the driver that runs it, and its workers.

    MarkReader ── ReaderStore ─┐
        └───────── MarkWriter ─┴─ DriverStore ─┐
                        └──────── WorkerStore ─┴─ NodeStore (orchestrator.store.base)

Functions take the smallest of these that they need. Drivers and readers refer to nodes. A worker knows its job and
the names of folders, and needs no graph.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from orchestrator.store.layout import Layout
from orchestrator.store.marks import Claim, DoneMark, Failure, Mark, SignOfLife
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
    """An attempt whose sign of life is older is shown as stopped."""
    takeover_s: ClassVar[float]
    """An attempt of another run whose signs do not change for so long, on the observer's own clock, is dead."""
    root: Path
    """A folder on this host: the store itself, or for a remote store a place for working files."""

    @property
    @abstractmethod
    def url(self) -> str:
        """What `orchestrator.store.open.open_store` takes."""

    @abstractmethod
    def layout(self, name: str) -> Layout:
        """What is in a node's folder now."""

    @abstractmethod
    def read_mark(self, place: str, mark: type[M], file: str = "") -> M | None:
        """The mark of a class in the folder of a node or of an attempt; None if it isn't there.

        Args:
            place: the folder.
            mark: the class.
            file: name of the file, if it is numbered.

        Raises:
            StoreError: it is damaged or can't be read.
        """

    @abstractmethod
    def latest_claim(self, name: str) -> Claim | None:
        """The claim of the attempt that may write to a node; None if there never was one.

        Raises:
            StoreError: it is damaged or can't be read.
        """

    @abstractmethod
    def done_mark(self, name: str) -> DoneMark | None:
        """The done-mark of a node's results, unless they are void.

        Raises:
            StoreError: it is damaged or can't be read.
        """

    @abstractmethod
    def failure(self, name: str) -> Failure | None:
        """Why a node's latest attempt failed; None if it did not.

        Raises:
            StoreError: the mark is damaged or can't be read.
        """

    @abstractmethod
    def results_of(self, name: str) -> Path:
        """A local folder with the results of the finished node in a folder, all of them checked.

        Raises:
            DamagedInputError: the node is not done, or a file is not what the done-mark says; the next launch computes
                the node again.
            StoreError: a mark can't be read.
        """

    @abstractmethod
    def close(self) -> None:
        """Release what is held on this host."""


class MarkWriter(MarkReader):
    """Writes marks and finishes nodes, also by the names of their folders."""

    @abstractmethod
    def write_mark(self, place: str, mark: Mark) -> None:
        """Write a mark that one process alone writes."""

    @abstractmethod
    def create_mark(self, place: str, mark: Mark, file: str) -> bool:
        """Make a mark unless there is one; True if this call made it."""

    @abstractmethod
    def drop_marks(self, place: str, *marks: type[Mark]) -> None:
        """Remove marks, ignoring missing ones."""

    @abstractmethod
    def begin(self, name: str, number: int) -> Path:
        """The folder in which an attempt works."""

    @abstractmethod
    def end(self, folder: Path) -> None:
        """An attempt has left its folder, finished or not."""

    @abstractmethod
    def finish(self, name: str, claim: Claim, mark: DoneMark, files: Iterable[Path]) -> None:
        """Make an attempt's files the results of its node: one conditional create of the done-mark, then `sweep`.

        Args:
            name: the node's folder.
            claim: the attempt's.
            mark: what is known of the results but for their files.
            files: the results, in the folder that `begin` returned.

        Raises:
            SupersededError: another attempt finished the node first.
        """

    @abstractmethod
    def sweep(self, name: str) -> None:
        """Remove what a finished node no longer needs; an attempt's sign of life goes last."""


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
    def generation(self, node: Node) -> int:
        """Which generation of the node's results is finished or to be made; 1 unless earlier results are void."""

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
        """Whether the node's latest attempt seems to have given a sign of life within `alive_s`; for people only."""

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
    def is_void(self, name: str) -> bool:
        """Whether the results in a node's folder were found damaged, and are not computed again yet.

        The mark that says so is asked for by its name: NFS may show the folder as it was before somebody found it.
        """

    @abstractmethod
    def is_busy(self, node: Node, run_id: str, owner: int = 0) -> bool:
        """Whether an attempt of another run works on the node, or one of a later owner of this run, as far as is known.

        It counts as dead when its signs do not change for `takeover_s`, measured by this process: until then it is
        busy, so the question has to be asked again.
        """

    @abstractmethod
    def reached(self, node: Node) -> int:
        """Steps that the node's latest attempt had done when it last wrote a checkpoint."""

    @abstractmethod
    def has_leftovers(self, node: Node) -> bool:
        """Whether a finished node still has files of its attempts: it was killed after its done-mark."""

    @abstractmethod
    def claim(self, node: Node, run_id: str, owner: int = 0) -> Claim:
        """Claim a node for a new attempt of a run. Earlier attempts may no longer write, but if one of them finishes
        at this very moment, its results stay.

        Args:
            node: the node.
            run_id: the run.
            owner: number of the run's owner. It may supersede the claims of the run's earlier owners at once.

        Raises:
            BusyError: another run, or a later owner of this one, works on the node.
        """

    @abstractmethod
    def claim_anyway(self, name: str, run_id: str, owner: int = 0) -> Claim:
        """Claim the node in a folder, also if another run works on it."""

    @abstractmethod
    def queued(self, name: str, number: int) -> None:
        """Renew a claim whose attempt has no process yet."""

    @abstractmethod
    def forget(self, node: Node) -> None:
        """Make a node's results void, so that it is computed again."""

    @abstractmethod
    def ask_to_stop(self, name: str, number: int, stop: Stop) -> None:
        """Ask an attempt to stop."""


class WorkerStore(MarkWriter):
    """What an attempt asks and does."""

    @abstractmethod
    def may_write(self, name: str, claim: Claim) -> bool:
        """Whether a claim is the latest on its node, which is not finished.

        Raises:
            StoreError: the claims can't be read, which says nothing about them.
        """

    @abstractmethod
    def stop_asked(self, name: str, number: int) -> Stop:
        """Whether an attempt was asked to stop."""

    @abstractmethod
    def log_file(self, name: str, number: int) -> Path:
        """Where an attempt writes its log."""

    @abstractmethod
    def keep_log(self, name: str, number: int) -> None:
        """Copy the log to where others can read it."""

    @abstractmethod
    def earlier(self, name: str, before: int | None = None) -> list[Path]:
        """Folders of attempts, newest first, or of those before one; not those whose results are void."""

    @abstractmethod
    def beat(self, name: str, number: int, sign: SignOfLife) -> None:
        """Write a sign of life."""

    @abstractmethod
    def checkpointed(self, name: str, number: int, folder: Path) -> None:
        """Keep the checkpoint that an attempt has written to its folder; remove those that are no longer needed."""
