"""A store that is waited for while it does not answer: throttled, restarting, cut off, or a server of NFS that is away.

Nothing is known about a store that does not answer, so nothing can be decided without it. Jobs that do not need it go
on meanwhile. There is no limit to the wait, and a line says again and again that there is one: only a person knows
whether the store will be back. Ctrl-C and SIGTERM end it.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

from features.errors import StoreAwayError
from orchestrator.store.interfaces import MarkReader

__all__ = ["patient", "span"]

SAID_AFTER_S = (10.0, 60.0, 300.0)
"""When a line says that the store is away; from then on, every so many seconds as the last one says."""
LONGEST_PAUSE_S = 10.0
"""Pauses between two questions start at a second and double."""

S = TypeVar("S", bound=MarkReader)


def patient(store: S, say: Callable[[str], None]) -> S:
    """The same store, whose methods repeat until it answers.

    Only the thread that calls this waits. Others, such as one that writes signs of life, get the StoreAwayError. A wait
    that is interrupted is the last one.

    Args:
        store: the store. All its methods may be repeated: each makes an object unless it is there, or replaces it.
        say: shows a sentence.
    """
    return cast("S", _Patient(store, say))


class _Patient:
    def __init__(self, store: MarkReader, say: Callable[[str], None]) -> None:
        self._store, self._say = store, say
        self._thread: threading.Thread | None = threading.current_thread()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **more: Any) -> Any:
            began = time.monotonic()
            try:
                return found(*arguments, **more)
            except StoreAwayError as error:
                if threading.current_thread() is not self._thread:
                    raise
                try:
                    return self._wait(lambda: found(*arguments, **more), began, error)
                except KeyboardInterrupt:
                    self._thread = None
                    raise

        return call

    def _wait(self, call: Callable[[], Any], began: float, error: StoreAwayError) -> Any:
        """Repeat a call that has failed until it does not find the store away."""
        said, pause_s = 0, 1.0
        while True:
            away_s = time.monotonic() - began
            if away_s >= _due(said):
                said += 1
                self._say(f"the store does not answer since {span(away_s)}: {error.why}; waiting")
            time.sleep(min(pause_s, LONGEST_PAUSE_S))
            pause_s *= 2
            try:
                found = call()
            except StoreAwayError as again:
                error = again
                continue
            if said:
                self._say(f"the store answers again, after {span(time.monotonic() - began)}")
            return found


def _due(said: int) -> float:
    """After how many seconds the next line comes, given how many there were."""
    return SAID_AFTER_S[said] if said < len(SAID_AFTER_S) else SAID_AFTER_S[-1] * (said - len(SAID_AFTER_S) + 2)


def span(seconds: float) -> str:
    """A time in words."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
