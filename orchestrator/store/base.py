"""A store of nodes: a folder per node, whose marks are the only truth about a grid.

A node's folder is `<name>-<first 12 digits of its signature>`:

    claim-<n>.json   made once: attempt n belongs to a run; the attempt with the largest number may write
    attempt-<n>/     all that attempt n writes: checkpoints, history, results, signs of life, its failure
    done.json        made once: which attempt's folder holds the results, and every file's checksum
    damaged.json     made once: those results are void; the next ones are `done-2.json`, then `done-3.json`
    logs/<n>.log     log of attempt n

docs/protocol.md has the rules and why they hold. Nothing that a reader may rely on is changed: a worker that was cut
off and comes back finds a later claim and stops, and whatever it still writes lies in its own folder.

`NodeStore` is what all stores share. `orchestrator.store.local` keeps nodes in a folder, where attempts work in place;
`orchestrator.store.remote` keeps them in an object store, in the same form.
"""

import socket
import time
import uuid
from abc import abstractmethod
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from typing_extensions import override

from features.errors import BusyError, DamagedInputError, StoreAwayError, StoreError, SupersededError
from features.files import sha256_file
from orchestrator.store.interfaces import DriverStore, State, WorkerStore
from orchestrator.store.layout import (
    Layout,
    attempt_folder,
    attempt_place,
    claim_file,
    damage_file,
    done_file,
    number_of,
)
from orchestrator.store.marks import (
    Claim,
    Damage,
    DoneMark,
    Failure,
    Lease,
    Mark,
    Placement,
    Queued,
    ResultFile,
    SignOfLife,
    StopRequest,
)
from orchestrator.store.node import Node
from trainers.supervisor import Stop

__all__ = ["PREFIX", "NodeStore", "checksums", "place_of"]

PREFIX = 12
"""Digits of a signature in the name of a folder."""
OLD_MARKS = (Failure, StopRequest, Placement, Lease)
"""Marks of attempts that older versions wrote to the node's folder."""
LEFTOVERS = (SignOfLife, Queued, StopRequest, Placement)
"""Marks that a finished attempt has no more. `sweep` removes the sign of life last; a driver may write the others after
that, and be killed before it removes them."""


class NodeStore(DriverStore, WorkerStore):
    """Nodes under one root, and what follows from their marks alone.

    Args:
        root: a folder on this host, see `MarkReader.root`.
        listed: read the index of all nodes now; a worker, which knows its nodes by name, needs none.
    """

    takeover_s = 75.0
    """More than the minute for which NFS may show a folder as it was."""

    def __init__(self, root: Path, *, listed: bool = True) -> None:
        self.root = root
        self._names: dict[str, str] = {}
        """First digits of a signature -> name of the folder."""
        self._watched: dict[str, tuple[object, float]] = {}
        """Folder of a node of another run -> its last claim and signs, and when they were first seen (monotonic)."""
        self._late: dict[str, set[str]] = {}
        """Folder of a node -> marks in it that were found by their names; NFS may show the folder without them."""
        self._queued: dict[tuple[str, int], int] = {}
        """Folder and attempt -> how often the driver renewed the claim."""
        if listed:
            self.refresh()

    @abstractmethod
    def known_layout(self, name: str) -> Layout:
        """`layout`, as of the last look if that is cheaper."""

    @abstractmethod
    def _checked(self, name: str, mark: DoneMark, file: str) -> Path:
        """The local folder of results, compared with their done-mark, which is in a file.

        Raises:
            DamagedInputError: a file is not what the mark says.
        """

    @abstractmethod
    def _history(self, place: str) -> list[dict[str, Any]]:
        """Epoch records in a folder."""

    @abstractmethod
    def _publish(self, name: str, number: int, files: Iterable[Path]) -> None:
        """Bring results to an attempt's folder in the store."""

    @abstractmethod
    def _has(self, name: str, number: int, mark: type[Mark]) -> bool:
        """Whether an attempt's folder has a mark."""

    @abstractmethod
    def _clear(self, name: str, number: int, keep: Collection[str]) -> None:
        """Remove an attempt's folder, or all but some of its files."""

    @abstractmethod
    def _drop(self, name: str, files: Iterable[str]) -> None:
        """Remove files of a node's folder, ignoring missing ones."""

    # --- names

    @override
    def name(self, node: Node) -> str:
        return self.name_of(node.signature, node.name)

    @override
    def name_of(self, signature: str, name: str = "") -> str:
        key = signature[:PREFIX]
        return self._names.get(key, f"{name}-{key}")

    # --- what marks say

    @override
    def state(self, node: Node) -> State:
        name = self.name(node)
        layout = self.known_layout(name)
        if not layout.names:
            return State("new")
        done = self._done_mark(name, layout)
        if done is not None:
            if done.signature != node.signature:
                raise StoreError(f"{self.where(node)} belongs to another node; remove it and launch again")
            return State("done", mark=done)
        if layout.generation > 1:
            claim = self._latest_claim(name, layout)
            if claim is None or claim.generation < layout.generation:  # nobody has begun to compute it again
                damage = self.read_mark(name, Damage, damage_file(layout.generation - 1)) or Damage()
                return State("damaged", damage.cause)
        failure = self._failure(name, layout)
        return State("partial") if failure is None else State("failed", failure.cause)

    @override
    def done_mark(self, name: str) -> DoneMark | None:
        layout = self.layout(name)
        # Asked for by its name: NFS may show the folder as it was before the node was done.
        return self.read_mark(name, DoneMark, done_file(layout.generation))

    def _done_mark(self, name: str, layout: Layout) -> DoneMark | None:
        return self.read_mark(name, DoneMark, done_file(layout.generation)) if layout.is_done else None

    @override
    def generation(self, node: Node) -> int:
        return self.known_layout(self.name(node)).generation

    @override
    def done(self, node: Node) -> DoneMark:
        name = self.name(node)
        mark = self._done_mark(name, self.known_layout(name))
        if mark is None:
            raise StoreError(f"{self.where(node)} is not done; resume the run")
        return mark

    @override
    def failure(self, name: str) -> Failure | None:
        return self._failure(name, self.layout(name))

    def _failure(self, name: str, layout: Layout) -> Failure | None:
        if layout.claims:
            return self.read_mark(attempt_place(name, layout.claims[-1]), Failure)
        return self.read_mark(name, Failure) if Failure.FILE in layout.names else None

    @override
    def latest_claim(self, name: str) -> Claim | None:
        return self._latest_claim(name, self.layout(name))

    def _latest_claim(self, name: str, layout: Layout) -> Claim | None:
        if layout.claims:
            return self.read_mark(name, Claim, claim_file(layout.claims[-1]))
        lease = self.read_mark(name, Lease) if Lease.FILE in layout.names else None
        return None if lease is None else Claim(lease.attempt, lease.run_id, tries=lease.attempt)

    @override
    def results(self, node: Node) -> Path:
        return self.results_of(self.name(node))

    @override
    def results_of(self, name: str) -> Path:
        layout = self.known_layout(name)
        while True:
            mark = self._done_mark(name, layout)
            if mark is not None:
                try:
                    return self._checked(name, mark, done_file(layout.generation))
                except DamagedInputError as error:
                    damage = error
            now = self.layout(name)
            if now == layout or not now.is_done:
                break
            layout = now  # it was computed again meanwhile
        if mark is None:
            mark = self.done_mark(name)
            if mark is None:
                raise self._missing(name, now)
            return self._checked(name, mark, done_file(now.generation))
        raise self.damage(name, layout.generation, damage)

    @override
    def is_void(self, name: str) -> bool:
        layout = self.layout(name)
        file = damage_file(layout.generation)
        if self.read_mark(name, Damage, file) is not None:
            self._late.setdefault(name, set()).add(file)
            return True
        return not layout.is_done and layout.generation > 1

    def _missing(self, name: str, layout: Layout) -> DamagedInputError:
        void = layout.generation - 1
        known = self.read_mark(name, Damage, damage_file(void)) if void else None
        missing = f"{self.url}/{name}: its results are missing; launch or resume the run to compute them"
        return DamagedInputError(missing if known is None else known.cause)

    @override
    def history(self, node: Node) -> list[dict[str, Any]]:
        name = self.name(node)
        layout = self.known_layout(name)
        mark = self._done_mark(name, layout)
        if mark is not None:
            return self._history(place_of(name, mark))
        void = self._void(name, layout)
        places = [name, *(attempt_place(name, number) for number in layout.attempts if number not in void)]
        return max((self._history(place) for place in places), key=len)

    def _void(self, name: str, layout: Layout) -> set[int]:
        """Attempts whose results are void."""
        marks = (self.read_mark(name, DoneMark, done_file(g)) for g in range(1, layout.generation))
        return {number_of(mark.folder) for mark in marks if mark is not None}

    # --- signs of life

    @override
    def sign_of(self, name: str, number: int) -> SignOfLife | None:
        try:
            return self.read_mark(attempt_place(name, number), SignOfLife)
        except StoreAwayError:
            raise
        except StoreError:
            return None

    @override
    def alive(self, node: Node) -> SignOfLife | None:
        name = self.name(node)
        for number in self.layout(name).attempts:
            sign = self.sign_of(name, number)
            if sign is not None:
                return sign
        return None

    @override
    def reached(self, node: Node) -> int:
        sign = self.alive(node)
        return 0 if sign is None else sign.saved

    @override
    def is_busy(self, node: Node, run_id: str, owner: int = 0) -> bool:
        name = self.name(node)
        return self._is_busy(name, self.layout(name), run_id, owner)

    def _is_busy(self, name: str, layout: Layout, run_id: str, owner: int) -> bool:
        claim = self._latest_claim(name, layout)
        if claim is None or layout.is_done or claim.generation < layout.generation:
            return False
        if claim.is_of(run_id) and claim.owner <= owner:
            return False  # with a larger number, another process has taken the run over while this one was suspended
        place = attempt_place(name, claim.attempt)
        sign = self.read_mark(place, SignOfLife)
        if self._failure(name, layout) is not None or (sign is not None and sign.ended):
            return False
        seen = (claim, sign, self.read_mark(place, Queued))
        before, since = self._watched.get(name, (None, 0.0))
        if before != seen:
            self._watched[name] = (seen, time.monotonic())
            return True
        return time.monotonic() - since < self.takeover_s

    @override
    def beat(self, name: str, number: int, sign: SignOfLife) -> None:
        self.write_mark(attempt_place(name, number), sign)

    @override
    def queued(self, name: str, number: int) -> None:
        beats = self._queued[name, number] = self._queued.get((name, number), 0) + 1
        with suppress(FileNotFoundError):  # it has ended and its folder was swept
            self.write_mark(attempt_place(name, number), Queued(beats))

    # --- claims

    @override
    def claim(self, node: Node, run_id: str, owner: int = 0) -> Claim:
        name = self.name(node)
        while True:
            layout = self.layout(name)
            if self._is_busy(name, layout, run_id, owner):
                raise BusyError(f"another run works on {self.where(node)}; wait until it ends")
            made = self._try_claim(name, layout, run_id, owner)
            if made is not None:
                return made

    @override
    def claim_anyway(self, name: str, run_id: str, owner: int = 0) -> Claim:
        while True:
            made = self._try_claim(name, self.layout(name), run_id, owner)
            if made is not None:
                return made

    def _try_claim(self, name: str, layout: Layout, run_id: str, owner: int = 0) -> Claim | None:
        """Make the next claim; None if somebody else made it since the layout was read."""
        before = self._latest_claim(name, layout)
        claim = Claim(
            attempt=1 + self._last_number(name, layout),
            run_id=run_id,
            owner=owner,
            token=uuid.uuid4().hex,
            generation=layout.generation,
            tries=1 if before is None or before.generation != layout.generation else 1 + before.tries,
            host=socket.gethostname(),
            started=time.time(),
        )
        return claim if self.create_mark(name, claim, claim_file(claim.attempt)) else None

    def _last_number(self, name: str, layout: Layout) -> int:
        """The largest number that an attempt has had. No claim is ever removed, so no number comes back."""
        if layout.claims:
            return layout.claims[-1]
        lease, failure = self._latest_claim(name, layout), self._failure(name, layout)
        done = self.read_mark(name, DoneMark) if DoneMark.FILE in layout.names else None
        return max(
            *layout.attempts[:1],
            0 if lease is None else lease.attempt,
            0 if failure is None else failure.attempt or 0,
            0 if done is None or not done.host else done.attempts,
            0,
        )

    @override
    def may_write(self, name: str, claim: Claim) -> bool:
        layout = self.layout(name)
        if layout.generation < claim.generation or max(layout.claims, default=0) < claim.attempt:
            # NFS shows the folder as it was before the claim, which is there.
            return self.read_mark(name, DoneMark, done_file(claim.generation)) is None
        if layout.is_done or layout.generation != claim.generation:
            return False
        return self._latest_claim(name, layout) == claim

    @override
    def ask_to_stop(self, name: str, number: int, stop: Stop) -> None:
        with suppress(FileNotFoundError):  # it has ended and its folder was swept
            self.write_mark(attempt_place(name, number), StopRequest(stop))

    @override
    def stop_asked(self, name: str, number: int) -> Stop:
        try:
            mark = self.read_mark(attempt_place(name, number), StopRequest)
        except StoreError:
            return "no"
        return "no" if mark is None else mark.stop

    # --- results

    @override
    def finish(self, name: str, claim: Claim, mark: DoneMark, files: Iterable[Path]) -> None:
        files = sorted(files)
        folder = attempt_folder(claim.attempt)
        mark = replace(mark, attempts=claim.attempt, folder=folder, files=checksums(files))
        self._publish(name, claim.attempt, files)
        self.write_mark(attempt_place(name, claim.attempt), mark)
        if not self.create_mark(name, mark, done_file(claim.generation)):
            raise SupersededError(f"another attempt at {name} has finished before this one")
        self.sweep(name)

    @override
    def sweep(self, name: str) -> None:
        layout = self.layout(name)
        mark = self._done_mark(name, self.layout(name))  # looked up after the attempts
        if mark is None:
            return
        for number in layout.attempts:
            own = number == number_of(mark.folder)
            self._clear(name, number, {*mark.files, DoneMark.FILE} if own else ())
        self._drop(name, (old.FILE for old in OLD_MARKS))

    @override
    def has_leftovers(self, node: Node) -> bool:
        name = self.name(node)
        layout = self.known_layout(name)
        if not layout.is_done:
            return False
        if len(layout.attempts) > 1 or Lease.FILE in layout.names:
            return True
        return any(self._has(name, number, mark) for number in layout.attempts for mark in LEFTOVERS)

    @override
    def forget(self, node: Node) -> None:
        name = self.name(node)
        layout = self.layout(name)
        if layout.is_done:
            self.create_mark(
                name,
                Damage(f"{self.where(node)} is to be computed again, as asked; resume the run"),
                damage_file(layout.generation),
            )
            self.refresh(node)

    def damage(self, name: str, generation: int, error: DamagedInputError) -> DamagedInputError:
        """Remember that a generation of results is void, because of an error."""
        try:
            self.create_mark(name, Damage(str(error)), damage_file(generation))
        except (OSError, StoreError):  # a store that can't be written to can still be read
            return error
        return error

    # --- logs

    @override
    def log_file(self, name: str, number: int) -> Path:
        path = self.root / name / "logs" / f"{number}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def place_of(name: str, mark: DoneMark) -> str:
    """The folder of a node's results."""
    return f"{name}/{mark.folder}" if mark.folder else name


def checksums(files: Iterable[Path]) -> dict[str, ResultFile]:
    """What a done-mark lists of results."""
    return {path.name: ResultFile(sha256_file(path), path.stat().st_size) for path in sorted(files)}
