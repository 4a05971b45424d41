"""One contract for every kind of store: a local folder, S3 and Google Cloud Storage; and S3 over a bad connection."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from features.errors import InputError, StoreError
from orchestrator.store.objects import s3 as s3_module
from orchestrator.store.objects.base import ObjectStore
from orchestrator.store.objects.open import open_object_store


@pytest.fixture
def storage(root: str) -> ObjectStore:
    return open_object_store(root)


def python(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


# The contract


def test_a_missing_store_is_empty(storage: ObjectStore) -> None:
    assert storage.list() == {}
    assert storage.list("no/such/folder") == {}
    storage.delete("no/such/key")


def test_what_is_written_is_read(storage: ObjectStore) -> None:
    for data in (b"first", b"", b"and another, which is longer"):
        storage.write("node-1/deep/er/mark.json", data)
        assert storage.read("node-1/deep/er/mark.json") == data
        assert storage.list() == {"node-1/deep/er/mark.json": len(data)}
    assert open_object_store(storage.url).read("node-1/deep/er/mark.json") == data


def test_missing_keys(storage: ObjectStore, tmp_path: Path) -> None:
    storage.write("folder/key", b"x")
    for key in ("nothing", "folder", "folder/key/below", "folder/ke"):
        with pytest.raises(FileNotFoundError, match=key):
            storage.read(key)
        with pytest.raises(FileNotFoundError):
            storage.get(key, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_list_is_of_a_folder(storage: ObjectStore) -> None:
    for key in ("node-1/a", "node-1/b/c", "node-10/a", "top"):
        storage.write(key, key.encode())
    assert storage.list() == {"node-1/a": 8, "node-1/b/c": 10, "node-10/a": 9, "top": 3}
    assert storage.list("node-1") == {"node-1/a": 8, "node-1/b/c": 10}
    assert storage.list("node-1/b") == {"node-1/b/c": 10}
    assert storage.list("node") == {}


def test_delete(storage: ObjectStore) -> None:
    storage.write("folder/a", b"1")
    storage.write("folder/b", b"2")
    for _ in range(2):
        storage.delete("folder/a")
    assert storage.list() == {"folder/b": 1}
    storage.delete("folder/b")
    assert storage.list() == {}
    assert storage.create("folder/a", b"3")


def test_files_come_back_as_they_went(storage: ObjectStore, tmp_path: Path) -> None:
    for size in (0, 1, 20 << 20):  # the last in several parts
        path = tmp_path / "file"
        path.write_bytes(os.urandom(size))
        storage.put(path, "a/file")
        assert storage.list() == {"a/file": size}, "nothing hidden or half-written"
        storage.get("a/file", tmp_path / "new" / "copy")
        assert (tmp_path / "new" / "copy").read_bytes() == path.read_bytes()
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["copy"]


def test_a_file_that_cant_be_read_leaves_the_object_as_it_was(storage: ObjectStore) -> None:
    storage.write("key", b"old")
    unreadable = Path("/proc/self/mem")  # opens, but its first byte belongs to nobody
    with pytest.raises(StoreError):
        storage.put(unreadable, "key")
    with pytest.raises(StoreError):
        storage.put(unreadable, "other")
    assert storage.read("key") == b"old"
    assert storage.list() == {"key": 3}


def test_create_makes_a_key_once(storage: ObjectStore) -> None:
    assert storage.create("claims/job", b"mine")
    assert not storage.create("claims/job", b"yours")
    assert not storage.create("claims/job", b"mine")
    assert storage.read("claims/job") == b"mine"
    storage.write("written", b"w")
    assert not storage.create("written", b"c")
    assert storage.list() == {"claims/job": 4, "written": 1}


RACE = """
import sys, time
from orchestrator.store.objects.open import open_object_store
storage, name = open_object_store(sys.argv[1]), sys.argv[2]
storage.list()
print("ready", flush=True)
sys.stdin.readline()
for n in range(20):
    if storage.create(f"claims/{n}", name.encode() * 1000):
        print(n)
"""


def test_one_of_several_processes_creates_a_key(storage: ObjectStore) -> None:
    if storage.url.startswith("gs://"):
        pytest.skip("the emulator of Google Cloud Storage ignores the condition of a write")
    racers = [
        subprocess.Popen([sys.executable, "-c", RACE, storage.url, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for name in "abc"
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == b"ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write(b"\n")
        racer.stdin.flush()
    won = {name: racer.communicate(timeout=120)[0].split() for name, racer in zip("abc", racers, strict=True)}
    assert all(racer.returncode == 0 for racer in racers)
    assert sorted(int(n) for keys in won.values() for n in keys) == list(range(20)), "each key has one winner"
    for name, keys in won.items():
        for n in keys:
            assert storage.read(f"claims/{int(n)}") == name.encode() * 1000


def test_readers_see_whole_objects_while_they_are_replaced(storage: ObjectStore) -> None:
    contents = {bytes([65 + n]) * (1000 + 100 * n) for n in range(8)}
    storage.write("mark", min(contents))
    script = (
        "import sys\nfrom orchestrator.store.objects.open import open_object_store\n"
        "storage = open_object_store(sys.argv[1])\n"
        "for _ in range(15):\n for n in range(8):\n  storage.write('mark', bytes([65 + n]) * (1000 + 100 * n))\n"
    )
    writer = python(script, storage.url)
    seen = []
    while writer.poll() is None:
        seen.append(storage.read("mark"))
        assert seen[-1] in contents
    _, errors = writer.communicate()
    assert writer.returncode == 0, errors
    assert len(seen) > 10
    assert len(set(seen)) > 1
    assert storage.read("mark") == max(contents)


def test_keys_stay_below_the_root(storage: ObjectStore, tmp_path: Path) -> None:
    for key in ("", "/a", "a//b", "a/", "../a", "a/../b", "a/.b", ".a"):
        calls: list[Callable[[], Any]] = [
            partial(storage.read, key), partial(storage.write, key, b""), partial(storage.create, key, b""),
            partial(storage.get, key, tmp_path / "x"), partial(storage.put, Path(__file__), key),
            partial(storage.delete, key),
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(ValueError, match="is not a key"):
                call()


# Opening


@pytest.mark.parametrize(
    "root", ["ftp://host/x", "s3:/bucket", "s3://", "gs://", "s3:///x", "http://h/s3://b", "s3://b/../c"]
)
def test_other_roots_are_refused(root: str) -> None:
    with pytest.raises(InputError, match=r"(s3|gs)://BUCKET/PREFIX"):
        open_object_store(root)


def test_credentials_in_a_url_are_refused_and_not_shown() -> None:
    with pytest.raises(InputError, match="environment") as caught:
        open_object_store("s3://AKIAKEY:c0nf1dential@bucket/prefix")
    assert "c0nf1dential" not in str(caught.value)


def test_local_errors_are_sentences(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    storage = open_object_store(tmp_path / "file")
    with pytest.raises(StoreError, match=r"file/key.*launch again"):
        storage.write("key", b"x")
    with pytest.raises(StoreError, match=r"file/key.*launch again"):
        storage.create("key", b"x")


# S3 with a bad connection


@pytest.fixture
def shaky(proxy: Any, s3: str, monkeypatch: pytest.MonkeyPatch) -> ObjectStore:
    """A store behind the proxy."""
    monkeypatch.setattr(s3_module, "ATTEMPTS", 4)
    return open_object_store(f"{s3}/p")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time-out that a test can wait for."""
    monkeypatch.setattr(s3_module, "SILENCE_TIMEOUT_S", 0.4)


@pytest.mark.parametrize(
    "kind", ["slow down", "internal error", pytest.param("silence", marks=pytest.mark.long), "lost"]
)
def test_what_fails_in_passing_is_repeated(
    kind: str, shaky: ObjectStore, proxy: Any, faults: Any, tmp_path: Path
) -> None:
    fault = {
        "slow down": faults.status(503, "SlowDown"),
        "internal error": faults.status(500, "InternalError"),
        "silence": faults.silence(0.8),
        "lost": faults.lost,
    }[kind]
    (tmp_path / "file").write_bytes(b"content")
    proxy.faults = [fault]
    shaky.write("a", b"1")
    proxy.faults = [fault]
    assert shaky.read("a") == b"1"
    proxy.faults = [fault]
    assert shaky.list() == {"a": 1}
    proxy.faults = [fault, None, fault]
    assert shaky.create("b", b"2"), "the look and the write were both repeated"
    proxy.faults = [fault]
    shaky.put(tmp_path / "file", "c")
    proxy.faults = [fault]
    shaky.get("c", tmp_path / "copy")
    proxy.faults = [fault]
    shaky.delete("a")
    assert (tmp_path / "copy").read_bytes() == b"content"
    assert shaky.list() == {"b": 1, "c": 7}


def test_a_lost_answer_to_create_is_no_lost_claim(shaky: ObjectStore, proxy: Any, faults: Any) -> None:
    proxy.faults = [None, faults.lost]
    assert shaky.create("claim", b"attempt 1 of host a")
    assert not shaky.create("claim", b"attempt 1 of host b")
    assert shaky.read("claim") == b"attempt 1 of host a"


@pytest.mark.parametrize("answer", [(501, "NotImplemented"), (409, "ConditionalRequestConflict")])
def test_create_without_conditional_writes_or_with_a_conflict(
    answer: tuple[int, str], shaky: ObjectStore, proxy: Any, faults: Any
) -> None:
    proxy.faults = [None, faults.status(*answer)]
    assert shaky.create("claim", b"a")
    assert not shaky.create("claim", b"b")
    assert shaky.read("claim") == b"a"


def test_a_service_that_is_down_is_given_up(shaky: ObjectStore, proxy: Any, faults: Any) -> None:
    proxy.always = faults.status(503, "SlowDown")
    with pytest.raises(
        StoreError, match=r"s3://bucket-\w+/p/key: the store answers 503 SlowDown .*; .*again"
    ) as caught:
        shaky.read("key")
    assert len(proxy.requests) == 4
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "code"), [(403, "AccessDenied"), (404, "NoSuchBucket"), (403, "SignatureDoesNotMatch")]
)
def test_a_refusal_is_not_repeated(status: int, code: str, shaky: ObjectStore, proxy: Any, faults: Any) -> None:
    proxy.always = faults.status(status, code)
    calls: list[Callable[[], Any]] = [
        lambda: shaky.read("key"), lambda: shaky.write("key", b""), shaky.list,
        lambda: shaky.put(Path(__file__), "key"), lambda: shaky.delete("key"),
    ]  # fmt: skip
    for count, call in enumerate(calls, start=1):
        with pytest.raises(StoreError, match=f"s3://bucket-.*{code}.*;") as caught:
            call()
        assert len(proxy.requests) == count
        assert "not-to-be-seen" not in str(caught.value)


def test_a_missing_bucket_is_named(s3: str, gs: str) -> None:
    for url in ("s3://no-such-bucket/p", "gs://no-such-bucket/p"):
        with pytest.raises(StoreError, match=r"no-such-bucket.*bucket"):
            open_object_store(url).write("key", b"x")
        with pytest.raises(StoreError, match=r"no-such-bucket.*bucket"):
            open_object_store(url).create("key", b"x")


def test_nobody_at_the_endpoint(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_module, "ATTEMPTS", 2)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(
        StoreError, match=r"s3://bucket-\w+/key: no whole answer .*EndpointConnectionError.*AWS_ENDPOINT_URL"
    ):
        open_object_store(s3).read("key")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nonsense")
    with pytest.raises(InputError, match="AWS_ENDPOINT_URL"):
        open_object_store(s3)


def test_no_credentials(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    with pytest.raises(StoreError, match=r"credentials; set AWS_ACCESS_KEY_ID"):
        open_object_store(s3).read("key")


def test_a_cut_download_goes_on_where_it_stopped(shaky: ObjectStore, proxy: Any, faults: Any, tmp_path: Path) -> None:
    data = os.urandom(3 << 20)
    shaky.write("big", data)
    proxy.requests.clear()
    proxy.faults = [faults.cut, faults.cut]
    shaky.get("big", tmp_path / "big")
    assert (tmp_path / "big").read_bytes() == data
    assert len(proxy.requests) == 3
    proxy.always = faults.cut
    with pytest.raises(StoreError, match="no whole answer"):
        shaky.get("big", tmp_path / "none")
    assert [p.name for p in tmp_path.iterdir()] == ["big"]


def test_a_cut_download_of_an_object_that_is_replaced_begins_anew(shaky: ObjectStore, proxy: Any, faults: Any) -> None:
    shaky.write("key", b"a" * 100_000)

    def cut_and_replace(handler: Any, forward: Any) -> None:
        faults.cut(handler, forward)
        handler.server.faults.insert(0, None)
        open_object_store(shaky.url).write("key", b"b" * 50_000)

    proxy.faults = [cut_and_replace]
    assert shaky.read("key") in (b"a" * 100_000, b"b" * 50_000)


def test_a_slow_link_is_no_time_out(impatient: None, shaky: ObjectStore, proxy: Any, faults: Any) -> None:
    shaky.write("key", b"a" * 100_000)
    proxy.requests.clear()
    proxy.faults = [faults.slow(1.0)]
    started = time.monotonic()
    assert shaky.read("key") == b"a" * 100_000
    assert time.monotonic() - started > s3_module.SILENCE_TIMEOUT_S
    assert len(proxy.requests) == 1


def test_a_killed_upload_publishes_nothing(shaky: ObjectStore, proxy: Any, faults: Any, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(os.urandom(30 << 20))
    proxy.always = lambda handler, forward: (time.sleep(0.3), forward(), faults.lost(handler, forward))
    script = (
        "import sys\nfrom pathlib import Path\nfrom orchestrator.store.objects.open import open_object_store\n"
        "open_object_store(sys.argv[1]).put(Path(sys.argv[2]), 'big')"
    )
    process = python(script, shaky.url, str(tmp_path / "big"))
    while len(proxy.requests) < 3:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    proxy.always = None
    assert shaky.list() == {}


MEMORY = """
import resource, sys
from pathlib import Path
from orchestrator.store.objects.open import open_object_store
def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
storage, path = open_object_store(sys.argv[1]), Path(sys.argv[2])
storage.write("warm-up", b"x" * (9 << 20))
before = peak_mb()
storage.put(path, "big")
storage.get("big", path.with_name("copy"))
print(peak_mb() - before)
"""


def test_large_files_are_streamed(s3: str, tmp_path: Path) -> None:
    size = 200 << 20
    with (tmp_path / "big").open("wb") as file:
        file.truncate(size)
    process = python(MEMORY, s3, str(tmp_path / "big"))
    output, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    assert (tmp_path / "copy").stat().st_size == size
    assert float(output) < 110, "MB more than before; ten parts of 8 MB wait to be sent"


def test_stores_of_a_process_share_the_descriptions_of_the_service(s3: str) -> None:
    """Each job opens a store, and reading them takes longer than many a call."""
    for _ in range(3):
        open_object_store(f"{s3}/descriptions").write("key", b"1")
    paths = s3_module._descriptions().search_paths
    assert len(paths) == len(set(paths))
    assert s3_module._descriptions.cache_info().misses == 1
