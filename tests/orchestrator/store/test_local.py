import errno
import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from features.errors import DamagedInputError
from orchestrator.store.local import BROKEN_AFTER_S, LocalNodeStore
from orchestrator.store.marks import DoneMark, SignOfLife
from orchestrator.store.node import Node

NODE = Node("train-A-0", "train", {}, {}, "0123456789abcdef" * 4)
MARK = DoneMark("train-A-0", NODE.signature, host="here")


@pytest.fixture
def store(tmp_path: Path) -> LocalNodeStore:
    return LocalNodeStore(tmp_path / "store")


def finished(store: LocalNodeStore) -> Path:
    """A node with one result; returns the folder of its results."""
    name, claim = store.name(NODE), store.claim(NODE, "run")
    folder = store.begin(name, claim.attempt)
    (folder / "data.npy").write_bytes(b"12345")
    store.beat(name, claim.attempt, SignOfLife())
    store.finish(name, claim, MARK, [folder / "data.npy"])
    return folder


def test_an_earlier_attempt_is_found_while_its_folder_is_not_shown_yet(
    store: LocalNodeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS may show a folder as it was a minute ago."""
    name = store.name(NODE)
    first = store.claim(NODE, "run")
    before = store.layout(name)
    folder = store.begin(name, first.attempt)
    second = store.claim(NODE, "run")
    monkeypatch.setattr(store, "layout", lambda _: before)
    assert store.earlier(name, second.attempt) == [folder]


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
    assert f"{path} is damaged: {why}" in str(state.cause) or why in str(state.cause)
    assert store.state(NODE) == state
    with pytest.raises(DamagedInputError, match=why):
        store.results(NODE)


@pytest.mark.parametrize("failures", [1, 2, 3])
def test_a_file_is_broken_only_when_it_stays_unreadable(
    store: LocalNodeStore, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    """A soft mount of NFS reports an input/output error when it times out: that costs no training its results."""
    finished(store)
    left, pauses = [failures], list[float]()

    def checksum(*_: object) -> str:
        if left[0]:
            left[0] -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return hashlib.sha256(b"12345").hexdigest()

    monkeypatch.setattr("orchestrator.store.local._checksum", checksum)
    monkeypatch.setattr("orchestrator.store.local.time.sleep", pauses.append)
    if failures > len(BROKEN_AFTER_S):
        with pytest.raises(DamagedInputError, match=r"data\.npy is damaged: it can't be read \(Input/output error\)"):
            store.results(NODE)
    else:
        store.results(NODE)
    assert pauses == [*BROKEN_AFTER_S[:failures]]


def test_a_void_result_is_known_before_its_folder_shows_it(
    store: LocalNodeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS may show a folder as it was a minute ago, but a file that is asked for by its name as it is."""
    path = finished(store) / "data.npy"
    names = [entry.name for entry in store.folder(NODE).iterdir()]
    path.write_bytes(b"12346")
    with pytest.raises(DamagedInputError):
        LocalNodeStore(store.root).results(NODE)
    monkeypatch.setattr("os.listdir", lambda _: names)
    assert store.state(NODE).state == "done"
    assert store.is_void(store.name(NODE))
    assert store.state(NODE).state == "damaged"
    assert store.claim(NODE, "run").generation == 2


def test_a_reader_that_finds_damage_names_the_file(store: LocalNodeStore) -> None:
    path = finished(store) / "data.npy"
    path.write_bytes(b"123")
    with pytest.raises(DamagedInputError, match=r"data\.npy is damaged: it has 3 bytes, not 5"):
        store.results(NODE)
    assert store.state(NODE).state == "damaged"


def test_only_files_that_changed_after_the_mark_are_read_again(
    store: LocalNodeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = finished(store)
    read: list[str] = []
    monkeypatch.setattr("orchestrator.store.local._checksum", lambda path, *_: read.append(path))
    os.utime(folder / "done.json", ns=(2**62, 2**62))
    assert store.inspected(NODE).state == "done"
    assert read == []


@pytest.mark.parametrize("changed", ["content", "time"])
def test_a_change_is_found_by_either_of_its_times(store: LocalNodeStore, changed: str) -> None:
    folder = finished(store)
    before = (folder / "data.npy").stat()
    os.utime(folder / "done.json", ns=(before.st_mtime_ns, before.st_mtime_ns))
    time.sleep(0.02)
    (folder / "data.npy").write_bytes(b"12346")
    if changed == "content":
        os.utime(folder / "data.npy", ns=(before.st_atime_ns, before.st_mtime_ns - 1))  # as `cp -p` does
    assert store.inspected(NODE).state == "damaged"


def test_a_sign_of_life_is_compared_with_the_clock_of_the_file_system(
    store: LocalNodeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not store.is_alive(NODE), "nobody has claimed it"
    name, claim = store.name(NODE), store.claim(NODE, "run")
    assert not store.is_alive(NODE), "its process has not started"
    store.beat(name, claim.attempt, SignOfLife())
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert store.is_alive(NODE)
    assert [path.name for path in store.root.iterdir()] == [name], "no probe is left"
    sign = store.root / name / "attempt-1" / "alive.json"
    shown = sign.stat().st_mtime - store.alive_s - 1
    os.utime(sign, (shown, shown))
    assert not store.is_alive(NODE)


def test_a_number_that_is_none_is_never_written(store: LocalNodeStore) -> None:
    with pytest.raises(ValueError, match="JSON"):
        store.create_mark("node", DoneMark("a", "0", host="here", seconds=float("nan")), "done.json")
    assert not (store.root / "node" / "done.json").exists()


def test_results_without_their_mark_are_damaged(store: LocalNodeStore) -> None:
    (finished(store) / "done.json").unlink()
    assert store.inspected(NODE).state == "damaged"


def test_checkpoints_of_the_last_two_attempts_are_kept(store: LocalNodeStore) -> None:
    name = store.name(NODE)
    folders = [store.begin(name, number) for number in (1, 2, 3)]
    assert store.layout(name).attempts == (3, 2, 1)
    assert store.earlier(name, 3) == folders[1::-1]
    store.checkpointed(name, 3, folders[2])
    assert store.layout(name).attempts == (3, 2)


def test_a_sweep_leaves_what_other_processes_write_at_this_moment(store: LocalNodeStore) -> None:
    folder = finished(store)
    name, node_folder = store.name(NODE), folder.parent
    fresh, old = node_folder / ".claim-2.json.0.tmp", node_folder / ".claim-3.json.0.tmp"
    for path in (fresh, old):
        path.touch()
    os.utime(old, (1, 1))
    (folder / ".half.tmp").touch()
    store.sweep(name)
    assert fresh.exists()
    assert not old.exists()
    assert not (folder / ".half.tmp").exists(), "of the attempt itself, which has ended"


def test_marks_can_be_written_while_a_node_is_swept(store: LocalNodeStore) -> None:
    """A sweep once removed the temporary files of whoever wrote at that moment."""
    finished(store)
    name = store.name(NODE)

    def write(number: int) -> None:
        for attempt in (1, 2 + number % 7):  # the one that is done, and others
            store.ask_to_stop(name, attempt, "now")
            store.queued(name, attempt)
        store.claim(NODE, "run")

    def sweep(_: int) -> None:
        store.sweep(name)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(job, n) for n in range(100) for job in (write, sweep)]:
            done.result()


def test_many_that_ask_for_signs_of_life_do_not_disturb_each_other(store: LocalNodeStore) -> None:
    claim = store.claim(NODE, "run")
    store.beat(store.name(NODE), claim.attempt, SignOfLife())
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: store.is_alive(NODE), range(400)))
    path = store.folder(NODE) / "attempt-1" / "alive.json"
    os.utime(path, (time.time() - 60,) * 2)
    assert not store.is_alive(NODE)
    path.unlink()
    assert not store.is_alive(NODE)


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
    with pytest.raises(DamagedInputError, match="its results are missing"):
        other.results_of("gone-0123")
