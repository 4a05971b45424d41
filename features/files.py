"""Small file tools that every package shares: atomic writes, checksums, canonical hashes.

Everything sonogrid writes goes to a temporary name beside its target and is renamed, so a reader sees the old file, the
new one, or none - never half of one.
"""

import ctypes
import errno
import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from features.errors import StoreError

__all__ = [
    "atomic",
    "canonical_json",
    "create",
    "hash_of",
    "load_npy",
    "read_json",
    "save_npy",
    "sha256_file",
    "write_json",
]


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is synced and renamed to `path`, on an error removed.

    Raises:
        FileNotFoundError: the folder was removed meanwhile.
    """
    _make_folder(path.parent)
    # The suffix is kept: some writers choose the format, or add a suffix, by it.
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}.tmp{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def canonical_json(value: Any) -> str:
    """JSON text that is equal for equal values: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def hash_of(value: Any) -> str:
    """SHA-256 (hex) of a JSON-like value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 (hex) of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Write a value as readable JSON, atomically."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        StoreError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(f"{path} is missing") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path} is damaged: it is not JSON ({error})") from None


def save_npy(path: Path, array: np.ndarray) -> None:
    """Write one array as NPY, atomically."""
    with atomic(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def load_npy(path: Path, *, mmap: bool = False) -> np.ndarray:
    """Read one array from NPY, memory-mapped read-only if asked; nothing is unpickled.

    Raises:
        StoreError: the file is missing or is not a whole NPY file.
    """
    try:
        array: np.ndarray = np.load(path, mmap_mode="r" if mmap else None, allow_pickle=False)
    except FileNotFoundError:
        raise StoreError(f"{path} is missing") from None
    except (ValueError, EOFError, OSError) as error:
        raise StoreError(f"{path} is damaged: {error}") from None
    return array


def create(path: Path, data: bytes) -> bool:
    """Make a small file unless it exists; True if this call made it. It appears with its whole content.

    A hard link is atomic on NFS too, where O_EXCL alone shows an empty file first.
    """
    _make_folder(path.parent)
    # Not renamed in the end, so `atomic` doesn't fit; the name is as its temporary ones are.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
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
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS):
                raise
            renamed = _rename_to_new(temporary, path)
            return _create_exclusively(path, data) if renamed is None else renamed
        return True
    finally:
        temporary.unlink(missing_ok=True)


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, unless it is there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        if not os.path.lexists(folder):  # it was there, and another process removed it before `mkdir` looked
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder)) from None
        raise


def _rename_to_new(source: Path, target: Path) -> bool | None:
    """Rename a file unless its new name exists; True if this call did. None: the file system or libc can't do that.

    For file systems without hard links, such as exFAT and SMB. It is renameat2 of Linux with RENAME_NOREPLACE.
    """
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return None
    here, no_replace = -100, 1
    if renameat2(here, os.fsencode(source), here, os.fsencode(target), no_replace) == 0:
        return True
    number = ctypes.get_errno()
    if number == errno.EEXIST:
        return False
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return None
    raise OSError(number, os.strerror(number), str(target))


def _create_exclusively(path: Path, data: bytes) -> bool:
    """`create` on a file system that has neither: until its content is written, others see an empty file."""
    try:
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        return False
    return True
