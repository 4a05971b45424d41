import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from features.errors import JobError, StoreError, SupersededError
from orchestrator.jobs.attempt import Attempt
from orchestrator.store.local import LocalNodeStore
from orchestrator.store.marks import DoneMark, SignOfLife
from orchestrator.store.node import Node

NODE = Node("train-A-0", "train", {}, {}, "0123456789abcdef" * 4)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalNodeStore:
    monkeypatch.setattr(LocalNodeStore, "beat_s", 0.05)
    return LocalNodeStore(tmp_path / "store")


def attempt_at(store: LocalNodeStore, **more: Any) -> Attempt:
    return Attempt(store, store.name(NODE), store.claim(NODE, "run"), **more)


def sign(attempt: Attempt) -> SignOfLife:
    found = attempt.store.read_mark(f"{attempt.name}/attempt-{attempt.number}", SignOfLife)
    assert found is not None
    return found


def test_an_attempt_shows_life_and_progress(store: LocalNodeStore) -> None:
    with attempt_at(store, place="machine-7") as attempt:
        first = sign(attempt)
        assert (first.place, first.count, first.epoch, first.saved) == ("machine-7", 0, None, 0)
        attempt.progress(epoch=1, step=20)
        attempt.after_write()
        saved = sign(attempt)
        assert (saved.count, saved.epoch, saved.step, saved.saved) == (1, 1, 20, 20)
        deadline = time.monotonic() + 60
        while sign(attempt).time == saved.time and time.monotonic() < deadline:
            time.sleep(0.02)
        assert sign(attempt).time > saved.time, "a thread writes on"
    log = store.log(NODE)
    assert log is not None
    assert "checkpoint at epoch 1, step 20\n" in log.read_text(encoding="utf-8")


def test_results_are_what_the_attempt_leaves_but_for_its_own_files(store: LocalNodeStore) -> None:
    with attempt_at(store) as attempt:
        for name in ("history.jsonl", "checkpoint.safetensors", ".half"):
            (attempt.folder / name).touch()
        attempt.finish(DoneMark("train-A-0", NODE.signature, host="here"))
    mark = store.done(NODE)
    assert list(mark.files) == ["history.jsonl"]
    assert mark.attempts == 1
    left = {path.name for path in attempt.folder.iterdir()}
    assert left == {"history.jsonl", "done.json"}, "no sign of life after the end"


def test_a_superseded_attempt_may_not_write_and_is_stopped(store: LocalNodeStore) -> None:
    with attempt_at(store) as attempt:
        attempt.before_write()
        store.claim_anyway(attempt.name, "another run")
        with pytest.raises(SupersededError, match="attempt 1 at train-A-0-"):
            attempt.before_write()
        deadline = time.monotonic() + 60
        while attempt.stop() != "now" and time.monotonic() < deadline:
            time.sleep(0.02)
        assert attempt.stop() == "now"


def test_a_stop_is_seen_after_a_checkpoint(store: LocalNodeStore) -> None:
    with attempt_at(store) as attempt:
        assert attempt.stop() == "no"
        store.ask_to_stop(attempt.name, 1, "epoch")
        attempt.after_write()
        assert attempt.stop() == "epoch"
    with attempt_at(store, stopping=lambda: "now") as attempt:
        attempt.after_write()
        assert attempt.stop() == "now"


def until(happens: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while not happens() and time.monotonic() < deadline:
        time.sleep(0.02)
    return happens()


def test_a_stop_is_seen_between_checkpoints(store: LocalNodeStore) -> None:
    with attempt_at(store) as attempt:
        store.ask_to_stop(attempt.name, 1, "epoch")
        assert until(lambda: attempt.stop() == "epoch")


def test_a_checkpoint_before_the_first_step_is_at_step_0(store: LocalNodeStore) -> None:
    with attempt_at(store) as attempt:
        attempt.after_write()
        assert sign(attempt).saved == 0


@pytest.mark.parametrize("pieces", [0, 1])
def test_the_log_of_an_attempt_that_stalls_says_where(store: LocalNodeStore, pieces: int) -> None:
    with attempt_at(store, stall_s=0.2) as attempt:
        for _ in range(pieces):
            attempt.progress()
        log = store.log_file(attempt.name, attempt.number)
        assert until(lambda: "most recent call first" in log.read_text(encoding="utf-8"))
    with attempt_at(store) as attempt:
        assert attempt.stall_s == 0, "never"


def test_the_store_is_told_that_an_attempt_has_left(store: LocalNodeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    monkeypatch.setattr(store, "keep_log", lambda *about: told.append(about))
    monkeypatch.setattr(store, "end", told.append)
    with attempt_at(store) as attempt:
        assert not told
    assert told == [(attempt.name, 1), attempt.folder]


def test_the_log_keeps_what_was_said_but_no_secret(store: LocalNodeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "hunter2")

    def breaks() -> None:
        with attempt_at(store):
            logging.getLogger("sonogrid").info("the key is hunter2")
            raise JobError("it broke")

    with pytest.raises(JobError):
        breaks()
    log = store.log(NODE)
    assert log is not None
    text = log.read_text(encoding="utf-8")
    assert "attempt 1 on " in text
    assert "the key is ***" in text
    assert "ERROR it broke" in text


def test_a_superseded_attempt_may_not_finish(store: LocalNodeStore) -> None:
    """Its results would be right, but the other attempt may be about to finish too: one of them is enough."""
    with attempt_at(store) as attempt:
        (attempt.folder / "data.npy").touch()
        store.claim_anyway(attempt.name, "another run")
        with pytest.raises(SupersededError, match="attempt 1 at train-A-0-"):
            attempt.finish(DoneMark("train-A-0", NODE.signature, host="here"))
    assert store.state(NODE).state == "partial"
    assert store.is_busy(NODE, "run")


def test_a_claim_that_cant_be_read_for_a_moment_is_still_ours(
    store: LocalNodeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.jobs.attempt.PAUSE_S", 0.2)
    with attempt_at(store) as attempt:
        path = store.root / attempt.name / "claim-1.json"
        content = path.read_bytes()
        path.write_bytes(b"")
        back = threading.Timer(0.1, path.write_bytes, [content])
        back.start()
        attempt.before_write()
        back.join()
        path.write_bytes(b"")
        with pytest.raises(StoreError, match=r"claim-1\.json is damaged"):
            attempt.before_write()
        assert attempt.stop() == "no", "that says nothing about other attempts"
        path.write_bytes(content)


def test_who_leaves_before_the_end_says_so_and_who_was_superseded_does_not(store: LocalNodeStore) -> None:
    with attempt_at(store) as attempt:
        assert not sign(attempt).ended
    assert sign(attempt).ended
    assert not store.is_busy(NODE, "another run")

    def superseded(attempt: Attempt) -> None:
        with attempt:
            store.claim_anyway(attempt.name, "another run")
            attempt.before_write()

    attempt = attempt_at(store)
    with pytest.raises(SupersededError):
        superseded(attempt)
    assert not sign(attempt).ended


def test_signs_of_life_are_counted(store: LocalNodeStore) -> None:
    with attempt_at(store) as attempt:
        first = sign(attempt).beats
        attempt.after_write()
        assert sign(attempt).beats > first
