"""One attempt at a node, in the process that runs it: whether it may write, its signs of life, its stop, its log.

Attempts at a node are numbered, and each has a folder of its own. Only the one with the latest claim may write. A
thread writes a sign of life every few seconds.
"""

import faulthandler
import itertools
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from typing_extensions import override

from features.errors import StoreError, SupersededError
from orchestrator.redact import redact
from orchestrator.store.interfaces import WorkerStore
from orchestrator.store.marks import Claim, DoneMark, Failure, Placement, Queued, SignOfLife, StopRequest
from trainers.history import CHECKPOINT, PREVIOUS
from trainers.supervisor import Stop, Supervisor

__all__ = ["Attempt"]

MARKS = (DoneMark, Failure, Placement, Queued, SignOfLife, StopRequest)
UNFINISHED = frozenset({CHECKPOINT, PREVIOUS, *(mark.FILE for mark in MARKS)})
"""Files of an attempt that are not results."""
PATIENCE = 3
"""How often to look at claims that can't be read, and the seconds between two looks."""
PAUSE_S = 1.0

log = logging.getLogger("sonogrid")


class _Handler(logging.StreamHandler[TextIO]):
    """Writes the log of an attempt. Lines for which the disk has no room are dropped: the job itself reports that."""

    @override
    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


class _Formatter(logging.Formatter):
    """Lines without secrets: an error's text or traceback may hold a database's URL."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


class Attempt(Supervisor):
    """Use as a context manager around the work.

    Args:
        store: where the node is.
        name: name of the node's folder.
        claim: the attempt's claim on the node.
        stopping: whether the process was asked to stop; a request to the node is in the store.
        stall_s: after so long without progress the log gets the stack of every thread; 0: never.
        place: what the cluster calls the machine.
    """

    def __init__(
        self,
        store: WorkerStore,
        name: str,
        claim: Claim,
        stopping: Callable[[], Stop] = lambda: "no",
        *,
        stall_s: float = 0.0,
        place: str = "",
    ) -> None:
        self.store, self.name, self.claim, self.number = store, name, claim, claim.attempt
        self.stall_s = stall_s
        self._stopping = stopping
        self._asked: Stop = "no"
        self._count = 0
        self._where: dict[str, int] = {}
        self._sign = SignOfLife(host=socket.gethostname(), pid=os.getpid(), place=place, started=time.time())
        self._beats = itertools.count(1)
        self._may_go_on = True
        """Whether another attempt may have to continue from here."""
        self._ended = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="sign of life", daemon=True)

    def __enter__(self) -> Self:
        self.before_write()
        self.folder = self.store.begin(self.name, self.number)
        self._log = self.store.log_file(self.name, self.number).open("a", encoding="utf-8")
        self._handler = _Handler(self._log)
        self._handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(self._handler)
        log.setLevel(logging.INFO)
        log.info("attempt %d on %s, process %d", self.number, self._sign.host, self._sign.pid)
        try:
            self._show_life()
        except BaseException:
            self._close_log()
            raise
        self._beating.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._ended.set()
        self._beating.join()
        faulthandler.cancel_dump_traceback_later()
        if error is not None:
            log.error("%s", error, exc_info=error)
        self._close_log()
        with suppress(OSError, StoreError):  # the job itself reports what is wrong with the store
            if self._may_go_on and not isinstance(error, SupersededError):
                self._sign = replace(self._sign, ended=True)
                self._show_life()  # so that another run need not wait until it believes this attempt dead
            self.store.keep_log(self.name, self.number)
        self.store.end(self.folder)

    def _close_log(self) -> None:
        log.removeHandler(self._handler)
        with suppress(OSError):  # a full disk has no room for the last lines
            self._log.close()

    def earlier(self) -> list[Path]:
        """Folders of earlier attempts, newest first."""
        return self.store.earlier(self.name, self.number)

    def stop(self) -> Stop:
        """What was asked, as of the last sign of life or checkpoint."""
        return self._asked

    def progress(self, **where: int) -> None:
        """Count a piece of work."""
        self._count += 1
        self._where = where

    def before_write(self) -> None:
        """See `Supervisor`: only the latest attempt may write.

        Raises:
            SupersededError: another attempt has the node.
            StoreError: the store can't say who has it, also after some patience.
        """
        if not self._may_write():
            raise SupersededError(f"attempt {self.number} at {self.name} is no longer the latest and ends")

    def _may_write(self) -> bool:
        for _ in range(PATIENCE):
            with suppress(StoreError):
                return self.store.may_write(self.name, self.claim)
            time.sleep(PAUSE_S)
        return self.store.may_write(self.name, self.claim)

    def after_write(self) -> None:
        """Copy the checkpoint to the store, and look at once whether to stop."""
        self.store.checkpointed(self.name, self.number, self.folder)
        log.info("checkpoint at %s", ", ".join(f"{part} {number}" for part, number in self._where.items()))
        self._sign = replace(self._sign, saved=self._where.get("step", 0))
        self._show_life()
        self._look()

    def finish(self, mark: DoneMark) -> None:
        """Make the attempt's files the node's results.

        Raises:
            SupersededError: another attempt has the node.
        """
        self._ended.set()
        self._beating.join()
        self.before_write()
        files = [p for p in self.folder.iterdir() if p.name not in UNFINISHED and not p.name.startswith(".")]
        log.info("done")
        self._may_go_on = False
        self.store.finish(self.name, self.claim, mark, files)

    def _look(self) -> None:
        asked = self._stopping()
        self._asked = asked if asked != "no" else self.store.stop_asked(self.name, self.number)

    def _beat(self) -> None:
        seen = -1
        while not self._ended.wait(self.store.beat_s):
            if self.stall_s and self._count != seen:
                seen = self._count
                faulthandler.dump_traceback_later(self.stall_s, file=self._log)
            try:
                self._look()
                self.before_write()
                self._show_life()
            except SupersededError:
                self._asked = "now"
            except (OSError, StoreError):  # a full or missing store: the job itself will report it
                continue

    def _show_life(self) -> None:
        where = self._where
        sign = replace(
            self._sign,
            epoch=where.get("epoch"),
            step=where.get("step"),
            count=self._count,
            time=time.time(),
            beats=next(self._beats),
        )
        self.store.beat(self.name, self.number, sign)
