"""Ctrl-C and SIGTERM as questions that a launch asks: stop at all, after this epoch or at the next step?

Outside a launch's jobs, both end what runs by a KeyboardInterrupt.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from trainers.supervisor import Stop

__all__ = ["interruptible", "terminable"]


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt while the block runs, as Ctrl-C does; only in the main thread."""

    def handle(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def interruptible(say: Callable[[str], None]) -> Iterator[Callable[[], Stop]]:
    """Turn signals into requests while the block runs; yields a function that returns what was asked for.

    The first Ctrl-C asks to finish the running epochs, the first SIGTERM to stop at the next step; a second signal
    raises KeyboardInterrupt. Signals reach the main thread only: in another thread, nothing is ever asked for.

    Args:
        say: shows the user a sentence.
    """
    asked: list[Stop] = []

    def handle(number: int, _: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append("epoch" if number == signal.SIGINT else "now")
        when = "after the running epochs" if number == signal.SIGINT else "at the next step"
        say(f"stopping {when}; press Ctrl-C again to stop at once")

    if threading.current_thread() is not threading.main_thread():
        yield lambda: "no"
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked[0] if asked else "no"
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
