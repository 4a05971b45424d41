"""Mirrors in the background while a grid runs. An outage of MLflow is waited out and stops no job."""

import threading
import time

from features.errors import SonogridError
from orchestrator.redact import one_line
from orchestrator.run.bound import Run
from orchestrator.tracking.mirror import Mirror

__all__ = ["MirrorThread"]

PATIENCE_S = 60.0
"""How long to wait at the end of a launch for one answer of MLflow; half of it for a server that is away."""


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
        self.mirror.forget()
        deadline = time.monotonic() + PATIENCE_S / 2
        while not self._try() and time.monotonic() < deadline:
            time.sleep(1.0)

    def _try(self) -> bool:
        """Mirror once; returns whether MLflow could be reached."""
        try:
            self.mirror.sync(frozenset(self.running))
        except SonogridError as error:
            self.trouble = one_line(error)
        except Exception as error:
            # Whatever the client, the database or the network raises: the view is late, and nothing else.
            self.trouble = f"{type(error).__name__}: {one_line(error)}"
            return False
        else:
            self.trouble = None
        return True

    def finish(self) -> str | None:
        """Stop after mirroring once more, however long that takes while MLflow answers.

        Returns:
            What is wrong if MLflow is not up to date now.
        """
        self._ending.set()
        while self._thread.is_alive():
            self._thread.join(0.1)
            if self.mirror.calls.overdue(PATIENCE_S):
                return self.trouble or "MLflow does not answer"
        return self.trouble
