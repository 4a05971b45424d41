"""Files in memory: what `open`, `os.stat` and `os.scandir` return of them."""

import io
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.simulator.kernel import START_S, Host

if TYPE_CHECKING:
    from tests.simulator.disk import Disk

__all__ = ["Entries", "Entry", "File", "Reader", "Status", "Writer"]


@dataclass(eq=False)
class File:
    """A file or a folder."""

    data: bytearray | None = None
    """None: a folder."""
    names: dict[str, None] = field(default_factory=dict)
    links: int = 1
    ino: int = 0
    mtime: float = 0.0
    ctime: float = 0.0
    locks: list[tuple[int, int, Host]] = field(default_factory=list)
    """(descriptor, kind, host) of those who hold a lock."""


class Status:
    """`os.stat_result`."""

    __slots__ = (
        "st_ctime_ns", "st_dev", "st_ino", "st_mode", "st_mtime", "st_mtime_ns", "st_nlink", "st_size", "st_uid",
    )  # fmt: skip

    def __init__(self, file: File) -> None:
        folder = file.data is None
        self.st_mode = (stat.S_IFDIR | 0o700) if folder else (stat.S_IFREG | 0o600)
        self.st_size = 0 if file.data is None else len(file.data)
        self.st_mtime = START_S + file.mtime
        self.st_mtime_ns = int(self.st_mtime * 1e9)
        self.st_ctime_ns = int((START_S + file.ctime) * 1e9)
        self.st_nlink, self.st_ino, self.st_dev, self.st_uid = file.links, file.ino, 1, os.getuid()


class Entry:
    """`os.DirEntry`."""

    def __init__(self, folder: str, name: str, file: File) -> None:
        self.name, self.path, self._file = name, f"{folder}/{name}", file

    def __fspath__(self) -> str:
        return self.path

    def is_dir(self) -> bool:
        return self._file.data is None


class Entries:
    """What `os.scandir` returns."""

    def __init__(self, entries: list[Entry]) -> None:
        self._entries = entries

    def __enter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)


class Reader(io.BytesIO):
    """A file that is read, as it was when it was opened: nobody changes an open file."""

    def __init__(self, data: bytes, close: Callable[[], None]) -> None:
        super().__init__(data)
        self._closed = close

    def close(self) -> None:
        if not self.closed:
            self._closed()
        super().close()


class Writer:
    """A file that is written, as bytes or text."""

    def __init__(self, disk: "Disk", key: str, file: File, fd: int, text: bool) -> None:
        self._disk, self._key, self._file, self._fd, self._text = disk, key, file, fd, text
        self.closed = False

    def write(self, data: Any) -> int:
        content = data.encode() if self._text else bytes(data)
        self._disk.write(self._key, self._file, content)
        return len(data)

    def tell(self) -> int:
        assert self._file.data is not None
        return len(self._file.data)

    def seek(self, place: int) -> int:
        return place

    def truncate(self) -> None:
        assert self._file.data is not None
        self._file.data.clear()

    def flush(self) -> None:
        pass

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._disk.closed(self._fd)

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
