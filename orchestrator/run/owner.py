"""One owner of a RUN: the process that launches it, while it lives.

A lock on `RUN/owner.lock` is held as long as the process lives, and the kernel drops it when it dies, however it dies.
`RUN/owner.json` says who it is, with a counter that goes up every few seconds: a file system may not share locks
between machines, so an owner on another machine counts as dead only when its counter stands still.
"""

import fcntl
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from features.errors import InputError, StoreError
from features.files import read_json, write_json

__all__ = ["Owner", "current_owner", "own"]

BEAT_S = 3.0
STANDSTILL_S = 12.0


class Owner:
    """This process as the owner of a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.token = uuid.uuid4().hex
        self.took_over: str | None = None
        """Who owned the run before and died, in words."""


def current_owner(folder: Path) -> dict[str, Any] | None:
    """What the owner of a run last wrote of itself; None if nobody owns it."""
    try:
        owner: dict[str, Any] = read_json(folder / "owner.json")
    except StoreError:
        return None
    return owner


@contextmanager
def own(folder: Path) -> Iterator[Owner]:
    """Own a run while the block runs.

    Raises:
        InputError: a live process owns it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "owner.lock").open("a") as lock:
        owner = Owner(folder)
        before = current_owner(folder)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _refusal(folder, before) from None
        except OSError:  # a file system without locks: the counter alone tells
            if before is not None and _counts(folder, before):
                raise _refusal(folder, before) from None
        if before is not None:
            if before.get("host") != socket.gethostname() and _counts(folder, before):
                raise _refusal(folder, before)
            owner.took_over = _words(before)
        ended = threading.Event()
        _beat(owner, 0)
        thread = threading.Thread(target=_keep_beating, args=(owner, ended), name="owner", daemon=True)
        thread.start()
        try:
            yield owner
        finally:
            ended.set()
            thread.join()
            (folder / "owner.json").unlink(missing_ok=True)


def _beat(owner: Owner, count: int) -> None:
    write_json(
        owner.folder / "owner.json",
        {"token": owner.token, "host": socket.gethostname(), "pid": os.getpid(), "time": time.time(), "count": count},
    )


def _keep_beating(owner: Owner, ended: threading.Event) -> None:
    count = 0
    while not ended.wait(BEAT_S):
        count += 1
        try:
            _beat(owner, count)
        except OSError:  # a full disk: the lock still says that we live
            continue


def _counts(folder: Path, before: dict[str, Any]) -> bool:
    """Whether an owner's counter moves; independent of anybody's clock."""
    deadline = time.monotonic() + STANDSTILL_S
    while time.monotonic() < deadline:
        now = current_owner(folder)
        if now is None:
            return False
        if (now.get("token"), now.get("count")) != (before.get("token"), before.get("count")):
            return True
        time.sleep(0.5)
    return False


def _words(owner: dict[str, Any]) -> str:
    return f"process {owner.get('pid')} on {owner.get('host')}"


def _refusal(folder: Path, owner: dict[str, Any] | None) -> InputError:
    who = _words(owner) if owner else "another process"
    return InputError(
        f"{folder} is being run by {who}: follow it with 'sonogrid status {folder} --watch', or end it there first"
    )
