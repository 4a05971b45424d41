"""Signals become requests to stop."""

import os
import signal
import threading

import pytest

from orchestrator.interrupts import interruptible, terminable


@pytest.mark.parametrize(
    ("number", "stop", "when"),
    [(signal.SIGINT, "epoch", "after the running epochs"), (signal.SIGTERM, "now", "at the next step")],
)
def test_the_first_signal_asks_and_the_second_ends(number: int, stop: str, when: str) -> None:
    said: list[str] = []
    before = signal.getsignal(number)
    with interruptible(said.append) as stopping:
        assert stopping() == "no"
        os.kill(os.getpid(), number)
        assert stopping() == stop
        assert said == [f"stopping {when}; press Ctrl-C again to stop at once"]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(number) is before


def test_outside_the_main_thread_nothing_is_asked_for() -> None:
    answers = []

    def work() -> None:
        with interruptible(print) as stopping:
            answers.append(stopping())

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert answers == ["no"]
    assert signal.getsignal(signal.SIGINT) is before


def test_where_nothing_asks_a_termination_ends_as_ctrl_c_does() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), terminable():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
