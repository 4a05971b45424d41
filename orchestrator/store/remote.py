"""A store in an object store (`s3://`, `gs://`): the same marks and names, under keys instead of paths.

An object store has no rename and no place to work in. An attempt works in a scratch folder of its host, and after
each checkpoint copies to the store what it needs to continue. Finished nodes that a job reads come through the
host's cache (`orchestrator.store.cache`), which its jobs share.
"""

import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from typing_extensions import override

from features.errors import DamagedInputError, StoreError
from features.files import hash_of
from orchestrator.store.base import PREFIX, NodeStore, place_of
from orchestrator.store.cache import Cache, default_cache_root, locked, make_private
from orchestrator.store.interfaces import M, State
from orchestrator.store.layout import Layout, attempt_folder, attempt_place
from orchestrator.store.marks import DoneMark, Failure, Mark, SignOfLife
from orchestrator.store.node import Node
from orchestrator.store.objects.base import ObjectStore
from orchestrator.store.objects.open import open_object_store
from trainers.history import HISTORY, parse_history

__all__ = ["RemoteNodeStore"]

UNFINISHED_HISTORY = f"unfinished/{HISTORY}"
"""Where a history is kept while it grows. A write whose answer was lost may be done much later: it must not meet the
key of a result. All other results are written once."""
CACHE_BYTES = 200_000_000_000
"""Default limit of the cache: twice the features of the paper's grid, and some room."""


class RemoteNodeStore(NodeStore):
    """Nodes under a URL."""

    beat_s = 10.0
    alive_s = 60.0

    def __init__(self, url: str, *, listed: bool = True, cache_bytes: int = CACHE_BYTES) -> None:
        self.cache_bytes = cache_bytes
        self.storage: ObjectStore = open_object_store(url)
        self._keys: dict[str, dict[str, int]] = {}
        """Folder of a node -> its keys, relative to the folder, with their sizes, as of the last look."""
        self._done: dict[tuple[str, str], DoneMark] = {}
        """Done-marks by folder and file: they never change."""
        self._scratch: dict[Path, int] = {}
        """Folders of attempts in this process -> a descriptor that holds a lock until the process ends."""
        self._sent: dict[Path, tuple[int, ...]] = {}
        """Files that are in the store, with what shows that they have not changed since."""
        super().__init__(default_cache_root() / f"work-{hash_of(self.storage.url)[:12]}", listed=listed)

    @property
    @override
    def url(self) -> str:
        return self.storage.url

    @cached_property
    def cache(self) -> Cache:
        """Finished nodes on this host's disk."""
        return Cache(default_cache_root() / "nodes", self.cache_bytes)

    # --- where things are

    @override
    def refresh(self, node: Node | None = None) -> None:
        if node is not None:
            name = self.name(node)
            if self.layout(name).names:
                self._names[node.signature[:PREFIX]] = name
            return
        self._keys = {}
        for key, size in self.storage.list().items():
            name, _, rest = key.partition("/")
            self._keys.setdefault(name, {})[rest] = size
        self._names = {name[-PREFIX:]: name for name in self._keys}

    @override
    def where(self, node: Node) -> str:
        return f"{self.url}/{self.name(node)}"

    @override
    def is_there(self, node: Node) -> bool:
        return bool(self._keys.get(self.name(node)))

    @override
    def layout(self, name: str) -> Layout:
        found = {key.removeprefix(f"{name}/"): size for key, size in self.storage.list(name).items()}
        self._keys[name] = found
        return _layout(found)

    @override
    def known_layout(self, name: str) -> Layout:
        keys = self._keys.get(name)
        return self.layout(name) if keys is None else _layout(keys)

    # --- marks

    @override
    def read_mark(self, place: str, mark: type[M], file: str = "") -> M | None:
        file = file or mark.FILE
        known = self._done.get((place, file))
        if isinstance(known, mark):
            return known
        key = f"{place}/{file}"
        try:
            content = json.loads(self.storage.read(key))
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError) as error:
            raise StoreError(f"{self.url}/{key} is damaged: it is not JSON ({error})") from None
        found = mark.from_json(content, f"{self.url}/{key}")
        if isinstance(found, DoneMark):
            self._done[place, file] = found
        return found

    @override
    def write_mark(self, place: str, mark: Mark) -> None:
        self.storage.write(f"{place}/{mark.FILE}", _json(mark))

    @override
    def create_mark(self, place: str, mark: Mark, file: str) -> bool:
        return self.storage.create(f"{place}/{file}", _json(mark))

    @override
    def drop_marks(self, place: str, *marks: type[Mark]) -> None:
        self._drop(place, (mark.FILE for mark in marks))

    @override
    def _drop(self, name: str, files: Iterable[str]) -> None:
        for file in files:
            self.storage.delete(f"{name}/{file}")

    # --- what the driver asks and does

    @override
    def state(self, node: Node) -> State:
        """Read from the list of keys, so that thousands of nodes need no requests."""
        name = self.name(node)
        keys = self._keys.get(name, {})
        layout = _layout(keys)
        if layout.is_done:
            return State("done")
        failed = f"{attempt_folder(layout.claims[-1])}/{Failure.FILE}" if layout.claims else Failure.FILE
        if layout.generation > 1 or failed in keys:
            return super().state(node)
        return State("partial" if keys else "new")

    @override
    def inspected(self, node: Node) -> State:
        """Compares sizes only: the service checks its own bytes, and a job those that it reads."""
        state = self.state(node)
        if state.state == "done":
            name, mark = self.name(node), self.done(node)
            for file, expected in mark.files.items():
                size = self._keys[name].get(f"{mark.folder}/{file}".lstrip("/"))
                if size != expected.bytes:
                    what = "it is gone" if size is None else f"it has {size} bytes, not {expected.bytes}"
                    error = DamagedInputError(
                        f"{self.url}/{place_of(name, mark)}/{file} is damaged: {what}; "
                        "launch or resume the run to compute it again"
                    )
                    return State("damaged", str(self.damage(name, self.known_layout(name).generation, error)))
        return state

    @override
    def _history(self, place: str) -> list[dict[str, Any]]:
        for file in (HISTORY, UNFINISHED_HISTORY):
            try:
                return parse_history(self.storage.read(f"{place}/{file}").decode(errors="replace"))
            except FileNotFoundError:
                continue
        return []

    @override
    def is_alive(self, node: Node) -> bool:
        """Measured by this host's clock, as an object store has none to ask: right if clocks agree to a minute."""
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

    # --- what a worker does

    @override
    def begin(self, name: str, number: int) -> Path:
        """A scratch folder, new for each attempt. Those of killed attempts are removed."""
        make_private(self.root)
        with locked(self.root / ".lock"):
            for path in self.root.glob("*.scratch"):
                _remove_if_unused(path)
            folder = Path(tempfile.mkdtemp(prefix=f"{name}.{number}.", suffix=".scratch", dir=self.root))
            self._scratch[folder] = descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        return folder

    @override
    def end(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(self._scratch.pop(folder))

    @override
    def keep_log(self, name: str, number: int) -> None:
        path = self.log_file(name, number)
        if path.exists():
            self.storage.put(path, f"{name}/logs/{number}.log")
            path.unlink()

    @override
    def earlier(self, name: str, before: int | None = None) -> list[Path]:
        """Copies in a scratch folder of this process, which the next attempt removes."""
        layout = self.layout(name)
        void = self._void(name, layout)
        numbers = [n for n in layout.attempts if n not in void and (before is None or n < before)]
        place = self.begin(name, 0) if numbers else self.root
        for key in self._keys[name]:
            folder, _, file = key.partition("/")
            if file and folder in map(attempt_folder, numbers):
                self.storage.get(f"{name}/{key}", place / folder / file)
        return [place / attempt_folder(number) for number in numbers]

    @override
    def checkpointed(self, name: str, number: int, folder: Path) -> None:
        files = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
        self._publish(name, number, (path for path in files if path.name != HISTORY))
        if folder / HISTORY in files:
            self.storage.put(folder / HISTORY, f"{attempt_place(name, number)}/{UNFINISHED_HISTORY}")
        if self.log_file(name, number).exists():
            self.storage.put(self.log_file(name, number), f"{name}/logs/{number}.log")
        for other in self.layout(name).attempts:
            if other < number:
                self._clear(name, other, ())

    @override
    def close(self) -> None:
        """From now on the cache may drop what was read here."""
        if "cache" in self.__dict__:
            self.cache.close()
        for folder in [*self._scratch]:
            self.end(folder)

    # --- inside

    @override
    def _checked(self, name: str, mark: DoneMark, file: str) -> Path:
        """From the host's cache."""
        return self.cache.fetch(self.storage, name, file)

    @override
    def _publish(self, name: str, number: int, files: Iterable[Path]) -> None:
        """Each file once, unless it has changed: snapshots stay as they are."""
        for path in files:
            status = path.stat()
            shown = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
            if self._sent.get(path) != shown:
                self.storage.put(path, f"{attempt_place(name, number)}/{path.name}")
                self._sent[path] = shown

    @override
    def _has(self, name: str, number: int, mark: type[Mark]) -> bool:
        return f"{attempt_folder(number)}/{mark.FILE}" in self._keys.get(name, {})

    @override
    def _clear(self, name: str, number: int, keep: Collection[str]) -> None:
        place = attempt_place(name, number)
        files = {key.removeprefix(f"{place}/") for key in self.storage.list(place)} - {*keep}
        self._drop(place, sorted(files, key=SignOfLife.FILE.__eq__))


def _layout(keys: Iterable[str]) -> Layout:
    return Layout.of({key.partition("/")[0] for key in keys})


def _remove_if_unused(folder: Path) -> None:
    """Remove a scratch folder whose process has ended. Called with the root locked."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return  # its process has ended and removed it meanwhile, which takes no lock of the root
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        return
    finally:
        os.close(descriptor)


def _json(mark: Mark) -> bytes:
    return (json.dumps(mark.to_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
