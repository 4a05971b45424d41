"""What goes wrong in a history: a list of faults, drawn from the seed, and what each does to a call or a process.

A fault happens at the n-th storage call of the history, or at a time. The list is drawn before the history begins, so
that a failing one can be shrunk by leaving faults out.
"""

import errno
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from tests.simulator.kernel import Host, Kernel, KilledError, Process

__all__ = ["AT_CALL", "AT_TIME", "CallFailedError", "Fault", "Faults", "draw_faults"]

AtCall = Literal["crash", "crash after", "fail", "lost", "delayed", "repeated", "torn"]
AtTime = Literal[
    "freeze", "partition", "away", "mlflow away", "preempt", "host dies", "full", "rot", "stop", "terminate",
    "impatient", "clock", "force",
]  # fmt: skip
AT_CALL: dict[AtCall, str] = {
    "crash": "the process that makes the call is killed before it",
    "crash after": "it is killed after the call was done, before it has the answer",
    "fail": "the call is not done, and fails",
    "lost": "the call is done, and fails",
    "delayed": "a write to the object store is done later, and fails now",
    "repeated": "a write to the object store is done now, and once more later",
    "torn": "what is read from the object store breaks off",
}
AT_TIME: dict[AtTime, str] = {
    "freeze": "a process does nothing for a while",
    "partition": "a host does not reach the store, the other hosts, or both",
    "away": "the store answers nobody",
    "mlflow away": "MLflow answers nobody",
    "preempt": "a host is taken away after a notice of 30 s, and comes back",
    "host dies": "all processes of a host are killed",
    "full": "disks are full",
    "rot": "a file of a finished node changes",
    "stop": "a driver is asked to stop, as by Ctrl-C or SIGTERM",
    "terminate": "the process of a job gets SIGTERM",
    "impatient": "somebody launches a RUN once more, on another host",
    "clock": "the clock of a host jumps",
    "force": "somebody asks to compute a node again",
}
NOTICE_S = 30.0

T = TypeVar("T")


class CallFailedError(Exception):
    """A storage call got no answer."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong."""

    kind: AtCall | AtTime
    at: float
    """Number of the storage call, or seconds since the history began."""
    seconds: float = 0.0
    """How long it lasts."""
    pick: float = 0.0
    """A number from 0 to 1 that chooses whom it meets."""

    def __str__(self) -> str:
        when = f"call {self.at:.0f}" if self.kind in AT_CALL else f"{self.at:.1f} s"
        lasts = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.kind} at {when}{lasts} ({self.pick:.3f})"


def draw_faults(draw: random.Random, calls: int, seconds: float, most: int) -> list[Fault]:
    """Some faults for a history that would make so many calls in so many seconds without them."""
    found = []
    for _ in range(draw.randint(0, most)):
        if draw.random() < 0.6:
            kind: Any = draw.choice([*AT_CALL, "crash", "crash", "crash after"])
            found.append(Fault(kind, draw.randrange(calls), draw.choice([0.5, 5.0, 20.0, 80.0]), draw.random()))
        else:
            kind = draw.choice([*AT_TIME])
            lasts = draw.choice([1.0, 8.0, 20.0, 50.0, 100.0])
            found.append(Fault(kind, round(draw.uniform(0.0, seconds), 3), lasts, draw.random()))
    return found


class Faults:
    """Makes every storage call, and lets it go wrong if it is its turn.

    Args:
        kernel: of the history.
        faults: what goes wrong.
        hard: whether a call in the shared folder waits while the store is away, as on a hard mount of NFS.
    """

    def __init__(self, kernel: Kernel, faults: list[Fault], *, hard: bool) -> None:
        self.kernel, self.hard = kernel, hard
        self.calls = 0
        self.at_call: dict[int, Fault] = {int(fault.at): fault for fault in faults if fault.kind in AT_CALL}
        self.away = self.mlflow_away = self.full = 0.0
        """Until when."""
        self.over = 0.0
        """When the last fault so far has passed."""

    def lasts(self, until: float) -> None:
        """Remember that a fault goes on until then."""
        self.over = max(self.over, until)

    def call(self, operation: str, place: str, do: Callable[[], Any], changes: bool) -> Any:
        """Make a call of a file system.

        Raises:
            OSError: it failed.
            KilledError: the process was killed here.
        """
        process = self.kernel.process
        if process is None:
            return do()
        shared = place.startswith("/sim/")
        fault = self._begin(process)
        if shared:
            self._reach(process)
        if self.full > self.kernel.now and operation in ("write", "mkdir", "open", "create"):
            process.errors += 1
            raise OSError(errno.ENOSPC, "No space left on device", place)
        if fault is None:
            return do()
        try:
            return self._go_wrong(fault, process, operation, place, do)
        except CallFailedError:
            process.errors += 1
            raise OSError(errno.EIO, "Input/output error", place) from None

    def _reach(self, process: Process) -> None:
        """Wait for the shared folder, or fail."""
        kernel, host = self.kernel, process.host
        while (until := max(self.away, host.cut_from_store)) > kernel.now:
            process.disturbed = max(process.disturbed, until)
            if not self.hard:
                process.errors += 1
                kernel.pause(1.0)
                raise OSError(errno.ESTALE, "Stale file handle", "/sim/shared")
            kernel.pause(until - kernel.now)

    def request(self, operation: str, key: str, do: Callable[[], Any], changes: bool) -> Any:
        """Make one request to the object store.

        Raises:
            CallFailedError: it got no answer.
            KilledError: the process was killed here.
        """
        process = self.kernel.process
        if process is None:
            return do()
        fault = self._begin(process)
        until = max(self.away, process.host.cut_from_store)
        if until > self.kernel.now:
            process.errors += 1
            process.disturbed = max(process.disturbed, until)
            self.kernel.pause(5.0)
            raise CallFailedError
        return do() if fault is None else self._go_wrong(fault, process, operation, key, do, remote=True)

    def mlflow(self, operation: str, do: Callable[[], Any]) -> Any:
        """Make a call of MLflow.

        Raises:
            ConnectionError: MLflow is away.
        """
        process = self.kernel.process
        if process is None:
            return do()
        fault = self._begin(process)
        if self.mlflow_away > self.kernel.now:
            self.kernel.pause(2.0)
            raise ConnectionError("MLflow is away")
        if fault is None:
            return do()
        try:
            return self._go_wrong(fault, process, operation, "mlflow", do)
        except CallFailedError:
            raise ConnectionError("MLflow gave no answer") from None

    def _begin(self, process: Process) -> Fault | None:
        """Take the time of a call; returns what goes wrong with it."""
        if process.dead:
            raise KilledError
        number = self.calls
        self.calls = number + 1
        share = self.kernel.draw()
        self.kernel.pause(0.001 + 0.02 * share * share if share < 0.99 else 200 * (share - 0.99))
        return self.at_call.pop(number, None) if self.at_call else None

    def _go_wrong(
        self, fault: Fault, process: Process, operation: str, place: str, do: Callable[[], Any], *, remote: bool = False
    ) -> Any:
        kernel = self.kernel
        kernel.note(f"FAULT {fault} in {operation} {place}")
        self.lasts(kernel.now)
        process.disturbed = max(process.disturbed, kernel.now)
        match fault.kind:
            case "crash":
                kernel.kill(process)
            case "crash after":
                do()
                kernel.kill(process)
            case "fail":
                raise CallFailedError
            case "lost":
                do()
                raise CallFailedError
            case "delayed" if remote:
                self._later(fault.seconds, do)
                raise CallFailedError
            case "repeated" if remote:
                answer = do()
                self._later(fault.seconds, do)
                return answer
            case "torn" if remote:
                raise TornError
        return do()

    def _later(self, seconds: float, do: Callable[[], Any]) -> None:
        def apply() -> None:
            with suppress(Exception):  # nobody hears the answer
                do()

        self.lasts(self.kernel.now + seconds)
        self.kernel.at(self.kernel.now + seconds, apply)


class TornError(CallFailedError):
    """An answer broke off in the middle."""


def pick(choices: "list[T]", share: float) -> "T | None":
    """One of some, by a number from 0 to 1."""
    return choices[int(share * len(choices))] if choices else None


def reachable(host: Host, other: Host, now: float) -> bool:
    """Whether two hosts reach each other."""
    return host is other or max(host.cut_from_cluster, other.cut_from_cluster) <= now
