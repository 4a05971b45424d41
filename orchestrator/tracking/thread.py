"""Mirrors in the background while a grid runs. An outage of MLflow is waited out and stops no job."""

import threading
import time

from orchestrator.redact import one_line
from orchestrator.run.bound import Run
from orchestrator.tracking.mirror import Mirror

__all__ = ["MirrorThread"]

PATIENCE_S = 60.0
"""How long to wait at the end of a launch for a server that does not answer."""


class MirrorThread:
    """A thread that mirrors a run every few seconds.

    Args:
        run: the run to mirror.
        running: signatures of submitted jobs; the caller adds and removes them while the thread runs.
        every_s: pause between two mirrorings in seconds.
    """

    def __init__(self, run: Run, running: set[str], every_s: float = 5.0) -> None:
        self.mirror = Mirror(run)
        self.running = running
        self.every_s = every_s
        self.trouble: str | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="mlflow-mirror", daemon=True)

    def start(self) -> None:
        """Start mirroring."""
        self._thread.start()

    def _loop(self) -> None:
        while not self._ending.wait(self.every_s):
            self._try()

    def _try(self) -> bool:
        try:
            self.mirror.sync(frozenset(self.running))
        except Exception as error:
            # Whatever the client, the database or the network raises: the view is late, and nothing else.
            self.trouble = f"{type(error).__name__}: {one_line(error)}"
            return False
        self.trouble = None
        return True

    def _last_try(self) -> bool:
        self.mirror.rest_until = 0.0
        return self._try()

    def finish(self) -> str | None:
        """Stop after mirroring once more; returns the cause if MLflow cannot be reached."""
        self._ending.set()
        self._thread.join(PATIENCE_S)
        if self._thread.is_alive():
            return self.trouble or "MLflow does not answer"
        deadline = time.monotonic() + PATIENCE_S / 2
        while not self._last_try() and time.monotonic() < deadline:
            time.sleep(1.0)
        return self.trouble
