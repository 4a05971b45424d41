"""The protocol of the store (docs/protocol.md), in a folder and in S3."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from features.errors import BusyError, DamagedInputError, StoreError, SupersededError
from features.files import sha256_file
from orchestrator.store.base import NodeStore, checksums, place_of
from orchestrator.store.layout import attempt_place
from orchestrator.store.local import LocalNodeStore
from orchestrator.store.marks import Claim, Damage, DoneMark, Failure, Lease, Placement, ResultFile, SignOfLife
from orchestrator.store.node import Node
from orchestrator.store.open import open_store

NODE = Node("train-A-0", "train", {}, {}, "0123456789abcdef" * 4)
NAME = "train-A-0-0123456789ab"
MARK = DoneMark("train-A-0", NODE.signature, host="here")


@pytest.fixture(params=["folder", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SONOGRID_CACHE", str(tmp_path / "cache"))
    return f"{request.getfixturevalue('s3')}/store" if request.param == "s3" else str(tmp_path / "store")


@pytest.fixture
def store(url: str) -> Iterator[NodeStore]:
    store = open_store(url)
    yield store
    store.close()


def work(store: NodeStore, claim: Claim, content: bytes = b"12345") -> None:
    """What an attempt does: results, a checkpoint, a sign of life."""
    folder = store.begin(NAME, claim.attempt)
    (folder / "data.npy").write_bytes(content)
    (folder / "checkpoint.safetensors").write_bytes(b"numbers")
    store.beat(NAME, claim.attempt, SignOfLife())
    store.checkpointed(NAME, claim.attempt, folder)
    store.finish(NAME, claim, MARK, [folder / "data.npy"])
    store.end(folder)


def result(store: NodeStore) -> bytes:
    store.refresh()
    return (store.results(NODE) / "data.npy").read_bytes()


def test_checksums_and_the_place_of_results(tmp_path: Path) -> None:
    path = tmp_path / "data.npy"
    path.write_bytes(b"12345")
    assert checksums([path]) == {"data.npy": ResultFile(sha256_file(path), 5)}
    assert place_of(NAME, MARK) == NAME
    assert place_of(NAME, DoneMark(folder="attempt-2")) == f"{NAME}/attempt-2"


def test_a_folder_is_found_under_the_name_it_was_made_with(tmp_path: Path) -> None:
    store = LocalNodeStore(tmp_path / "store")
    assert store.name(NODE) == NAME
    (store.root / "old-name-0123456789ab").mkdir(parents=True)
    store.refresh()
    assert store.name(NODE) == store.name_of(NODE.signature) == "old-name-0123456789ab"


# --- claims


def test_claims_count_up_and_the_latest_alone_may_write(store: NodeStore) -> None:
    first = store.claim(NODE, "run")
    assert (first.attempt, first.run_id, first.generation, first.tries) == (1, "run", 1, 1)
    store.write_mark(f"{NAME}/attempt-1", Failure(cause="it broke"))
    store.ask_to_stop(NAME, 1, "now")
    store.refresh()
    assert (store.state(NODE).state, store.state(NODE).cause) == ("failed", "it broke")
    assert store.stop_asked(NAME, 1) == "now"
    assert store.may_write(NAME, first)
    second = store.claim(NODE, "run")
    store.refresh()
    assert (second.attempt, second.tries) == (2, 2)
    assert store.latest_claim(NAME) == second
    assert store.stop_asked(NAME, 2) == "no"
    assert store.state(NODE).state == "partial", "a failure counts while its attempt is the latest"
    assert store.failure(NAME) is None
    assert store.may_write(NAME, second)
    assert not store.may_write(NAME, first)


def test_an_equal_number_is_not_enough_to_write(store: NodeStore) -> None:
    """Where a service knows no conditional write, two may get the same number: the token of one of them stays."""
    claim = store.claim(NODE, "run")
    assert not store.may_write(NAME, Claim(claim.attempt, claim.run_id, "another token"))


def test_racing_claims_get_different_numbers(url: str) -> None:
    stores = [open_store(url) for _ in range(2)]
    rounds = 200 if "://" not in url else 20
    numbers = []
    with ThreadPoolExecutor(2) as pool:
        for _ in range(rounds):
            barrier = threading.Barrier(2)

            def claim(store: NodeStore, barrier: threading.Barrier = barrier) -> int:
                barrier.wait()
                return store.claim(NODE, "run").attempt

            numbers += [*pool.map(claim, stores)]
    assert sorted(numbers) == [*range(1, 2 * rounds + 1)]


CLAIM = """
import sys
from orchestrator.store.node import Node
from orchestrator.store.open import open_store
store, node = open_store(sys.argv[1]), Node("train-A-0", "train", {}, {}, "0123456789abcdef" * 4)
print("ready", flush=True)
sys.stdin.readline()
print(*(store.claim(node, "run").attempt for _ in range(200)), flush=True)
"""


def test_claims_of_two_processes_get_different_numbers(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIM, str(tmp_path / "store")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    numbers = [int(word) for process in processes for word in process.communicate(timeout=120)[0].split()]
    assert sorted(numbers) == [*range(1, 401)]


def test_of_two_runs_that_claim_at_once_one_gets_the_node(url: str) -> None:
    def claim(store: NodeStore, run_id: str, barrier: threading.Barrier) -> bool:
        barrier.wait()
        try:
            store.claim(NODE, run_id)
        except BusyError:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        for round_ in range(20 if "://" not in url else 5):
            stores, barrier = [open_store(f"{url}/{round_}") for _ in range(2)], threading.Barrier(2)
            got = [*pool.map(lambda one, b=barrier: claim(*one, b), zip(stores, ("ours", "theirs"), strict=True))]
            assert sorted(got) == [False, True]


def test_numbers_never_come_back(store: NodeStore) -> None:
    for expected in (1, 2, 3):
        claim = store.claim(NODE, "run")
        assert (claim.attempt, claim.generation, claim.tries) == (expected, expected, 1)
        work(store, claim)
        store.forget(NODE)
    zombie = Claim(1, "run", "the token of a process that wakes up", 1)
    assert not store.may_write(NAME, zombie)


# --- busy


def test_a_node_is_busy_from_its_claim_on_while_its_signs_change(
    store: NodeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NodeStore, "takeover_s", 0.4)
    assert not store.is_busy(NODE, "ours")
    claim = store.claim(NODE, "theirs")
    assert store.is_busy(NODE, "ours"), "nothing but the claim is there"
    assert not store.is_busy(NODE, "theirs"), "a run has one owner, who knows its own jobs"
    with pytest.raises(BusyError, match=r"another run works on .*train-A-0-0123456789ab"):
        store.claim(NODE, "ours")
    for _ in range(3):  # while the driver waits for a process, and no clock matters
        time.sleep(0.25)
        store.queued(NAME, claim.attempt)
        assert store.is_busy(NODE, "ours")
    for beats in range(3):
        time.sleep(0.25)
        store.beat(NAME, claim.attempt, SignOfLife(saved=20, time=0.0, beats=beats))
        assert store.is_busy(NODE, "ours")
    assert store.reached(NODE) == 20
    time.sleep(0.5)
    assert not store.is_busy(NODE, "ours")
    assert store.claim(NODE, "ours").attempt == 2


def test_one_look_is_not_enough_to_believe_an_attempt_dead(store: NodeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NodeStore, "takeover_s", 0.2)
    claim = store.claim(NODE, "theirs")
    store.beat(NAME, claim.attempt, SignOfLife(time=0.0))
    time.sleep(0.3)
    assert store.is_busy(NODE, "ours"), "an old sign, but it may have been suspended with us"


def test_an_attempt_that_ended_or_failed_or_is_done_is_not_waited_for(store: NodeStore) -> None:
    claim = store.claim(NODE, "theirs")
    store.beat(NAME, claim.attempt, SignOfLife(ended=True))
    assert not store.is_busy(NODE, "ours")
    store.beat(NAME, claim.attempt, SignOfLife())
    assert store.is_busy(NODE, "ours")
    store.write_mark(f"{NAME}/attempt-{claim.attempt}", Failure(cause="it broke"))
    assert not store.is_busy(NODE, "ours")
    work(store, claim)
    assert not store.is_busy(NODE, "ours")
    store.forget(NODE)
    assert not store.is_busy(NODE, "ours"), "nobody has begun to compute it again"


# --- results


def test_a_finished_node_has_its_results_its_marks_and_its_claims(store: NodeStore) -> None:
    store.claim(NODE, "run")
    claim = store.claim(NODE, "run")
    work(store, claim)
    assert result(store) == b"12345"
    assert store.layout(NAME).names == {"attempt-2", "claim-1.json", "claim-2.json", "done.json"}
    assert store.done(NODE).folder == "attempt-2"
    assert (store.done(NODE).attempts, store.done(NODE).files["data.npy"].bytes) == (2, 5)
    assert sorted(path.name for path in store.results(NODE).glob("[!.]*")) == ["data.npy", "done.json"]
    assert not store.has_leftovers(NODE)
    assert store.inspected(NODE).state == "done"
    assert store.history(NODE) == []


def test_of_two_attempts_that_finish_at_once_the_first_wins_and_stays_whole(url: str) -> None:
    """Their results differ, as times and sums on a GPU do."""
    contents = {1: b"of the first", 2: b"of the other one"}
    for round_ in range(20 if "://" not in url else 5):
        stores = [open_store(f"{url}/{round_}") for _ in range(2)]
        claims = [store.claim(NODE, "run") for store in stores]
        barrier = threading.Barrier(2)

        def finish(store: NodeStore, claim: Claim, barrier: threading.Barrier = barrier) -> bool:
            folder = store.begin(NAME, claim.attempt)
            (folder / "data.npy").write_bytes(contents[claim.attempt])
            barrier.wait()
            try:
                store.finish(NAME, claim, MARK, [folder / "data.npy"])
            except SupersededError:
                return False
            except FileNotFoundError:  # the winner has swept the loser's folder
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            won = [*pool.map(finish, stores, claims)]
        assert sorted(won) == [False, True]
        reader = open_store(f"{url}/{round_}")
        assert reader.inspected(NODE).state == "done"
        assert result(reader) == contents[1 + won.index(True)]
        for store in (*stores, reader):
            store.close()


def test_a_late_attempt_changes_nothing(store: NodeStore) -> None:
    first, second = store.claim(NODE, "run"), store.claim(NODE, "run")
    late = store.begin(NAME, first.attempt)
    work(store, second, b"right")
    assert not store.may_write(NAME, first)
    assert not store.may_write(NAME, second), "it is done"
    late.mkdir(exist_ok=True)
    (late / "data.npy").write_bytes(b"late!")
    with pytest.raises(SupersededError, match="has finished before"):
        store.finish(NAME, first, MARK, [late / "data.npy"])
    store.refresh()
    assert result(store) == b"right"
    assert store.has_leftovers(NODE)
    store.sweep(NAME)
    store.refresh()
    assert not store.has_leftovers(NODE)
    assert result(store) == b"right"


def test_a_number_does_not_come_back_to_who_read_the_names_before_it_was_claimed(store: NodeStore) -> None:
    before = store.layout(NAME)
    work(store, store.claim(NODE, "run"))
    assert store._try_claim(NAME, before, "late") is None


def test_a_later_owner_of_a_run_may_take_over_at_once_and_an_earlier_one_may_not(store: NodeStore) -> None:
    """An owner that was suspended, and replaced, may wake just before it claims."""
    first = store.claim(NODE, "run", owner=1)
    second = store.claim(NODE, "run", owner=2)
    assert (first.attempt, second.attempt) == (1, 2)
    assert store.is_busy(NODE, "run", owner=1)
    with pytest.raises(BusyError):
        store.claim(NODE, "run", owner=1)
    assert not store.is_busy(NODE, "run", owner=2)
    assert store.latest_claim(NAME) == second
    assert store.may_write(NAME, second)


def test_names_as_they_were_before_a_claim_say_nothing_about_it(
    store: NodeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS may show a folder as it was a minute ago."""
    names = [store.layout(NAME)]
    first = store.claim(NODE, "run")
    names.append(store.layout(NAME))
    work(store, first)
    names.append(store.layout(NAME))
    store.forget(NODE)
    second = store.claim(NODE, "run")
    for old in names:
        monkeypatch.setattr(store, "layout", lambda _, old=old: old)
        assert store.may_write(NAME, second)
    monkeypatch.undo()
    work(store, second, b"again")
    assert not store.may_write(NAME, second)


def test_results_are_found_while_their_folder_is_shown_as_it_was(
    store: NodeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = store.claim(NODE, "run")
    before = store.layout(NAME)
    work(store, claim)
    monkeypatch.setattr(store, "layout", lambda _: before)
    monkeypatch.setattr(store, "known_layout", lambda _: before)
    assert (store.results_of(NAME) / "data.npy").read_bytes() == b"12345"


def test_forced_work_is_a_generation_of_its_own(store: NodeStore) -> None:
    old = store.claim(NODE, "run")
    work(store, old, b"first")
    before = store.done(NODE)
    store.forget(NODE)
    store.forget(NODE)
    assert store.state(NODE).state == "damaged"
    with pytest.raises(DamagedInputError, match="train-A-0-0123456789ab is to be computed again, as asked; resume"):
        store.results(NODE)
    with pytest.raises(StoreError, match="is not done"):
        store.done(NODE)
    new = store.claim(NODE, "run")
    store.refresh()
    assert store.generation(NODE) == new.generation == 2
    assert store.state(NODE).state == "partial"
    assert store.earlier(NAME) == [], "void results are nothing to continue from"
    work(store, new, b"second")
    assert result(store) == b"second"
    assert store.done_mark(NAME) != before
    assert store.read_mark(NAME, DoneMark) == before, "a done-mark never changes"
    assert store.layout(NAME).names == {
        "attempt-2", "claim-1.json", "claim-2.json", "done.json", "damaged.json", "done-2.json",
    }  # fmt: skip
    with pytest.raises(SupersededError):
        work(store, old, b"woken")
    assert result(store) == b"second"


def test_a_failure_of_void_results_says_nothing(store: NodeStore) -> None:
    claim = store.claim(NODE, "run")
    work(store, claim)
    store.forget(NODE)
    store.write_mark(f"{NAME}/attempt-1", Failure(cause="too late"))
    store.refresh()
    assert store.state(NODE).state == "damaged"


def test_damage_is_remembered_once(store: NodeStore) -> None:
    work(store, store.claim(NODE, "run"))
    store.damage(NAME, 1, DamagedInputError("a file is cut short"))
    store.damage(NAME, 1, DamagedInputError("another reason"))
    store.refresh()
    assert store.state(NODE).cause == "a file is cut short"
    assert store.read_mark(NAME, Damage) == Damage("a file is cut short")


def test_a_kill_between_done_mark_and_sweep_is_noticed(store: NodeStore) -> None:
    claim = store.claim(NODE, "run")
    work(store, claim)
    store.refresh()
    assert not store.has_leftovers(NODE)
    store.beat(NAME, claim.attempt, SignOfLife())
    store.refresh()
    assert store.has_leftovers(NODE)
    store.sweep(NAME)
    store.refresh()
    assert not store.has_leftovers(NODE)
    store.beat(NAME, 7, SignOfLife())
    store.refresh()
    assert store.has_leftovers(NODE)


def test_marks_that_a_driver_wrote_too_late_are_swept(store: NodeStore) -> None:
    """It saw no sign of life any more, and was killed before it noticed that the attempt had finished."""
    claim = store.claim(NODE, "run")
    work(store, claim)
    for late in (
        lambda: store.queued(NAME, claim.attempt),
        lambda: store.ask_to_stop(NAME, claim.attempt, "now"),
        lambda: store.write_mark(attempt_place(NAME, claim.attempt), Placement("x")),
    ):
        late()
        store.refresh()
        assert store.has_leftovers(NODE)
        store.sweep(NAME)
        store.refresh()
        assert not store.has_leftovers(NODE)
    assert result(store) == b"12345"


def test_nothing_is_swept_while_a_node_is_not_done(store: NodeStore) -> None:
    claim = store.claim(NODE, "run")
    store.beat(NAME, claim.attempt, SignOfLife())
    store.sweep(NAME)
    assert store.sign_of(NAME, claim.attempt) is not None
    assert store.may_write(NAME, claim)


def test_earlier_attempts_are_continued_and_later_ones_left_alone(store: NodeStore) -> None:
    for number in (2, 1):  # the first one was cut off and comes back
        folder = store.begin(NAME, number)
        (folder / "checkpoint.safetensors").write_bytes(b"%d" % number)
        store.checkpointed(NAME, number, folder)
    assert [(path / "checkpoint.safetensors").read_bytes() for path in store.earlier(NAME)] == [b"2", b"1"]
    assert [(path / "checkpoint.safetensors").read_bytes() for path in store.earlier(NAME, 2)] == [b"1"]
    assert store.earlier(NAME, 1) == []


# --- stores that can't be read, and those of older versions


def test_what_cant_be_read_is_not_missing(tmp_path: Path) -> None:
    store = LocalNodeStore(tmp_path / "store")
    claim = store.claim(NODE, "run")
    path = store.root / NAME / "claim-1.json"
    good = path.read_bytes()
    path.write_text("{", encoding="utf-8")
    for ask in (
        lambda: store.may_write(NAME, claim),
        lambda: store.latest_claim(NAME),
        lambda: store.is_busy(NODE, ""),
    ):
        with pytest.raises(StoreError, match=r"claim-1\.json is damaged"):
            ask()
    path.unlink()
    path.mkdir()  # for root, permissions say nothing
    with pytest.raises(StoreError, match=r"claim-1\.json cannot be read"):
        store.may_write(NAME, claim)
    path.rmdir()
    path.write_bytes(good)
    assert store.may_write(NAME, claim)


def test_the_mark_of_another_node_is_named(tmp_path: Path) -> None:
    store = LocalNodeStore(tmp_path / "store")
    store.write_mark(NAME, DoneMark("train-A-0", "f" * 64))
    with pytest.raises(StoreError, match="belongs to another node"):
        store.state(NODE)


def test_a_node_of_an_older_version_is_read_and_computed_again(tmp_path: Path) -> None:
    store = LocalNodeStore(tmp_path / "store")
    folder = store.root / NAME
    folder.mkdir(parents=True)
    (folder / "data.npy").write_bytes(b"12345")
    store.write_mark(
        NAME, DoneMark("train-A-0", NODE.signature, host="there", attempts=4, files=checksums([folder / "data.npy"]))
    )
    assert store.state(NODE).state == "done"
    assert store.results(NODE) == folder
    assert not store.has_leftovers(NODE)
    os.truncate(folder / "data.npy", 3)
    assert store.inspected(NODE).state == "damaged"
    claim = store.claim(NODE, "run")
    assert (claim.attempt, claim.generation) == (5, 2)
    work(store, claim, b"again")
    assert result(store) == b"again"


def test_an_attempt_of_an_older_version_is_continued(tmp_path: Path) -> None:
    store = LocalNodeStore(tmp_path / "store")
    store.write_mark(NAME, Lease(3, "0123456789ab"))
    store.beat(NAME, 3, SignOfLife(saved=20))
    assert store.is_busy(NODE, "random.of-another-run")
    assert not store.is_busy(NODE, "random.0123456789ab"), "the hash of the same path"
    assert store.reached(NODE) == 20
    store.write_mark(NAME, Failure(cause="it broke", attempt=3))
    assert (store.state(NODE).state, store.state(NODE).cause) == ("failed", "it broke")
    claim = store.claim(NODE, "random.0123456789ab")
    assert claim.attempt == 4
    assert store.state(NODE).state == "partial"
    assert [path.name for path in store.earlier(NAME, 4)] == ["attempt-3"]
    work(store, claim)
    assert store.layout(NAME).names == {"attempt-4", "claim-4.json", "done.json"}
