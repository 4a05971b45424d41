"""Bytes by key under a root: one interface for a local folder (NFS too), S3 and Google Cloud Storage.

There is no rename and no lock, since object stores have neither. What holds everywhere: a reader sees an object as it
was before a write, as it is after, or not at all; and of several that `create` the same key, one is told that it did.
"""

import errno
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from features.errors import StoreError
from features.files import atomic

__all__ = ["LocalStorage", "Storage"]

CHUNK_BYTES = 1 << 20
"""Of a file that is copied; none is held in memory as a whole."""

REMEDIES = {
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there",
    errno.EROFS: "choose a folder that can be written to",
    errno.EACCES: "give yourself the right to it",
    errno.EPERM: "give yourself the right to it",
}


class Storage(ABC):
    """Objects under a root.

    A key is a relative path with '/' between its parts, none of which begins with a dot (`ValueError`: a mistake of
    ours). Folders are only beginnings of keys: they need not be made, and one that is missing is empty. All methods may
    be called from several threads.

    Every method raises StoreError, a sentence with the URL and the cause, when the store refuses (no right, no such
    bucket) or when it still fails after the repetitions. Calls to a remote store are repeated with growing, random
    pauses on throttling, errors of the service, time-outs and dropped connections, a bounded number of times.
    Credentials come from the environment and are in no message.
    """

    url: str
    """The root, without credentials: an absolute path, `s3://bucket/prefix` or `gs://bucket/prefix`."""

    def where(self, key: str) -> str:
        """The full name of an object, for messages."""
        return f"{self.url}/{checked(key)}"

    @abstractmethod
    def read(self, key: str) -> bytes:
        """The content of a small object.

        Raises:
            FileNotFoundError: there is none.
        """

    @abstractmethod
    def write(self, key: str, data: bytes) -> None:
        """Make or replace a small object."""

    @abstractmethod
    def create(self, key: str, data: bytes) -> bool:
        """Make a small object unless it exists; True if this call made it.

        The one who gets True owns the key, so claims and done-marks are made with it. A call whose answer was lost and
        which then finds equal content takes that for its own: a claim needs content that no other claimant writes.

        A local folder and NFS use a hard link, S3 and Google Cloud Storage a conditional write. Where a service that
        only looks like S3 knows no conditional write, the key is looked up and then written: there, two calls less than
        a round trip apart can both be told True, and the later content stays.
        """

    @abstractmethod
    def get(self, key: str, path: Path) -> None:
        """Copy an object of any size to a local file, which appears when it is whole.

        Raises:
            FileNotFoundError: there is no such object.
        """

    @abstractmethod
    def put(self, path: Path, key: str) -> None:
        """Copy a local file of any size to an object, which appears when it is whole."""

    @abstractmethod
    def list(self, folder: str = "") -> dict[str, int]:
        """Key -> bytes of all objects below a folder, however deep; of all objects by default. In order of keys."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""


class LocalStorage(Storage):
    """A folder of this machine or of a network file system."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.url = str(self.root)

    def _path(self, key: str) -> Path:
        return self.root / checked(key)

    def read(self, key: str) -> bytes:
        """See `Storage`."""
        with self._reading(key):
            return self._path(key).read_bytes()

    def write(self, key: str, data: bytes) -> None:
        """See `Storage`."""
        with os_errors(self.where(key)), atomic(self._path(key)) as temporary:
            temporary.write_bytes(data)

    def create(self, key: str, data: bytes) -> bool:
        """See `Storage`."""
        path = self._path(key)
        with os_errors(self.where(key)):
            if path.exists():
                return False
            return _create(path, data)

    def get(self, key: str, path: Path) -> None:
        """See `Storage`."""
        with (
            self._reading(key),
            self._path(key).open("rb") as source,
            os_errors(path),
            atomic(path) as temporary,
            temporary.open("wb") as target,
        ):
            copy(source, target)

    def put(self, path: Path, key: str) -> None:
        """See `Storage`."""
        with os_errors(self.where(key)), atomic(self._path(key)) as temporary:
            shutil.copyfile(path, temporary)

    def list(self, folder: str = "") -> dict[str, int]:
        """See `Storage`."""
        found = {}
        top = self._path(folder) if folder else self.root
        with os_errors(top):
            for parent, folders, names in os.walk(top):
                folders[:] = [name for name in folders if not name.startswith(".")]
                for name in names:
                    path = Path(parent, name)
                    try:
                        if not name.startswith("."):  # being written
                            found[path.relative_to(self.root).as_posix()] = path.stat().st_size
                    except FileNotFoundError:
                        continue  # removed since
        return dict(sorted(found.items()))

    def delete(self, key: str) -> None:
        """See `Storage`."""
        with os_errors(self.where(key)):
            self._path(key).unlink(missing_ok=True)

    @contextmanager
    def _reading(self, key: str) -> Iterator[None]:
        try:
            with os_errors(self.where(key)):
                yield
        except (IsADirectoryError, NotADirectoryError):
            raise FileNotFoundError(self.where(key)) from None


def _create(path: Path, data: bytes) -> bool:
    """Make a file unless it exists. A hard link is atomic on NFS too, where O_EXCL alone shows an empty file first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not renamed in the end, so `atomic` doesn't fit; the name is as its temporary ones are.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            # Over NFS the answer to a link that was made can get lost, and the repeated request finds it there.
            return temporary.stat().st_nlink == 2
        return True
    finally:
        temporary.unlink(missing_ok=True)


def is_key(name: str) -> bool:
    """Whether a name below the root is a key: not a folder, not hidden, not outside."""
    return all(part and not part.startswith(".") for part in name.split("/"))


def checked(key: str) -> str:
    """The key itself.

    Raises:
        ValueError: it is none.
    """
    if not is_key(key):
        raise ValueError(f"{key!r} is not a key: a part of it is empty or begins with a dot")
    return key


def copy(source: IO[bytes], target: IO[bytes]) -> None:
    """Copy a stream piece by piece."""
    shutil.copyfileobj(source, target, CHUNK_BYTES)


@contextmanager
def os_errors(where: str | Path) -> Iterator[None]:
    """Turn errors of the file system into a StoreError; what is missing or of the wrong kind is left to the caller."""
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise
    except OSError as error:
        remedy = REMEDIES.get(error.errno or 0, "check that disk")
        raise StoreError(f"{where}: {error.strerror or error}; {remedy} and launch again") from None
