"""What follows from marks alone, in whatever store they are; here in a folder."""

from pathlib import Path

import pytest

from features.errors import StoreError
from features.files import sha256_file
from orchestrator.store.base import attempt_folder, checksums, number_of
from orchestrator.store.local import LocalNodeStore
from orchestrator.store.marks import Damage, DoneMark, Failure, Lease, ResultFile, SignOfLife, StopRequest
from orchestrator.store.node import Node

NODE = Node("train-A-0", "train", {}, {}, "0123456789abcdef" * 4)
NAME = "train-A-0-0123456789ab"


@pytest.fixture
def store(tmp_path: Path) -> LocalNodeStore:
    return LocalNodeStore(tmp_path / "store")


def test_names_of_attempts() -> None:
    assert number_of(attempt_folder(12)) == 12
    assert number_of("attempt-x") == number_of("logs") == 0


def test_checksums_of_results(tmp_path: Path) -> None:
    path = tmp_path / "data.npy"
    path.write_bytes(b"12345")
    assert checksums([path]) == {"data.npy": ResultFile(sha256_file(path), 5)}


def test_a_folder_is_found_under_the_name_it_was_made_with(store: LocalNodeStore) -> None:
    assert store.name(NODE) == NAME
    (store.root / "old-name-0123456789ab").mkdir(parents=True)
    store.refresh()
    assert store.name(NODE) == store.name_of(NODE.signature) == "old-name-0123456789ab"


def test_claims_count_up_and_clear_the_last_failure(store: LocalNodeStore) -> None:
    assert store.claim(NODE, "run") == 1
    store.begin(NAME, 1)
    store.write_mark(NAME, Failure(cause="it broke"))
    store.ask_to_stop(NODE, "now")
    assert store.state(NODE).state == "failed"
    assert store.state(NODE).cause == "it broke"
    assert store.stop_asked(NAME) == "now"
    assert store.claim(NODE, "run") == 2
    assert store.lease(NAME) == Lease(2, "run")
    assert store.stop_asked(NAME) == "no"
    assert store.state(NODE).state == "partial"
    assert store.may_write(NAME, 2)
    assert not store.may_write(NAME, 1)


def test_a_claim_keeps_a_done_mark_unless_the_node_is_damaged(store: LocalNodeStore) -> None:
    store.write_mark(NAME, DoneMark("train-A-0", NODE.signature))
    store.claim(NODE, "run")
    assert store.state(NODE).state == "done"
    store.write_mark(NAME, Damage("cut short", "data.npy"))
    assert store.state(NODE).state == "damaged"
    store.claim(NODE, "run")
    assert store.read_mark(NAME, DoneMark) is None
    assert store.read_mark(NAME, Damage) is None


def test_a_node_is_busy_while_another_run_gives_signs_of_life(store: LocalNodeStore) -> None:
    number = store.claim(NODE, "theirs")
    assert not store.is_busy(NODE, "ours")
    store.beat(NAME, number, SignOfLife(saved=20))
    assert store.is_busy(NODE, "ours")
    assert not store.is_busy(NODE, "theirs")
    assert store.reached(NODE) == 20


def test_a_damaged_lease_lets_nobody_write_and_a_foreign_node_is_named(store: LocalNodeStore) -> None:
    store.write_mark(NAME, StopRequest("epoch"))
    (store.root / NAME / "attempt.json").write_text("{", encoding="utf-8")
    assert store.lease(NAME) is None
    assert not store.may_write(NAME, 1)
    store.write_mark(NAME, DoneMark("train-A-0", "f" * 64))
    with pytest.raises(StoreError, match="belongs to another node"):
        store.state(NODE)
    store.forget(NODE)
    with pytest.raises(StoreError, match="is not done"):
        store.done(NODE)
