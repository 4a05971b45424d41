"""Whole grids with the store in S3: the same bytes as in a folder, on any host, whatever was killed before."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from features.errors import SupersededError
from features.files import atomic
from orchestrator.cli.main import main
from orchestrator.grids.load import load_grid
from orchestrator.jobs.attempt import Attempt
from orchestrator.jobs.run import run_job
from orchestrator.launch import launch
from orchestrator.run.bound import Run
from orchestrator.run.record import RecordedRun
from orchestrator.run.selection import Selection, plan_of, prepare
from orchestrator.store.layout import attempt_place
from orchestrator.store.marks import DoneMark
from orchestrator.store.node import Node
from orchestrator.store.objects.open import open_object_store
from orchestrator.store.open import open_store
from orchestrator.store.remote import UNFINISHED_HISTORY, RemoteNodeStore
from orchestrator.views.status import read_status
from tests.fixtures.harm import INLINE, QUIET, Compare
from trainers.history import HISTORY


@pytest.fixture(autouse=True)
def _hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_host(tmp_path / "one", monkeypatch)


def on_host(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on this process is on another host, with a cache of its own."""
    monkeypatch.setenv("SONOGRID_CACHE", str(place))


@pytest.fixture
def bound(tmp_path: Path, small_data: Path, tiny_grid: Path, s3: str, own_mlflow: str) -> Run:
    """The tiny grid, bound to a store in S3; nothing has run."""
    return prepare(load_grid(str(tiny_grid)), small_data, tmp_path / "run", f"{s3}/grids")


def test_a_grid_in_s3_gives_the_bytes_of_one_in_a_folder_and_every_verb_works(
    bound: Run, inline_run: Run, same_numbers: Compare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert launch(bound, INLINE, Selection(), QUIET).ok
    on_host(tmp_path / "two", monkeypatch)
    run = Run.open(bound.folder)
    assert run.store.url == bound.store.url
    same_numbers(inline_run, run)
    keys = open_object_store(run.store.url).list()
    left = [
        key
        for key in keys
        if "checkpoint" in key or key.endswith(("alive.json", "stop.json", "failed.json", "placement.json"))
    ]
    assert not left
    assert not list((tmp_path / "one").rglob("checkpoint*")), "scratch folders are gone"
    assert {job.state for job in read_status(RecordedRun.open(run.folder)).jobs} <= {"done", "cached"}
    capsys.readouterr()
    folder = str(run.folder)
    for arguments in (
        ["report", folder, "--json"],
        ["submission", folder],
        ["sync", folder],
        ["status", folder, "--json"],
    ):
        assert main(arguments) == 0
    clip = next((run.data_root / "test").glob("*.wav"))
    assert main(["predict", folder, str(clip), "--json"]) == 0
    assert main(["resume", folder, "--executor", "inline"]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert main(["tune", folder, "--trials", "7"]) == 0


def damage(run: Run, node: Node, name: str) -> None:
    storage = open_object_store(run.store.url)
    key = f"{run.store.name(node)}/attempt-1/{name}"
    data = bytearray(storage.read(key))
    data[len(data) // 2] ^= 1
    storage.write(key, bytes(data))


def test_what_is_missing_or_damaged_in_s3_is_computed_again(
    bound: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    selection = Selection(conditions=("plain",), folds=(0,))
    assert launch(bound, INLINE, selection, QUIET).ok
    by_name = {node.name: node for node in bound.graph.nodes.values()}
    storage = open_object_store(bound.store.url)
    storage.delete(f"{bound.store.name(by_name['predict-plain-0'])}/attempt-1/test.npy")
    run = Run.open(bound.folder)
    planned = {p.node.name: p for p in plan_of(run, selection).nodes if p.action != "cached"}
    assert planned.keys() == {"predict-plain-0"}
    assert planned["predict-plain-0"].reason.startswith(
        f"{bound.store.where(by_name['predict-plain-0'])}/attempt-1/test.npy is"
    )
    damage(run, by_name["train-plain-0"], "snapshot-1.safetensors")  # found by the prediction, which reads it
    on_host(tmp_path / "two", monkeypatch)
    assert launch(Run.open(bound.folder), INLINE, selection, QUIET).ok
    ran = [entry["name"] for entry in json.loads((bound.folder / "timeline.json").read_text())]
    assert ran == ["predict-plain-0", "train-plain-0", "predict-plain-0"]


def test_a_job_that_was_lost_goes_on_at_its_checkpoint_on_another_host(
    bound: Run, inline_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound.save()
    store, node = bound.store, bound.graph.nodes[bound.graph.train["plain", 0]]
    for signature in node.parents:
        assert run_job(bound.claim(bound.graph.nodes[signature], INLINE.of_job()))
    store.refresh()
    spec = bound.claim(node, INLINE.of_job())
    asked: list[Any] = []

    def stop_in_the_first_epoch() -> Any:
        asked.append(1)
        return "epoch"

    assert run_job(spec, stop_in_the_first_epoch) is False
    assert store.reached(node) == 2
    assert [record["epoch"] for record in store.history(node)] == [1]
    shutil.rmtree(tmp_path / "one")  # the host is gone with all that was on it
    on_host(tmp_path / "two", monkeypatch)
    other = Run.open(bound.folder) if (bound.folder / "run.json").exists() else bound
    assert run_job(other.claim(other.graph.nodes[node.signature], INLINE.of_job()))
    fresh = open_store(store.url)
    log = fresh.log(node)
    assert log is not None
    assert "continued at epoch 1, step 2" in log.read_text()
    expected = inline_run.store.results(inline_run.graph.nodes[node.signature])
    name = "snapshot-1.safetensors"
    assert (fresh.results(node) / name).read_bytes() == (expected / name).read_bytes()


def test_a_cut_off_worker_can_not_overwrite_its_successor(bound: Run) -> None:
    bound.save()
    node = next(node for node in bound.graph.nodes.values() if node.kind == "shard")
    store, name = bound.store, bound.store.name(node)
    first, second = (Attempt(store, name, store.claim(node, "me")) for _ in range(2))
    with pytest.raises(SupersededError, match="attempt 1"), first:
        pass
    with second:
        (second.folder / "data.npy").write_bytes(b"of the second")
        second.finish(DoneMark("train", node.signature, host="here"))
        with pytest.raises(SupersededError, match="has finished before"):
            # It looked before the second one finished, and writes after.
            store.finish(
                name, first.claim, DoneMark("train", node.signature, host="here"), [second.folder / "data.npy"]
            )
    assert store.done(node).attempts == 2


def test_an_address_that_is_no_store_is_refused(small_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["launch", "demo", "--data", str(small_data), "--out", str(small_data.parent / "never")]
    for store, told in (
        ("ftp://x/y", "can't be a store"),
        ("s3://me:secret@x/y", "credentials belong in the environment"),
    ):
        assert main([*arguments, "--store", store]) == 2
        said = capsys.readouterr().err
        assert told in said
        assert "secret" not in said


def test_a_snapshot_is_sent_once_however_many_checkpoints_follow(bound: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    node = bound.graph.nodes[bound.graph.train["plain", 0]]
    store, name = bound.store, bound.store.name(node)
    claim = store.claim(node, bound.identity)
    folder = store.begin(name, claim.attempt)
    sent: list[str] = []
    put = store.storage.put
    monkeypatch.setattr(store.storage, "put", lambda path, key: (sent.append(path.name), put(path, key)))
    (folder / "snapshot-1.safetensors").write_bytes(b"weights")
    for epoch in range(3):
        with atomic(folder / "checkpoint.safetensors") as temporary:
            temporary.write_bytes(b"%d" % epoch)
        store.checkpointed(name, claim.attempt, folder)
    mark = DoneMark(node.name, node.signature, host="here")
    store.finish(name, claim, mark, [folder / "snapshot-1.safetensors"])
    assert sorted(sent) == ["checkpoint.safetensors"] * 3 + ["snapshot-1.safetensors"]
    assert (store.results(node) / "snapshot-1.safetensors").read_bytes() == b"weights"
    store.end(folder)


def test_no_key_of_a_result_was_written_before_with_other_content(bound: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write whose answer was lost may be done after the node is finished."""
    node = bound.graph.nodes[bound.graph.train["plain", 0]]
    store, name = bound.store, bound.store.name(node)
    claim = store.claim(node, bound.identity)
    folder = store.begin(name, claim.attempt)
    sent: dict[str, set[bytes]] = {}
    put = store.storage.put
    monkeypatch.setattr(
        store.storage, "put", lambda path, key: (sent.setdefault(key, set()).add(path.read_bytes()), put(path, key))
    )
    for epoch in range(1, 4):
        with atomic(folder / HISTORY) as temporary:
            temporary.write_text("".join(f'{{"epoch": {n}, "lwlrap": 0.5}}\n' for n in range(1, epoch + 1)))
        store.checkpointed(name, claim.attempt, folder)
        assert len(store.history(node)) == epoch
    store.finish(name, claim, DoneMark(node.name, node.signature, host="here"), [folder / HISTORY])
    assert len(store.history(node)) == 3
    assert len(sent[f"{name}/attempt-1/{HISTORY}"]) == 1
    store.end(folder)


LEAVE = """
import sys
from pathlib import Path
from orchestrator.store.open import open_store
from orchestrator.store.remote import UNFINISHED_HISTORY, RemoteNodeStore
store = open_store(sys.argv[1])
folder = store.begin("node", 1)
(folder / "checkpoint").write_bytes(b"x" * 1000)
print(folder, flush=True)
sys.stdin.readline()
"""


def test_scratch_of_a_killed_attempt_is_removed_and_that_of_a_living_one_stays(s3: str) -> None:
    url = f"{s3}/store"
    command = [sys.executable, "-c", LEAVE, url]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    theirs = Path(process.stdout.readline().strip())
    store = open_store(url)
    ours = store.begin("node", 2)
    assert (theirs / "checkpoint").exists(), "its process lives"
    process.kill()
    process.communicate()
    other = store.begin("node", 3)
    assert not theirs.exists()
    assert ours.exists(), "of this process"
    for folder in (ours, other):
        store.end(folder)
        assert not folder.exists()


def test_scratch_that_its_process_removes_at_this_moment_is_left_alone(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt that ends takes no lock of the host's cache."""
    store = open_store(f"{s3}/store")
    theirs = store.begin("node", 1)
    real = Path.glob

    def glob(folder: Path, pattern: str) -> Iterator[Path]:
        for path in real(folder, pattern):
            store.end(path)
            yield path

    monkeypatch.setattr(Path, "glob", glob)
    store.end(store.begin("node", 2))
    assert not theirs.exists()


NODE = Node("train-A-0", "train", {}, {}, "0123456789abcdef" * 4)


@pytest.fixture
def store(s3: str) -> RemoteNodeStore:
    return RemoteNodeStore(f"{s3}/nodes")


def test_a_history_that_broke_off_in_a_character_is_read_as_far_as_it_goes(store: RemoteNodeStore) -> None:
    name = store.name(NODE)
    attempt = store.claim(NODE, "run").attempt
    record = json.dumps({"epoch": 1, "lwlrap": 0.5}).encode() + b"\n"
    store.storage.write(f"{attempt_place(name, attempt)}/{UNFINISHED_HISTORY}", record + "é".encode()[:1])
    assert RemoteNodeStore(store.url).history(NODE) == [{"epoch": 1, "lwlrap": 0.5}]


def test_scratch_folders_are_made_when_they_are_needed_and_end_with_the_store(store: RemoteNodeStore) -> None:
    name = store.name(NODE)
    claim = store.claim(NODE, "run")
    assert store.earlier(name) == []
    assert not list(store.root.glob("*.scratch"))
    folder = store.begin(name, claim.attempt)
    assert folder.is_dir()
    store.close()
    assert not list(store.root.glob("*.scratch"))
