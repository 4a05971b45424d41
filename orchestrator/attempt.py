"""One attempt at a node, in the process that runs it: may it still write, is it alive, should it stop, what did it say.

It works in a folder of its own and is one of several that were ever made: each is numbered, and only the one that the
node's `attempt.json` names may write. A thread writes a sign of life every few seconds.
"""

import faulthandler
import logging
import os
import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from features.errors import StoreError, SupersededError
from features.files import write_json
from orchestrator.store import ALIVE, attempt_folder, attempts, mark_done, read_lease
from trainers.progress import CHECKPOINT, PREVIOUS
from trainers.supervisor import Stop, Supervisor

__all__ = ["Attempt", "log_path"]

BEAT_S = 2.0
UNFINISHED = frozenset({CHECKPOINT, PREVIOUS, ALIVE})
"""Files of an attempt that are no results."""

log = logging.getLogger("sonogrid")


def log_path(folder: Path, number: int) -> Path:
    """What an attempt at a node had to say."""
    return folder / "logs" / f"{number}.log"


class Attempt(Supervisor):
    """Use as a context manager around the work.

    Args:
        node: the node's folder.
        number: of this attempt.
        stopping: whether to stop, asked at most every `BEAT_S` and at the end of an epoch.
        stall_s: without progress for so long, the log gets the stack of every thread; 0: never.
        place: what the cluster calls the machine.
    """

    def __init__(
        self, node: Path, number: int, stopping: Callable[[], Stop], *, stall_s: float = 0.0, place: str = ""
    ) -> None:
        self.node, self.number = node, number
        self.folder = attempt_folder(node, number)
        self.stall_s = stall_s
        self._stopping = stopping
        self._asked: Stop = "no"
        self._count = 0
        self._where: dict[str, int] = {}
        self._sign = {"host": socket.gethostname(), "pid": os.getpid(), "place": place, "started": time.time()}
        self._ended = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="sign of life", daemon=True)

    def __enter__(self) -> Self:
        self.before_write()
        self.folder.mkdir(parents=True, exist_ok=True)
        path = log_path(self.node, self.number)
        path.parent.mkdir(exist_ok=True)
        self._log = path.open("a", encoding="utf-8")
        self._handler = logging.StreamHandler(self._log)
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(self._handler)
        log.setLevel(logging.INFO)
        log.info("attempt %d on %s, process %d", self.number, self._sign["host"], self._sign["pid"])
        self._show_life()
        self._beating.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._ended.set()
        self._beating.join()
        faulthandler.cancel_dump_traceback_later()
        if error is not None:
            log.error("%s", error, exc_info=error)
        log.removeHandler(self._handler)
        self._log.close()

    @property
    def earlier(self) -> list[Path]:
        """Folders of earlier attempts, newest first."""
        return [path for path in attempts(self.node) if path != self.folder]

    def stop(self) -> Stop:
        """What was asked when last looked."""
        return self._asked

    def progress(self, **where: int) -> None:
        """Count a piece of work."""
        self._count += 1
        self._where = where

    def before_write(self) -> None:
        """Refuse when another attempt has the node."""
        if read_lease(self.node).get("attempt") != self.number:
            raise SupersededError(f"attempt {self.number} at {self.node.name} is not the latest any more and ends")

    def after_write(self) -> None:
        """There is a checkpoint of this attempt: those of attempts before the last one are of no use any more."""
        log.info("checkpoint at %s", self._where)
        self._asked = self._stopping()
        for path in self.earlier[1:]:
            shutil.rmtree(path, ignore_errors=True)

    def finish(self, mark: dict[str, Any]) -> None:
        """Make the attempt's files the node's results.

        Raises:
            SupersededError: another attempt has the node.
        """
        self._ended.set()
        self._beating.join()
        self.before_write()
        files = [p for p in self.folder.iterdir() if p.name not in UNFINISHED and not p.name.startswith(".")]
        log.info("done")
        mark_done(self.node, {**mark, "attempts": self.number}, files)

    def _beat(self) -> None:
        seen = -1
        while not self._ended.wait(BEAT_S):
            if self.stall_s and self._count != seen:
                seen = self._count
                faulthandler.dump_traceback_later(self.stall_s, file=self._log)
            try:
                self._asked = self._stopping()
                self.before_write()
                self._show_life()
            except SupersededError:
                self._asked = "now"
            except (OSError, StoreError):  # a full or absent store: the job itself will say so
                continue

    def _show_life(self) -> None:
        write_json(self.folder / ALIVE, {**self._sign, **self._where, "count": self._count, "time": time.time()})
