"""One owner of a RUN: the process that launches it, while it lives.

The owner holds a lock on `RUN/owner.lock`, which the kernel releases when the process ends, however it ends.
`RUN/owner.json` names the process, with a counter that goes up every few seconds: a file system may not share locks
between machines, so an owner on another machine counts as dead only when its counter stands still.

Each owner has a number of its own, taken by making the file `RUN/owners/<number>`. An owner that was suspended and
taken for dead, or began at the same moment as another one, finds a larger number in `owner.json` or in a claim, and
ends.
"""

import fcntl
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from features.errors import InputError, StoreError
from features.files import create, read_json, write_json

__all__ = ["Owner", "OwnerSign", "current_owner", "own"]

BEAT_S = 3.0
STANDSTILL_S = 12.0


@dataclass(frozen=True)
class OwnerSign:
    """What the owner of a run writes every few seconds, `owner.json`."""

    token: str
    """A random word, different for each owner."""
    host: str
    pid: int
    time: float
    """Unix time."""
    count: int
    """Goes up with each sign."""
    number: int = 0
    """Of all owners that the run has had; 0 for one of an older version."""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class Owner:
    """This process as the owner of a run."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder, self.number = folder, number
        self.token = uuid.uuid4().hex
        self.took_over: str | None = None
        """The owner that died before, in words; None if there was none."""
        self.was_replaced = False
        """Whether another process took the run over: this one was suspended, or both began at once. It has to end."""

    def look(self) -> bool:
        """Look whether this process is still the owner."""
        now = current_owner(self.folder)
        # A smaller number is a sign that an earlier owner was about to write when it was suspended.
        self.was_replaced = self.was_replaced or (
            now is not None and now.token != self.token and now.number >= self.number
        )
        return not self.was_replaced

    def check(self) -> None:
        """Raise StoreError if another process has taken the run over."""
        if not self.look():
            raise StoreError(
                f"{self.folder} was taken over by {current_owner(self.folder) or 'another process'}, as this one was "
                f"suspended or both began at once; follow it with: sonogrid status {self.folder} --watch"
            )


def current_owner(folder: Path) -> OwnerSign | None:
    """What the owner of a run last wrote; None if the run has no owner."""
    try:
        content = read_json(folder / "owner.json")
    except StoreError:
        return None
    match content:
        case {"token": str(token), "host": str(host), "pid": int(pid), "time": int() | float() as time_s, **rest}:
            count, number = (rest.get(name) for name in ("count", "number"))
            count, number = (value if isinstance(value, int) else 0 for value in (count, number))
            return OwnerSign(token, host, pid, float(time_s), count, number)
    return None


@contextmanager
def own(folder: Path) -> Iterator[Owner]:
    """Own a run while the block runs.

    Raises:
        InputError: a live process owns it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "owner.lock").open("a") as lock:
        before = current_owner(folder)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _refusal(folder, before) from None
        except OSError:  # a file system without locks: only the counter shows it
            if before is not None and _counts(folder, before):
                raise _refusal(folder, before) from None
        if before is not None and before.host != socket.gethostname() and _counts(folder, before):
            raise _refusal(folder, before)
        owner = Owner(folder, _next_number(folder))
        owner.took_over = None if before is None else str(before)
        ended = threading.Event()
        _beat(owner, 0)
        thread = threading.Thread(target=_keep_beating, args=(owner, ended), name="owner", daemon=True)
        thread.start()
        try:
            yield owner
        finally:
            ended.set()
            thread.join()
            if owner.look():
                (folder / "owner.json").unlink(missing_ok=True)


def _next_number(folder: Path) -> int:
    """The number of a new owner, one above the last. No two processes get the same one, even without locks."""
    taken = folder / "owners"
    names = os.listdir(taken) if taken.exists() else []  # noqa: PTH208 - names are all that is needed
    number = 1 + max((int(name) for name in names if name.isdecimal()), default=0)
    while not create(taken / str(number), b""):
        number += 1  # another process took it first, or NFS shows the folder as it was
    return number


def _beat(owner: Owner, count: int) -> None:
    sign = OwnerSign(owner.token, socket.gethostname(), os.getpid(), time.time(), count, owner.number)
    write_json(owner.folder / "owner.json", asdict(sign))


def _keep_beating(owner: Owner, ended: threading.Event) -> None:
    count = 0
    while not ended.wait(BEAT_S) and owner.look():
        count += 1
        try:
            _beat(owner, count)
        except OSError:  # a full disk: the lock still shows that we live
            continue


def _counts(folder: Path, before: OwnerSign) -> bool:
    """Whether an owner's counter moves; depends on no clock of another machine."""
    deadline = time.monotonic() + STANDSTILL_S
    while True:
        late = time.monotonic() >= deadline
        now = current_owner(folder)
        if now is None:
            return False
        if (now.token, now.count) != (before.token, before.count):
            return True
        if late:  # the last look is after the deadline: this process may have been suspended meanwhile
            return False
        time.sleep(0.5)


def _refusal(folder: Path, owner: OwnerSign | None) -> InputError:
    return InputError(
        f"{folder} is being run by {owner or 'another process'}: "
        f"follow it with 'sonogrid status {folder} --watch', or end it there first"
    )
