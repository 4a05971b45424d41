"""What a store answers about a node, in a folder; the protocol itself is tested in test_base.py."""

from pathlib import Path

import pytest

from features.errors import StoreError, SupersededError
from features.files import write_json
from orchestrator.store.layout import attempt_place
from orchestrator.store.local import LocalNodeStore
from orchestrator.store.marks import Claim, Damage, DoneMark, Failure, Lease, Queued, SignOfLife
from orchestrator.store.node import Node

NODE = Node("train-A-0", "train", {}, {}, "0123456789abcdef" * 4)
NAME = "train-A-0-0123456789ab"
MARK = DoneMark("train-A-0", NODE.signature, host="here")


@pytest.fixture
def store(tmp_path: Path) -> LocalNodeStore:
    return LocalNodeStore(tmp_path / "store")


def finish(store: LocalNodeStore, claim: Claim, content: bytes = b"12345") -> None:
    folder = store.begin(NAME, claim.attempt)
    (folder / "data.npy").write_bytes(content)
    store.finish(NAME, claim, MARK, [folder / "data.npy"])


def test_states_of_a_node(store: LocalNodeStore) -> None:
    assert store.state(NODE).state == "new"
    assert store.done_mark(NAME) is None
    with pytest.raises(StoreError, match="is not done; resume the run"):
        store.done(NODE)
    store.log_file(NAME, 1)
    assert store.state(NODE).state == "partial", "nothing but a log"
    claim = store.claim(NODE, "run")
    assert store.state(NODE).state == "partial"
    assert not store.has_leftovers(NODE)
    finish(store, claim)
    assert (store.state(NODE).state, store.state(NODE).mark) == ("done", store.done(NODE))
    assert store.done_mark(NAME) == store.done(NODE)
    store.create_mark(NAME, Damage("cut short"), "damaged.json")
    assert (store.state(NODE).state, store.state(NODE).cause) == ("damaged", "cut short")
    again = store.claim(NODE, "run")
    assert (again.attempt, again.generation, again.tries) == (2, 2, 1)
    assert store.state(NODE).state == "partial", "it is being computed again"


def test_a_failure_is_told_until_the_next_attempt(store: LocalNodeStore) -> None:
    assert store.failure(NAME) is None
    claim = store.claim(NODE, "run")
    failure = Failure(cause="it broke", attempt=1)
    store.write_mark(attempt_place(NAME, claim.attempt), failure)
    assert store.failure(NAME) == failure
    assert store.claim_anyway(NAME, "another run").attempt == 2
    assert store.failure(NAME) is None


def test_a_claim_says_whose_it_is(store: LocalNodeStore) -> None:
    claim = store.claim(NODE, "run")
    assert claim.host
    assert claim.started > 1.6e9
    taken = store.claim_anyway(NAME, "another run")
    assert (taken.attempt, taken.run_id, taken.tries) == (2, "another run", 2)
    assert taken == store.latest_claim(NAME)


def test_the_longest_history_of_all_attempts_is_told(store: LocalNodeStore) -> None:
    assert store.history(NODE) == []
    for epochs in (3, 1):
        claim = store.claim(NODE, "run")
        records = [f'{{"epoch": {epoch}, "lwlrap": 0.{claim.attempt}}}\n' for epoch in range(epochs)]
        (store.begin(NAME, claim.attempt) / "history.jsonl").write_text("".join(records))
    assert [record["lwlrap"] for record in store.history(NODE)] == [0.1, 0.1, 0.1]


def test_void_attempts_are_neither_continued_nor_told(store: LocalNodeStore) -> None:
    claim = store.claim(NODE, "run")
    folder = store.begin(NAME, claim.attempt)
    (folder / "history.jsonl").write_text('{"epoch": 1, "lwlrap": 0.5}\n')
    store.finish(NAME, claim, MARK, [folder / "history.jsonl"])
    assert [record["lwlrap"] for record in store.history(NODE)] == [0.5]
    store.forget(NODE)
    assert store.history(NODE) == []
    assert store.earlier(NAME) == []


def test_signs_of_the_newest_attempt_count(store: LocalNodeStore) -> None:
    assert store.alive(NODE) is None
    assert store.reached(NODE) == 0
    for saved in (40, 20):
        claim = store.claim(NODE, "run")
        store.begin(NAME, claim.attempt)
        store.beat(NAME, claim.attempt, SignOfLife(saved=saved))
    assert store.reached(NODE) == 20
    store.claim(NODE, "run")
    store.begin(NAME, 3)  # it has shown no life yet
    assert store.reached(NODE) == 20
    (store.root / NAME / "attempt-3" / "alive.json").write_text("{")
    assert store.sign_of(NAME, 3) is None, "a damaged sign is none"


def test_a_damaged_request_to_stop_is_none(store: LocalNodeStore) -> None:
    claim = store.claim(NODE, "run")
    (store.begin(NAME, claim.attempt) / "stop.json").write_text("{")
    assert store.stop_asked(NAME, claim.attempt) == "no"


def test_the_driver_counts_each_claim_on_its_own(store: LocalNodeStore) -> None:
    for attempt in (1, 2):
        store.claim(NODE, "run")
        store.begin(NAME, attempt)
    for _ in range(3):
        store.queued(NAME, 1)
    store.queued(NAME, 2)
    beats = [store.read_mark(attempt_place(NAME, attempt), Queued) for attempt in (1, 2)]
    assert beats == [Queued(3), Queued(1)]


def test_results_that_are_missing_are_damaged_in_words(store: LocalNodeStore) -> None:
    with pytest.raises(StoreError, match="its results are missing; launch or resume"):
        store.results(NODE)
    finish(store, store.claim(NODE, "run"))
    store.create_mark(NAME, Damage("cut short"), "damaged.json")
    with pytest.raises(StoreError, match="cut short"):
        store.results(NODE)


def test_the_first_to_finish_stays(store: LocalNodeStore) -> None:
    first = store.claim(NODE, "run")
    second = store.claim(NODE, "run")
    finish(store, second, b"second")
    with pytest.raises(SupersededError, match="has finished before this one"):
        finish(store, first, b"first")
    assert (store.results(NODE) / "data.npy").read_bytes() == b"second"
    assert store.done(NODE).attempts == 2
    assert store.done(NODE).folder == "attempt-2"


def test_numbers_of_older_versions_do_not_come_back(store: LocalNodeStore) -> None:
    folder = store.root / NAME
    for file, content in ((Lease.FILE, {"attempt": 3, "owner": "run"}), (Failure.FILE, {"cause": "x", "attempt": 6})):
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / file, content)
        claim = store.claim(NODE, "run")
        assert claim.attempt == content["attempt"] + 1  # type: ignore[operator]
        (folder / f"claim-{claim.attempt}.json").unlink()
    (folder / "attempt-8").mkdir()
    assert store.claim(NODE, "run").attempt == 9
