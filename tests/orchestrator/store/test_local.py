from pathlib import Path

import pytest

from features.errors import DamagedInputError, StoreError
from orchestrator.store.local import LocalNodeStore
from orchestrator.store.marks import DoneMark, Lease, SignOfLife
from orchestrator.store.node import Node

NODE = Node("train-A-0", "train", {}, {}, "0123456789abcdef" * 4)
MARK = DoneMark("train-A-0", NODE.signature, host="here")


@pytest.fixture
def store(tmp_path: Path) -> LocalNodeStore:
    return LocalNodeStore(tmp_path / "store")


def finished(store: LocalNodeStore) -> Path:
    """A node with one result; returns its folder."""
    name, number = store.name(NODE), store.claim(NODE, "run")
    folder = store.begin(name, number)
    (folder / "data.npy").write_bytes(b"12345")
    store.beat(name, number, SignOfLife())
    store.finish(name, MARK, [folder / "data.npy"])
    return store.folder(NODE)


def test_a_finished_node_has_its_results_and_its_mark_alone(store: LocalNodeStore) -> None:
    folder = finished(store)
    assert sorted(path.name for path in folder.iterdir()) == ["data.npy", "done.json"]
    assert store.results(NODE) == folder
    assert store.done(NODE).files["data.npy"].bytes == 5
    assert store.inspected(NODE).state == "done"
    assert store.history(NODE) == []
    assert store.log(NODE) is None


@pytest.mark.parametrize(
    ("content", "why"), [(b"123", "it has 3 bytes, not 5"), (b"12346", "checksum"), (None, "can't be read")]
)
def test_a_changed_result_is_named_and_remembered(store: LocalNodeStore, content: bytes | None, why: str) -> None:
    path = finished(store) / "data.npy"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    state = store.inspected(NODE)
    assert state.state == "damaged"
    assert why in str(state.cause)
    assert store.state(NODE) == state
    with pytest.raises(DamagedInputError, match=why):
        store.results(NODE)


def test_a_kill_between_done_mark_and_sweep_is_noticed(store: LocalNodeStore) -> None:
    folder = finished(store)
    assert not store.has_leftovers(NODE)
    store.write_mark(folder.name, Lease(1, "run"))
    store.begin(folder.name, 1)
    assert store.has_leftovers(NODE)
    store.sweep(folder.name)
    assert not store.has_leftovers(NODE)
    assert not (folder / "attempt-1").exists()


def test_checkpoints_of_the_last_two_attempts_are_kept(store: LocalNodeStore) -> None:
    name = store.name(NODE)
    folders = [store.begin(name, number) for number in (1, 2, 3)]
    assert store.attempts(name) == [3, 2, 1]
    assert store.earlier(name, 3) == folders[1::-1]
    store.checkpointed(name, 3, folders[2])
    assert store.attempts(name) == [3, 2]


def test_logs_are_found_by_attempt(store: LocalNodeStore) -> None:
    for number in (2, 10):
        store.log_file(store.name(NODE), number).touch()
    newest = store.log(NODE)
    assert newest is not None
    assert newest.name == "10.log"
    assert store.log(NODE, 2) == newest.with_name("2.log")
    assert store.log(NODE, 3) is None


def test_an_index_that_was_not_read_is_no_obstacle(store: LocalNodeStore) -> None:
    finished(store)
    other = LocalNodeStore(store.root, listed=False)
    assert other.state(NODE).state == "done"
    with pytest.raises(StoreError, match=r"done\.json is missing"):
        other.results_of("gone-0123")
