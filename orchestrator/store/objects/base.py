"""Bytes by key under a root: one interface for a local folder (NFS too), S3 and Google Cloud Storage.

Object stores have no rename and no lock, so the interface has none. Two guarantees hold everywhere: a reader sees an
object as it was before a write, as it is after, or not at all; and if several `create` the same key, one succeeds.
"""

import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from features.errors import ADVICE, StoreAwayError, StoreError, is_away

__all__ = ["ObjectStore"]

CHUNK_BYTES = 1 << 20
"""Of a file that is copied; none is held in memory as a whole."""


class ObjectStore(ABC):
    """Objects under a root.

    A key is a relative path with '/' between its parts, none of which begins with a dot (`ValueError`: a mistake of
    ours). Folders are only beginnings of keys: they need not be made, and one that is missing is empty. All methods may
    be called from several threads, processes and machines.

    Every method raises StoreError, a sentence with the URL and the cause, when the store refuses (no right, no such
    bucket), and its subclass StoreAwayError when the store still does not answer after the repetitions. Calls to a
    remote store are repeated with growing, random pauses on throttling, errors of the service, time-outs and dropped
    connections, a bounded number of times. Credentials come from the environment and are in no message.
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
        a round trip apart can both return True, and the later content stays.
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
        """Remove an object, ignoring a missing one."""


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
        with away_errors(where):
            yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise
    except OSError as error:
        advice = ADVICE.get(error.errno or 0, f"{error.strerror or error}: check that disk")
        raise StoreError(f"{where}: {advice}, then launch again") from None


@contextmanager
def away_errors(where: str | Path) -> Iterator[None]:
    """Turn errors of a disk or server that may be back later into a StoreAwayError; others are left to the caller."""
    try:
        yield
    except OSError as error:
        if not is_away(error):
            raise
        what, _, advice = ADVICE.get(error.errno or 0, f"{error.strerror}: check that disk").partition(": ")
        raise StoreAwayError(f"{where}: {what}", f"{advice}, then launch again") from None
