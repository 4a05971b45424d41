"""The invariants of docs/protocol.md, checked at every change of the store, at every read of a job, and at the end.

Numbers in comments are those of the page. `Rules` sees every change before it is made, whoever makes it.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.store.node import Node
from tests.simulator.faults import Faults
from tests.simulator.kernel import BrokenRuleError, Kernel, Process

__all__ = ["MOMENT_S", "RESULT", "Rules", "expected_result"]

RESULT = "result.json"
MOMENT_S = 6.0
"""Two signs of an owner."""
NUMBERED = re.compile(r"(claim|done|damaged)(?:-(\d+))?\.json")


@dataclass(eq=False)
class AttemptSeen:
    """What became of a claim."""

    run: str
    owner: int
    token: str
    generation: int
    driver: Process | None
    when: float
    was_done: bool
    """Whether the generation was finished already when the claim was made."""
    worker: Process | None = None
    ended: bool = False

    def is_undisturbed(self) -> bool:
        """Whether it could show that it lives, ever since it was claimed."""
        shows = self.worker or self.driver
        return shows is not None and not shows.dead and not self.ended and shows.disturbed < self.when


@dataclass(eq=False)
class NodeSeen:
    """The history of a node."""

    attempts: dict[int, AttemptSeen] = field(default_factory=dict)
    last: int = 0
    """The largest number that was claimed."""
    done: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    """Generation -> its done-mark."""
    void: set[int] = field(default_factory=set)

    def is_done(self, generation: int) -> bool:
        """Whether the results of a generation are finished and not void."""
        return generation in self.done and generation not in self.void

    @property
    def valid(self) -> Mapping[str, Any] | None:
        """The done-mark whose results are valid."""
        return next((mark for number, mark in self.done.items() if number not in self.void), None)


class Rules:
    """Watches one store.

    Args:
        kernel: of the history.
        faults: what goes wrong in it.
        content: name of a file in the store -> its bytes now.
    """

    def __init__(self, kernel: Kernel, faults: Faults, content: Callable[[str], bytes | None]) -> None:
        self.kernel, self.faults, self.content = kernel, faults, content
        self.nodes: dict[str, NodeSeen] = {}
        self.expected: dict[str, str] = {}
        """Folder of a node -> what its result has to be."""
        self.reading: dict[tuple[str, int], Process] = {}
        """Attempts that have not read all their inputs yet: what they have checked must not change before."""
        self.owners: dict[str, tuple[Process, float]] = {}
        """`owner.json` of a run -> who wrote it last, and since when it is this process."""

    def broken(self, text: str) -> BrokenRuleError:
        """An error for a rule that does not hold."""
        self.kernel.note(f"BROKEN {text}")
        error = BrokenRuleError(f"{text} (at {self.kernel.now:.3f} s)")
        self.kernel.error = self.kernel.error or error
        return error

    def node(self, name: str) -> NodeSeen:
        """What is known of a node."""
        return self.nodes.setdefault(name, NodeSeen())

    # --- changes of the store

    def changed(self, key: str, before: bytes | None, after: bytes | None) -> None:
        """A file of the store is about to change.

        Args:
            key: its name, relative to the store.
            before: its content; None if it is not there.
            after: its content then.
        """
        name, _, rest = key.partition("/")
        if not rest or rest.startswith(".") or "/." in rest:
            return
        found = NUMBERED.fullmatch(rest)
        if found is not None:
            self._marked(name, rest, found[1], int(found[2] or 1), before, after)
            return
        folder, _, file = rest.rpartition("/")
        valid = self.node(name).valid
        if valid is not None and valid.get("folder", "") == folder and file in valid["files"] and before != after:
            raise self.broken(f"invariant 4: {key} changes, which the done-mark names")
        if folder.startswith("attempt-"):
            if file == "alive.json" and after and b'"ended": true' in after:
                self.ended(name, int(folder.partition("-")[2]))
            if file == "failed.json" and after:
                self._failed(name, folder, json.loads(after))

    def _marked(self, name: str, rest: str, kind: str, number: int, before: bytes | None, after: bytes | None) -> None:
        node = self.node(name)
        if after is None:
            if before:
                raise self.broken(f"invariant 2: {name}/{rest} is removed")
            return
        if before:
            if before != after:
                raise self.broken(f"invariant {1 if kind == 'claim' else 2}: {name}/{rest} changes")
            return
        if not after:
            return  # a file system without hard links shows an empty file first
        self.kernel.note(f"{kind} {name}/{rest}")
        facts = json.loads(after)
        if kind == "claim":
            self._claimed(name, node, number, facts)
        elif kind == "damaged":
            node.void.add(number)
        else:
            self._finished(name, node, number, facts)

    def _claimed(self, name: str, node: NodeSeen, number: int, facts: Mapping[str, Any]) -> None:
        if number <= node.last:
            raise self.broken(f"invariant 1: attempt {number} at {name} is claimed twice")
        process = self.kernel.process
        generation = facts["generation"]
        seen = AttemptSeen(
            facts["run_id"],
            facts["owner"],
            facts["token"],
            generation,
            process,
            self.kernel.now,
            node.is_done(generation),
        )
        earlier = node.attempts.get(node.last)
        node.attempts[number], node.last = seen, number
        if earlier is None or earlier.generation != generation or name.startswith("manifest-") or seen.was_done:
            return
        if earlier.run == seen.run and earlier.owner < seen.owner:
            return  # of an owner that was taken for dead
        if earlier.is_undisturbed() and (earlier.run != seen.run or earlier.driver is not process or earlier.worker):
            raise self.broken(
                f"invariant 5: attempt {number} at {name} supersedes one that is alive and well without a reason"
            )

    def _finished(self, name: str, node: NodeSeen, number: int, mark: Mapping[str, Any]) -> None:
        if number > 1 and number - 1 not in node.void:
            raise self.broken(f"invariant 2: {name} is finished again, and nothing says why")
        node.done[number] = mark
        if name.startswith("manifest-"):
            return
        attempt = mark["attempts"]
        claim = node.attempts.get(attempt)
        if claim is None or claim.generation != number:
            raise self.broken(f"invariant 1: {name} is finished by attempt {attempt}, which has no claim for it")
        if claim.worker is not self.kernel.process and self.kernel.process is not None:
            raise self.broken(f"invariant 1: attempt {attempt} at {name} is finished by another process")
        for file, about in mark["files"].items():
            place = f"{name}/{mark['folder']}" if mark.get("folder") else name
            data = self.content(f"{place}/{file}")
            if data is None or hashlib.sha256(data).hexdigest() != about["sha256"]:
                raise self.broken(f"invariant 3: {place}/{file} is not what its done-mark says")
            if file == RESULT and data.decode() != self.expected[name]:
                raise self.broken(f"{name} has another result than an undisturbed run")

    def _failed(self, name: str, folder: str, failure: Mapping[str, Any]) -> None:
        seen = self.node(name).attempts.get(int(folder.partition("-")[2]))
        process = self.kernel.process
        if seen is not None:
            seen.ended = True
        if process is None or process.errors or seen is None:
            return
        if failure["class"] == "damaged":  # the input is computed again, and then the job
            return
        raise self.broken(f"invariant 6: {name} fails for good without a reason: {failure['cause'][:300]}")

    def owned(self, key: str, after: bytes | None) -> None:
        """`owner.json` of a run is about to be written or removed.

        Between its look and its write, a process may be suspended once: so it may be wrong for a moment. An owner that
        was replaced is in nobody's way once its successor was killed.
        """
        process = self.kernel.process
        assert process is not None
        owner, since = self.owners.get(key, (process, 0.0))
        first = process.memory.setdefault("owner since", self.kernel.now)
        late = max(since, process.frozen_until) + MOMENT_S < self.kernel.now
        if owner is not process and first < since and late and not owner.dead:
            what = "removes" if after is None else "writes"
            raise self.broken(f"one owner: {process.name} {what} {key}, though {owner.name} has taken over")
        if after is None and owner is process:
            self.owners.pop(key, None)  # it has ended: an earlier one that wakes now is in nobody's way
        elif key not in self.owners or (owner is not process and first >= since):
            self.owners[key] = process, self.kernel.now

    # --- jobs

    def begins(self, name: str, number: int, token: str) -> None:
        """The job of an attempt begins its work."""
        process = self.kernel.process
        assert process is not None
        seen = self.node(name).attempts.get(number)
        if seen is None or seen.token != token:
            raise self.broken(f"invariant 1: attempt {number} at {name} works without its claim")
        if seen.worker not in (None, process):
            raise self.broken(f"invariant 1: two processes are attempt {number} at {name}")
        if seen.was_done:
            raise self.broken(f"invariant 5: {name} is computed again, though it was finished before it was claimed")
        seen.worker = process
        self.kernel.note(f"works on {name}, attempt {number}")

    def started(self, name: str, number: int, process: Process) -> None:
        """The process of an attempt has started; from now on it has to show that it lives."""
        seen = self.node(name).attempts.get(number)
        if seen is not None and seen.worker not in (None, process):
            raise self.broken(f"invariant 1: two processes are attempt {number} at {name}")
        if seen is not None:
            seen.worker = process
        self.reading[name, number] = process

    def has_read(self, name: str, number: int) -> None:
        """An attempt has read all its inputs."""
        self.reading.pop((name, number), None)

    @property
    def is_reading(self) -> bool:
        """Whether a job has checked inputs that it has not read yet."""
        return any(not process.dead for process in self.reading.values())

    def ended(self, name: str, number: int) -> None:
        """The process of an attempt has left it."""
        self.has_read(name, number)
        seen = self.node(name).attempts.get(number)
        if seen is not None:
            seen.ended = True

    def read(self, name: str, file: str, data: bytes) -> None:
        """A job reads a file of its input."""
        sums = {mark["files"].get(file, {}).get("sha256") for mark in self.node(name).done.values()}
        if hashlib.sha256(data).hexdigest() not in sums:
            raise self.broken(f"invariant 3: what is read of {name}/{file} has a checksum that no done-mark names")


def expected_result(node: Node, results: Mapping[str, str]) -> str:
    """The result of a node, given those of its inputs by signature."""
    text = node.signature + "".join(results[parent] for parent in node.parents)
    return hashlib.sha256(text.encode()).hexdigest()
