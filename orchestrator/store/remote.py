"""A store in an object store (`s3://`, `gs://`): the same marks and names, under keys instead of paths.

An object store has no rename and no place to work in. An attempt works in a scratch folder of its host, and what it
can be continued from is copied to the store after each checkpoint. Finished nodes that a job reads come through the
host's cache (`orchestrator.store.cache`), which its jobs share. A node is finished by a conditional write of its
done-mark: if two attempts both believe to be the latest, one of them fails.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from typing_extensions import override

from features.errors import DamagedInputError, StoreError, SupersededError
from features.files import hash_of
from orchestrator.store.base import PREFIX, NodeStore, attempt_folder, checksums, number_of
from orchestrator.store.cache import Cache, default_cache_root
from orchestrator.store.interfaces import M, State
from orchestrator.store.marks import Damage, DoneMark, Failure, Lease, Mark, SignOfLife, StopRequest
from orchestrator.store.node import Node
from orchestrator.store.objects.base import ObjectStore
from orchestrator.store.objects.open import open_object_store
from trainers.history import HISTORY, parse_history

__all__ = ["RemoteNodeStore"]

CACHE_BYTES = 200_000_000_000
"""Twice the features of the paper's grid, and some room."""


class RemoteNodeStore(NodeStore):
    """Nodes under a URL."""

    beat_s = 10.0
    alive_s = 60.0

    def __init__(self, url: str, *, listed: bool = True) -> None:
        self.storage: ObjectStore = open_object_store(url)
        self._keys: dict[str, dict[str, int]] = {}
        """Folder of a node -> its keys, relative to the folder, with their sizes."""
        self._done: dict[str, DoneMark] = {}
        super().__init__(default_cache_root() / f"work-{hash_of(self.storage.url)[:12]}", listed=listed)

    @property
    @override
    def url(self) -> str:
        return self.storage.url

    @cached_property
    def cache(self) -> Cache:
        """Finished nodes on this host's disk."""
        return Cache(default_cache_root() / "nodes", CACHE_BYTES)

    # --- where things are

    @override
    def refresh(self, node: Node | None = None) -> None:
        if node is not None:
            name = self.name(node)
            found = {key.removeprefix(f"{name}/"): size for key, size in self.storage.list(name).items()}
            self._keys[name] = found
            self._done.pop(name, None)
            if found:
                self._names[node.signature[:PREFIX]] = name
            return
        self._keys, self._done = {}, {}
        for key, size in self.storage.list().items():
            name, _, rest = key.partition("/")
            self._keys.setdefault(name, {})[rest] = size
        self._names = {name[-PREFIX:]: name for name in self._keys}

    @override
    def where(self, node: Node) -> str:
        return f"{self.url}/{self.name(node)}"

    # --- marks

    @override
    def read_mark(self, name: str, mark: type[M]) -> M | None:
        known = self._done.get(name)
        if isinstance(known, mark):
            return known
        key = f"{name}/{mark.FILE}"
        try:
            content = json.loads(self.storage.read(key))
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError) as error:
            raise StoreError(f"{self.url}/{key} is damaged: it is not JSON ({error})") from None
        found = mark.from_json(content, f"{self.url}/{key}")
        if isinstance(found, DoneMark):
            self._done[name] = found
        return found

    @override
    def write_mark(self, name: str, mark: Mark) -> None:
        self.storage.write(f"{name}/{mark.FILE}", _json(mark))
        self._keys.setdefault(name.partition("/")[0], {})

    @override
    def drop_marks(self, name: str, *marks: type[Mark]) -> None:
        for mark in marks:
            self.storage.delete(f"{name}/{mark.FILE}")
            self._keys.get(name, {}).pop(mark.FILE, None)
        self._done.pop(name, None)

    # --- what the driver asks and does

    @override
    def state(self, node: Node) -> State:
        """Read from the list of keys, so that thousands of nodes need no requests."""
        name = self.name(node)
        keys = self._keys.get(name, {})
        if DoneMark.FILE in keys and Damage.FILE not in keys:
            return State("done")
        if DoneMark.FILE in keys or Failure.FILE in keys:
            return super().state(node)
        return State("partial" if keys else "new")

    @override
    def is_there(self, node: Node) -> bool:
        return bool(self._keys.get(self.name(node)))

    @override
    def has_files(self, name: str) -> bool:
        return bool(self._keys.get(name))

    @override
    def inspected(self, node: Node) -> State:
        """Compares sizes only: the service checks its own bytes, and a job those that it reads."""
        state = self.state(node)
        if state.state == "done":
            name = self.name(node)
            for file, expected in self.done(node).files.items():
                size = self._keys[name].get(file)
                if size != expected.bytes:
                    what = "it is gone" if size is None else f"it has {size} bytes, not {expected.bytes}"
                    return State("damaged", str(self.damage(name, file, what)))
        return state

    @override
    def history(self, node: Node) -> list[dict[str, Any]]:
        name = self.name(node)
        places = [name, *(f"{name}/{attempt_folder(number)}" for number in self.attempts(name))]
        return max((self._history(place) for place in places), key=len)

    def _history(self, place: str) -> list[dict[str, Any]]:
        try:
            return parse_history(self.storage.read(f"{place}/{HISTORY}").decode(errors="replace"))
        except FileNotFoundError:
            return []

    @override
    def alive(self, node: Node) -> SignOfLife | None:
        name = self.name(node)
        lease = self.lease(name)
        return None if lease is None else self.sign_of(name, lease.attempt)

    @override
    def is_alive(self, node: Node) -> bool:
        """Measured by this host's clock, as an object store has none to ask: clocks have to agree to a minute."""
        sign = self.alive(node)
        return sign is not None and abs(time.time() - sign.time) < self.alive_s

    @override
    def log(self, node: Node, attempt: int | None = None) -> Path | None:
        """A copy on this host, as of the attempt's last checkpoint while it runs."""
        keys = self.storage.list(f"{self.name(node)}/logs")
        logs = {int(Path(key).stem): key for key in keys if key.endswith(".log")}
        key = logs.get(max(logs, default=0) if attempt is None else attempt)
        if key is None:
            return None
        self.storage.get(key, self.root / "logs" / key)
        return self.root / "logs" / key

    @override
    def has_leftovers(self, node: Node) -> bool:
        keys = self._keys.get(self.name(node), {})
        return Lease.FILE in keys and DoneMark.FILE in keys

    # --- what a worker does

    @override
    def begin(self, name: str, number: int) -> Path:
        """A scratch folder, new for each attempt."""
        self.root.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f"{name}.{number}.", dir=self.root))

    @override
    def keep_log(self, name: str, number: int) -> None:
        path = self.log_file(name, number)
        if path.exists():
            self.storage.put(path, f"{name}/logs/{number}.log")
            path.unlink()

    @override
    def earlier(self, name: str, number: int) -> list[Path]:
        """Copies on this host."""
        folders = []
        for other in self.attempts(name):
            if other == number:
                continue
            folder = self.root / name / attempt_folder(other)
            for key in self.storage.list(f"{name}/{attempt_folder(other)}"):
                self.storage.get(key, self.root / key)
            folders.append(folder)
        return folders

    @override
    def checkpointed(self, name: str, number: int, folder: Path) -> None:
        for path in sorted(folder.iterdir()):
            if not path.name.startswith("."):
                self.storage.put(path, f"{name}/{attempt_folder(number)}/{path.name}")
        if self.log_file(name, number).exists():
            self.storage.put(self.log_file(name, number), f"{name}/logs/{number}.log")
        for other in self.attempts(name):
            if other < number:
                self._delete(f"{name}/{attempt_folder(other)}")

    @override
    def finish(self, name: str, mark: DoneMark, files: Iterable[Path]) -> None:
        """Of two attempts that finish at once the first wins; both have the same results."""
        for path in files:
            self.storage.put(path, f"{name}/{path.name}")
        if not self.storage.create(f"{name}/{mark.FILE}", _json(replace(mark, files=checksums(files)))):
            raise SupersededError(f"another attempt at {name} has finished before this one")
        self.sweep(name)

    @override
    def sweep(self, name: str) -> None:
        for number in self.attempts(name):
            self._delete(f"{name}/{attempt_folder(number)}")
        for path in (self.root / name).glob("attempt-*/"):
            shutil.rmtree(path, ignore_errors=True)
        self.drop_marks(name, Failure, Damage, StopRequest, Lease)

    @override
    def close(self) -> None:
        """From now on the cache may drop what was read here."""
        if "cache" in self.__dict__:
            self.cache.close()

    @override
    def end(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)

    @override
    def results_of(self, name: str) -> Path:
        """From the host's cache."""
        try:
            return self.cache.fetch(self.storage, name)
        except DamagedInputError as error:
            raise self.damage(name, "a result", str(error)) from None

    @override
    def attempts(self, name: str) -> list[int]:
        parts = {key.removeprefix(f"{name}/").partition("/")[0] for key in self.storage.list(name)}
        return sorted({number_of(part) for part in parts if part.startswith("attempt-")}, reverse=True)

    # --- inside

    def _delete(self, folder: str) -> None:
        for key in self.storage.list(folder):
            self.storage.delete(key)


def _json(mark: Mark) -> bytes:
    return (json.dumps(mark.to_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
