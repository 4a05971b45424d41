"""The cache of a host: one download for all its processes, checked, bounded, and sound after a kill."""

import fcntl
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from features.errors import InputError, StoreError
from features.files import sha256_file, write_json
from orchestrator.store.cache import Cache, default_cache_root, locked, make_private
from orchestrator.store.objects.base import ObjectStore
from orchestrator.store.objects.open import open_object_store

LIMIT = 10_000_000


@pytest.fixture
def make_node(s3: str, tmp_path: Path) -> Callable[..., ObjectStore]:
    """Puts a finished node into a store on S3."""
    storage = open_object_store(f"{s3}/store")

    def make(name: str, **sizes: int) -> ObjectStore:
        folder = tmp_path / "made" / name
        folder.mkdir(parents=True, exist_ok=True)
        about = {}
        for file, size in sizes.items():
            (folder / file).write_bytes(os.urandom(size))
            storage.put(folder / file, f"{name}/{file}")
            about[file] = {"sha256": sha256_file(folder / file), "bytes": size}
        write_json(folder / "done.json", {"name": name, "files": about})
        storage.put(folder / "done.json", f"{name}/done.json")
        return storage

    return make


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def names(root: Path) -> list[str]:
    """Nodes in a cache, without the hash."""
    return sorted(path.name.rpartition(".")[0] for path in root.iterdir() if path.is_dir())


def leftovers(root: Path) -> list[Path]:
    return [path for path in root.rglob("*.tmp*") if path.is_file()]


def data_requests(proxy: Any, file: str) -> int:
    return sum(bool(re.match(rf"GET .*/{file}(\?|$)", request)) for request in proxy.requests)


def test_a_node_is_downloaded_once(
    make_node: Callable[..., ObjectStore], proxy: Any, root: Path, tmp_path: Path
) -> None:
    storage = make_node("shard-1", a=100_000, empty=0)
    storage = open_object_store(storage.url)  # through the proxy
    for _ in range(2):
        with Cache(root, LIMIT) as cache:
            folder = cache.fetch(storage, "shard-1")
            assert cache.fetch(storage, "shard-1") == folder
        for file in ("a", "empty", "done.json"):
            assert (folder / file).read_bytes() == (tmp_path / "made" / "shard-1" / file).read_bytes()
    assert data_requests(proxy, "a") == 1


def test_a_node_made_again_is_another(make_node: Callable[..., ObjectStore], root: Path) -> None:
    storage = make_node("train", weights=1000)
    with Cache(root, LIMIT) as first, Cache(root, LIMIT) as second:
        old = first.fetch(storage, "train")
        before = (old / "weights").read_bytes()
        make_node("train", weights=1000)
        new = second.fetch(storage, "train")
        assert new != old
        assert (new / "weights").read_bytes() != before
        assert first.fetch(storage, "train") == old, "a job sees one version as long as it runs"
        assert (old / "weights").read_bytes() == before


def test_equal_names_in_two_stores_are_two_nodes(
    make_node: Callable[..., ObjectStore], root: Path, tmp_path: Path
) -> None:
    storage = make_node("node", a=10)
    with Cache(root, LIMIT) as cache:
        assert cache.fetch(storage, "node") != cache.fetch(open_object_store(tmp_path / "made"), "node")


def test_the_oldest_unused_node_goes_first(make_node: Callable[..., ObjectStore], root: Path) -> None:
    for n in range(5):
        storage = make_node(f"node-{n}", data=3_000_000)
    for n in range(3):
        with Cache(root, LIMIT) as cache:
            cache.fetch(storage, f"node-{n}")
    with Cache(root, LIMIT) as cache:
        cache.fetch(storage, "node-0")  # used again
    with Cache(root, LIMIT) as cache:
        cache.fetch(storage, "node-3")
        assert names(root) == ["node-0", "node-2", "node-3"]
        with Cache(root, LIMIT) as other:
            other.fetch(storage, "node-2")
            other.fetch(storage, "node-4")
            assert names(root) == ["node-2", "node-3", "node-4"]


def test_what_is_in_use_stays_and_is_named_when_nothing_fits(make_node: Callable[..., ObjectStore], root: Path) -> None:
    storage = make_node("used", data=6_000_000)
    make_node("idle", data=2_000_000)
    make_node("wanted", data=5_000_000)
    make_node("huge", data=LIMIT + 1)
    with Cache(root, LIMIT) as cache:
        cache.fetch(storage, "idle")
    with Cache(root, LIMIT) as holder, Cache(root, LIMIT) as other:
        folder = holder.fetch(storage, "used")
        with pytest.raises(StoreError, match=r"no room for wanted.*0\.01 GB.*raise --cache-gb"):
            other.fetch(storage, "wanted")
        assert (folder / "data").stat().st_size == 6_000_000
        assert names(root) == ["idle", "used"], "nothing is thrown away in vain"
        with pytest.raises(StoreError, match="no room for huge"):
            other.fetch(storage, "huge")
        holder.close()
        assert (other.fetch(storage, "wanted") / "data").exists()
        assert names(root) == ["wanted"], "idle is used longest ago, and without used it still doesn't fit"


def test_what_fits_exactly_fits(make_node: Callable[..., ObjectStore], root: Path) -> None:
    storage = make_node("used", data=4_000_000)
    make_node("idle", data=6_000_000)
    make_node("wanted", data=6_000_000)
    with Cache(root, LIMIT) as cache:
        cache.fetch(storage, "idle")
    with Cache(root, LIMIT) as cache:
        cache.fetch(storage, "used")
        assert names(root) == ["idle", "used"], "together they fill it"
        cache.fetch(storage, "wanted")
        assert names(root) == ["used", "wanted"]


def test_a_lock_is_shared_or_exclusive(tmp_path: Path) -> None:
    path = tmp_path / ".lock"

    def is_free(kind: int) -> bool:
        with path.open("a") as file:
            try:
                fcntl.flock(file, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

    with locked(path):
        assert not is_free(fcntl.LOCK_SH)
    with locked(path, fcntl.LOCK_SH):
        assert is_free(fcntl.LOCK_SH)
        assert not is_free(fcntl.LOCK_EX)
    assert is_free(fcntl.LOCK_EX)
    assert path.stat().st_mode & 0o777 == 0o600


HOLD = """
import sys, time
from pathlib import Path
from orchestrator.store.cache import Cache
from orchestrator.store.objects.open import open_object_store
print(Cache(Path(sys.argv[1]), int(sys.argv[4])).fetch(open_object_store(sys.argv[2]), sys.argv[3]), flush=True)
sys.stdin.readline()
"""


def process(root: Path, url: str, node: str, limit: int = LIMIT) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(root), url, node, str(limit)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_process_keeps_what_it_fetched_until_it_ends(make_node: Callable[..., ObjectStore], root: Path) -> None:
    storage = make_node("a", data=1000)
    make_node("b", data=1000)
    holder = process(root, storage.url, "a", 1500)
    assert holder.stdout is not None
    assert holder.stdout.readline().startswith(str(root))
    with Cache(root, 1500) as cache:
        with pytest.raises(StoreError, match="no room for b"):
            cache.fetch(storage, "b")
        holder.kill()
        holder.communicate()
        cache.fetch(storage, "b")
    assert names(root) == ["b"]


def test_of_several_processes_one_downloads(
    make_node: Callable[..., ObjectStore], proxy: Any, faults: Any, root: Path
) -> None:
    storage = make_node("node", data=2_000_000)
    proxy.always = faults.slow(0.5)
    fetching = [process(root, storage.url, "node") for _ in range(4)]
    outputs = [one.communicate("\n", timeout=120) for one in fetching]
    assert {errors for _, errors in outputs} == {""}
    assert len({output for output, _ in outputs}) == 1
    assert data_requests(proxy, "data") == 1
    assert len(names(root)) == 1


def test_after_a_kill_the_next_one_goes_on_and_tidies_up(
    make_node: Callable[..., ObjectStore], proxy: Any, faults: Any, root: Path, tmp_path: Path
) -> None:
    storage = make_node("node", data=2_000_000)
    make_node("other", data=1000)
    proxy.faults = [None, faults.slow(60.0)]  # the done-mark, the data
    killed = process(root, storage.url, "node")
    while not leftovers(root):
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.05)
    waiting = process(root, storage.url, "node")
    while len(proxy.requests) < 3:
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    output, errors = waiting.communicate("\n", timeout=120)
    assert errors == ""
    assert Path(output.strip(), "data").read_bytes() == (tmp_path / "made" / "node" / "data").read_bytes()
    assert leftovers(root) == []

    # And where nobody wants that node again:
    proxy.faults = [None, faults.slow(60.0)]
    killed = process(tmp_path / "second", storage.url, "node")
    while not leftovers(tmp_path / "second"):
        assert killed.poll() is None, killed.communicate()
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    with Cache(tmp_path / "second", LIMIT) as cache:
        cache.fetch(storage, "other")
    assert leftovers(tmp_path / "second") == []


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", ["flipped", "cut short", "removed", "mark"])
def test_damage_on_the_disk_is_mended(
    damage: str, make_node: Callable[..., ObjectStore], root: Path, tmp_path: Path
) -> None:
    storage = make_node("node", a=1000, b=1000)
    with Cache(root, LIMIT) as cache:
        folder = cache.fetch(storage, "node")
    path = folder / ("done.json" if damage == "mark" else "b")
    if damage == "cut short":
        os.truncate(path, 10)
    elif damage == "removed":
        path.unlink()
    else:
        flip_a_byte(path)
    with Cache(root, LIMIT) as cache:
        assert cache.fetch(storage, "node") == folder
        for name in ("a", "b", "done.json"):
            assert (folder / name).read_bytes() == (tmp_path / "made" / "node" / name).read_bytes()


def flipped(faults: Any) -> Any:
    def fault(handler: Any, forward: Any) -> None:
        status, headers, body = forward()
        middle = len(body) // 2
        faults.send(handler, (status, headers, body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]))

    return fault


def test_a_damaged_download_is_repeated_once(
    make_node: Callable[..., ObjectStore], proxy: Any, faults: Any, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_node("node", data=1000)
    storage = open_object_store(make_node("mark-only").url)
    proxy.faults = [None, flipped(faults)]
    with Cache(root, LIMIT) as cache, caplog.at_level(logging.WARNING, "orchestrator.store.cache"):
        cache.fetch(storage, "node")
    assert "node/data arrived damaged" in caplog.text
    assert data_requests(proxy, "data") == 2


def test_an_object_that_is_damaged_in_the_store_is_named(make_node: Callable[..., ObjectStore], root: Path) -> None:
    storage = make_node("node", data=1000)
    storage.write("node/data", b"x" * 1000)
    with Cache(root, LIMIT) as cache, pytest.raises(StoreError, match=r"s3://.*node/data is damaged.*launch again"):
        cache.fetch(storage, "node")
    assert not list(root.rglob("data"))
    storage.delete("node/data")
    with Cache(root, LIMIT) as cache, pytest.raises(StoreError, match=r"node/data is missing"):
        cache.fetch(storage, "node")


def test_nodes_that_are_not_done_and_marks_that_are_none(make_node: Callable[..., ObjectStore], root: Path) -> None:
    storage = make_node("node", data=10)
    with Cache(root, LIMIT) as cache:
        with pytest.raises(StoreError, match=r"s3://.*nothing is not done"):
            cache.fetch(storage, "nothing")
        for mark in (
            b"", b"[]", b'{"files": 3}', b'{"files": {"../up": {"sha256": "", "bytes": 1}}}',
            b'{"files": {".fetch": {"sha256": "", "bytes": 1}}}', b'{"files": {"a": {"bytes": 1}}}',
        ):  # fmt: skip
            storage.write("broken/done.json", mark)
            with pytest.raises(StoreError, match=r"broken/done\.json is damaged"):
                cache.fetch(storage, "broken")
    assert names(root) == []


def test_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SONOGRID_CACHE", str(tmp_path / "named"))
    assert default_cache_root() == tmp_path / "named"
    monkeypatch.delenv("SONOGRID_CACHE")
    assert str(os.getuid()) in default_cache_root().name
    Cache(tmp_path / "made", LIMIT)
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o700
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="SONOGRID_CACHE"):
        Cache(tmp_path / "file", LIMIT)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_root_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "foreign").mkdir()
    os.chown(tmp_path / "foreign", 12345, 12345)
    with pytest.raises(InputError, match="another user"):
        Cache(tmp_path / "foreign", LIMIT)


def test_a_root_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(InputError, match="may be written to by other users; type: chmod 700"):
        Cache(tmp_path / "open", LIMIT)
    (tmp_path / "open").chmod(0o755)
    Cache(tmp_path / "open", LIMIT)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("kind", ["folder", "link"])
def test_who_owns_the_root_of_the_cache_could_swap_the_nodes_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    root = tmp_path / "root"
    monkeypatch.setenv("SONOGRID_CACHE", str(root))
    if kind == "folder":
        root.mkdir()
        os.chown(root, 12345, 12345)
    else:
        (tmp_path / "mine").mkdir(mode=0o700)
        root.symlink_to(tmp_path / "mine")
        os.chown(root, 12345, 12345, follow_symlinks=False)
    for part in ("nodes", "work-1"):
        with pytest.raises(InputError, match="root belongs to another user"):
            make_private(root / part)


def test_the_root_and_what_is_in_it_are_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SONOGRID_CACHE", str(tmp_path / "a" / "root"))
    make_private(tmp_path / "a" / "root" / "work-1")
    for path in (tmp_path / "a" / "root", tmp_path / "a" / "root" / "work-1"):
        assert path.stat().st_mode & 0o777 == 0o700
