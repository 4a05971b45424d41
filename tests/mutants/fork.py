"""Work in a fork of this process, with a limit of time; whatever it starts or leaves ends with it."""

import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress

__all__ = ["TIME", "forked"]

TIME = "time"
"""Said of work that was ended at its limit."""


def forked(work: Callable[[], str], limit_s: float) -> tuple[str, float]:
    """What `work` says in a fork of this process, and the seconds it took. pytest's temporary folders are removed."""
    started = time.monotonic()
    folder = tempfile.mkdtemp(prefix="mutant-")
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setpgid(0, 0)
            os.environ["PYTEST_DEBUG_TEMPROOT"] = folder
            random.seed(0)
            _write(writer, work().encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    said = _ended(reader, child, started + limit_s)
    os.close(reader)
    shutil.rmtree(folder, ignore_errors=True)
    return said, time.monotonic() - started


def _write(writer: int, content: bytes) -> None:
    while content:
        content = content[os.write(writer, content) :]


def _ended(reader: int, child: int, deadline: float) -> str:
    """Read what a child says until it ends; then end the processes that it started."""
    os.set_blocking(reader, False)
    said, status = b"", None
    while status is None and time.monotonic() < deadline:
        pid, found = os.waitpid(child, os.WNOHANG)
        status = found if pid else None
        said += _available(reader)
        time.sleep(0.01)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if status is None:
        os.waitpid(child, 0)
        return TIME
    said += _available(reader)
    return said.decode() if status == 0 else "the process ended"


def _available(reader: int) -> bytes:
    with suppress(BlockingIOError):
        return os.read(reader, 1 << 20)
    return b""
