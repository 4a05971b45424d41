"""Finished nodes of a remote store on the disk of this host, shared by its processes.

A folder of the cache is one node with one done-mark. Its name holds the node's name and a hash of the store's URL and
that mark: a node that was computed again gets another folder, and content in use is never replaced.

Locks are `flock`, which the kernel releases when a process ends, however it ends:

- `ROOT/.lock`, exclusive, held briefly to make, pin or remove folders;
- the folder itself, shared, by every cache that uses it; to remove it, a cache needs it exclusively;
- `FOLDER/.fetch`, shared while files are checked, exclusive while some are downloaded.
"""

import fcntl
import hashlib
import json
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from features.errors import DamagedInputError, InputError, StoreError
from features.files import atomic, sha256_file
from orchestrator.store.marks import DoneMark, ResultFile
from orchestrator.store.objects.base import ObjectStore, os_errors

__all__ = ["Cache", "default_cache_root", "locked", "make_private"]

MARK = DoneMark.FILE

log = logging.getLogger(__name__)


def default_cache_root() -> Path:
    """`SONOGRID_CACHE`, else a folder of this user below the system's temporary one."""
    return Path(os.environ.get("SONOGRID_CACHE") or Path(tempfile.gettempdir(), f"sonogrid-cache-{os.getuid()}"))


class Cache:
    """Nodes under a root, at most `limit_bytes` in all; the least recently used are removed first.

    Fetched nodes stay until `close`, the end of a `with` block, or the end of the process.

    Args:
        root: a folder on a disk of this host; made if missing.
        limit_bytes: limit for all nodes together, including those being downloaded.

    Raises:
        InputError: the root belongs to another user or can't be made.
    """

    def __init__(self, root: Path, limit_bytes: int) -> None:
        self.root = root.absolute()
        self.limit_bytes = limit_bytes
        self._pins: dict[Path, int] = {}
        self._fetched: dict[tuple[str, str, str], Path] = {}
        self._lock = threading.Lock()
        make_private(self.root)

    def fetch(self, storage: ObjectStore, node: str, file: str = MARK) -> Path:
        """The local folder of a finished node, whole and checked against its checksums; its files must not be changed.

        If several ask at the same moment, one downloads and the others wait. Each cache object checks files that are
        already there; damaged ones are downloaded once more.

        Args:
            storage: the store.
            node: the name of the node's folder there.
            file: the name of its done-mark.

        Raises:
            DamagedInputError: the node is not done, or a file of it is missing or damaged in the store.
            StoreError: the store or the disk fails, or all that could make room is in use.
        """
        with self._lock:
            known = self._fetched.get((storage.url, node, file))
        if known is not None:
            return known
        try:
            mark = storage.read(f"{node}/{file}")
        except FileNotFoundError:
            raise DamagedInputError(
                f"{storage.url}/{node} is not done: it has no {file}; launch the grid again"
            ) from None
        done = _parsed(mark, storage.where(f"{node}/{file}"))
        place = f"{node}/{done.folder}" if done.folder else node
        digest = hashlib.sha256(f"{storage.url}\n".encode() + mark).hexdigest()
        folder = self.root / f"{node}.{digest[:12]}"
        try:
            with os_errors(self.root):
                self._pin(folder, mark, done.n_bytes)
                _complete(folder, done, storage, place)
                os.utime(folder)
        except FileNotFoundError:
            raise StoreError(f"{folder} was removed while it was in use; launch again") from None
        with self._lock:
            self._fetched[storage.url, node, file] = folder
        return folder

    def close(self) -> None:
        """Release everything that was fetched; other caches may now remove it."""
        with self._lock:
            for descriptor in self._pins.values():
                os.close(descriptor)
            self._pins.clear()
            self._fetched.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _pin(self, folder: Path, mark: bytes, need: int) -> None:
        """Make a node's folder if it is missing, with room for all its files, and keep it from being removed."""
        with self._lock, locked(self.root / ".lock"):
            if folder in self._pins:
                return
            self._tidy(folder, need)
            folder.mkdir(exist_ok=True)
            if not (folder / MARK).exists() or (folder / MARK).read_bytes() != mark:
                # Its sizes count from now on, so downloads at the same time don't exceed the limit together.
                with atomic(folder / MARK) as temporary:
                    temporary.write_bytes(mark)
            # A plain number, not a file object: it stays open until `close` or the end of the process.
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            self._pins[folder] = descriptor

    def _tidy(self, wanted: Path, need: int) -> None:
        """Remove what killed processes left and, if `need` bytes are missing, the least recently used unused nodes."""
        folders = [Path(entry) for entry in os.scandir(self.root) if entry.is_dir()]
        sizes = {folder: _size(folder) for folder in folders}
        unused = [folder for folder in folders if folder != wanted and _unused(folder)]
        for folder in unused:
            if not (folder / MARK).exists():  # the process that made or removed it was killed
                shutil.rmtree(folder)
            else:
                _remove_temporary(folder)
        missing = sum(sizes.values()) + (0 if sizes.get(wanted) else need) - self.limit_bytes
        if missing > sum(sizes[folder] for folder in unused):
            held = self.limit_bytes + missing - need - sum(sizes[folder] for folder in unused)
            raise StoreError(
                f"{self.root} has no room for {wanted.name}, {need / 1e9:.2f} GB: of {self.limit_bytes / 1e9:.2f} GB, "
                f"{held / 1e9:.2f} are in use by running jobs; raise --cache-gb or run fewer jobs per host"
            )
        unused = [folder for folder in unused if folder.is_dir()]
        for folder in sorted(unused, key=lambda folder: folder.stat().st_mtime_ns):
            if missing <= 0:
                break
            shutil.rmtree(folder)
            missing -= sizes[folder]


def _complete(folder: Path, done: DoneMark, storage: ObjectStore, place: str) -> None:
    """Check all files of a node, and download those that are missing or damaged."""
    with locked(folder / ".fetch", fcntl.LOCK_SH):
        wanting = [name for name, expected in done.files.items() if not _whole(folder / name, expected)]
    if wanting:
        with locked(folder / ".fetch"):
            _remove_temporary(folder)
            for name in wanting:
                if not _whole(folder / name, done.files[name]):  # not downloaded by another process meanwhile
                    _download(storage, f"{place}/{name}", folder / name, done.files[name])


def _download(storage: ObjectStore, key: str, path: Path, expected: ResultFile) -> None:
    """Download one file, a second time if it arrives damaged."""
    for _ in range(2):
        try:
            storage.get(key, path)
        except FileNotFoundError:
            where = storage.where(key)
            raise DamagedInputError(f"{where} is missing, though its node is done; launch again") from None
        if _whole(path, expected):
            return
        log.warning("%s arrived damaged", storage.where(key))
    path.unlink()
    raise DamagedInputError(
        f"{storage.where(key)} is damaged: twice its checksum was not the one it was written with; launch again"
    )


def _whole(path: Path, expected: ResultFile) -> bool:
    return path.exists() and path.stat().st_size == expected.bytes and sha256_file(path) == expected.sha256


def _parsed(mark: bytes, where: str) -> DoneMark:
    """A done-mark from its bytes; StoreError if it isn't one."""
    try:
        content = json.loads(mark)
    except (ValueError, RecursionError):
        raise StoreError(f"{where} is damaged: it is not JSON; remove it and launch again") from None
    return DoneMark.from_json(content, where)


def make_private(folder: Path) -> None:
    """Make a folder of the cache, and its parents up to the cache's root, or check that nobody else can write to them.

    Raises:
        InputError: one of them belongs to another user, who could swap what is in it, or it can't be made.
    """
    root = default_cache_root().absolute()
    folders = (
        [folder, *folder.parents][: len(folder.relative_to(root).parts) + 1] if root in folder.parents else [folder]
    )
    for each in reversed(folders):
        try:
            each.mkdir(parents=True, exist_ok=True, mode=0o700)
            status = each.stat()
            owners = {status.st_uid, each.lstat().st_uid}
        except OSError as error:
            raise InputError(
                f"{each} can't be the cache: {error.strerror}; name another folder in SONOGRID_CACHE"
            ) from None
        # Below /tmp anybody can make a folder or a symbolic link of this name first.
        if owners != {os.getuid()}:
            raise InputError(f"{each} belongs to another user; name a folder of your own in SONOGRID_CACHE")
        if status.st_mode & 0o022:
            raise InputError(f"{each} may be written to by other users; type: chmod 700 {each}")


def _size(folder: Path) -> int:
    """Bytes that a folder takes, or will when its download is finished."""
    try:
        return _parsed((folder / MARK).read_bytes(), str(folder / MARK)).n_bytes
    except (FileNotFoundError, StoreError):
        return 0  # its process was killed between two lines; the folder is removed at once


def _unused(folder: Path) -> bool:
    """Whether no cache uses a folder. Called with the root locked, so that none can start to."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _remove_temporary(folder: Path) -> None:
    """Remove what a killed download left."""
    for path in folder.glob(".*.tmp*"):
        path.unlink()


@contextmanager
def locked(path: Path, kind: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold a lock file, exclusively by default."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)
