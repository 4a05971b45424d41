"""A store that does not answer is waited for, with words; real S3 requests through a proxy that refuses them."""

import errno
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import orchestrator.store.objects.s3 as s3_module
from features.errors import StoreAwayError
from orchestrator.store import patient as patient_module
from orchestrator.store.local import LocalNodeStore
from orchestrator.store.marks import StopRequest
from orchestrator.store.objects.base import away_errors
from orchestrator.store.open import open_store
from orchestrator.store.patient import patient, span
from tests.fixtures.services import Faults, Proxy

PLACE = "train-A-0-0123456789ab/attempt-1"


@pytest.fixture
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines and repetitions as of a store that is away for minutes, in seconds."""
    monkeypatch.setattr(patient_module, "SAID_AFTER_S", (0.2, 1.0))
    monkeypatch.setattr(patient_module, "LONGEST_PAUSE_S", 0.2)
    monkeypatch.setattr(s3_module, "ATTEMPTS", 1)


@pytest.mark.usefixtures("_soon")
@pytest.mark.parametrize(
    "fault",
    [Faults.status(503, "SlowDown"), pytest.param(Faults.lost, marks=pytest.mark.long)],
    ids=["503", "no answer"],
)
def test_a_store_that_does_not_answer_is_waited_for_and_a_line_says_so(proxy: Proxy, s3: str, fault: object) -> None:
    said: list[str] = []
    store = patient(open_store(f"{s3}/runs"), said.append)
    proxy.always = fault  # type: ignore[assignment]
    back = threading.Timer(3.0, lambda: setattr(proxy, "always", None))
    back.start()
    store.write_mark(PLACE, StopRequest("now"))
    assert not back.is_alive()
    assert store.stop_asked("train-A-0-0123456789ab", 1) == "now"
    assert len(said) >= 3
    for line in said[:-1]:
        assert line.startswith("the store does not answer since ")
        assert line.endswith("; waiting")
        assert "launch again" not in line
    assert "503 SlowDown" in said[0] or "no whole answer from the store" in said[0]
    assert said[-1].startswith("the store answers again, after ")


@pytest.mark.usefixtures("_soon")
def test_other_threads_get_the_error_and_ctrl_c_ends_all_waiting(proxy: Proxy, s3: str) -> None:
    said: list[str] = []
    store = patient(open_store(f"{s3}/runs", listed=False), said.append)
    proxy.always = Faults.status(500, "InternalError")
    met: list[BaseException] = []

    def ask() -> None:
        try:
            store.layout("train-A-0-0123456789ab")
        except StoreAwayError as error:
            met.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(10)
    assert len(met) == 1
    timer = threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    # A process that a shell starts in the background ignores SIGINT.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt):
        store.layout("train-A-0-0123456789ab")
    signal.signal(signal.SIGINT, before)
    with pytest.raises(StoreAwayError):  # what follows an interruption does not wait again
        store.layout("train-A-0-0123456789ab")


@pytest.mark.usefixtures("_soon")
@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ECONNREFUSED])
def test_a_folder_that_does_not_answer_is_waited_for_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    store = patient(LocalNodeStore(tmp_path), [].append)
    store.write_mark(PLACE, StopRequest("now"))
    left = [3]

    def failing(name: str, really: Callable[..., object]) -> None:
        def call(*arguments: object, **more: object) -> object:
            if left[0] > 0:
                left[0] -= 1
                raise OSError(number, os.strerror(number))
            return really(*arguments, **more)

        monkeypatch.setattr(name, call)

    failing("os.listdir", os.listdir)
    assert store.layout("train-A-0-0123456789ab").attempts == (1,)
    assert left == [0]


def test_a_folder_that_is_unmounted_is_not_an_empty_store(tmp_path: Path) -> None:
    store = LocalNodeStore(tmp_path / "store")
    assert not store.layout("train-A-0-0123456789ab").names, "there is no store yet"
    (tmp_path / "store").mkdir()
    store.write_mark(PLACE, StopRequest("now"))
    assert store.layout("train-A-0-0123456789ab").attempts
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    for ask in (
        lambda: store.layout("train-A-0-0123456789ab"),
        lambda: store.read_mark(PLACE, StopRequest),
        lambda: store.write_mark(PLACE, StopRequest("epoch")),
    ):
        with pytest.raises(StoreAwayError, match="store is gone; mount or restore it"):
            ask()
    assert not (tmp_path / "store").exists(), "nothing is written where it was mounted"


def test_a_full_disk_is_no_store_that_is_away() -> None:
    with pytest.raises(OSError, match="No space left") as met, away_errors("store"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert not isinstance(met.value, StoreAwayError)


def test_lines_come_again_and_again() -> None:
    assert [patient_module._due(n) for n in range(5)] == [10.0, 60.0, 300.0, 600.0, 900.0]
    assert (span(40.4), span(119), span(150)) == ("40 s", "119 s", "2 min")
