"""File systems in memory: one that all hosts share, and a disk for each host.

`/sim/shared` is the same for all; `/sim/disk` is the disk of the host whose process asks. The functions have the
signatures and errors of those of `os`, `io`, `fcntl`, `shutil` and `tempfile` that the programs call. Each call that
reads or changes something is a storage call: it pauses, and `Faults.call` decides what becomes of it.
"""

import errno
import fcntl
import io
import os
from collections.abc import Callable
from typing import Any

from tests.simulator.files import Entries, Entry, File, Reader, Status, Writer
from tests.simulator.kernel import Kernel, Process

__all__ = ["FIRST_FD", "ROOT", "Disk"]

ROOT = "/sim/"
OWN = "/sim/disk"
FIRST_FD = 1_000_000


Call = Callable[[str, str, Callable[[], Any], bool], Any]
"""(operation, place, what it does, whether it changes something) -> its result."""


class Disk:
    """All file systems of a history.

    Args:
        kernel: whose processes use them.
        call: makes a storage call, see `Faults.call`.
        changed: told of every change of a file, with its name, and the content before and after.
        links: whether there are hard links.
        shared_locks: whether a lock in the shared folder holds on all hosts.
        stale_s: for how long a host may see a shared folder's names as they were.
    """

    def __init__(
        self,
        kernel: Kernel,
        call: Call,
        changed: Callable[[str, bytes | None, bytes | None], None],
        *,
        links: bool = True,
        shared_locks: bool = True,
        stale_s: float = 0.0,
    ) -> None:
        self.kernel, self.call, self.changed = kernel, call, changed
        self.links, self.shared_locks, self.stale_s = links, shared_locks, stale_s
        self.files: dict[str, File] = {}
        self._number = 0
        self._open: dict[int, tuple[Process, str, File]] = {}
        self._seen: dict[tuple[str, str], tuple[float, list[str]]] = {}
        """Host and folder -> when it read the names, and the names."""
        self.make_folders("/sim/shared")

    # --- names

    def key(self, path: Any) -> str:
        """The name of a file, different for the disks of different hosts."""
        text = os.fspath(path)
        if text.startswith(OWN):
            process = self.kernel.process
            assert process is not None
            text = f"/{process.host.name}{text[len(OWN) :]}"
        return text.rstrip("/")

    def _file(self, key: str) -> File:
        found = self.files.get(key)
        if found is None:
            above = self.files.get(key.rpartition("/")[0])
            if above is not None and above.data is not None:
                raise NotADirectoryError(errno.ENOTDIR, "Not a directory", key)
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", key)
        return found

    def _folder(self, key: str) -> File:
        found = self._file(key)
        if found.data is not None:
            raise NotADirectoryError(errno.ENOTDIR, "Not a directory", key)
        return found

    def make_folders(self, key: str) -> None:
        """Make a folder and those above it: the root of a host's disk."""
        if key and key not in self.files:
            self.make_folders(key.rpartition("/")[0])
            self._add(key, File())

    def _add(self, key: str, file: File) -> None:
        folder, _, name = key.rpartition("/")
        if folder:
            above = self._folder(folder)
            above.names[name] = None
            above.mtime = above.ctime = self.kernel.now
        if not file.ino:
            self._number += 1
            file.ino = self._number
            file.mtime = file.ctime = self.kernel.now
        self.files[key] = file
        if self.stale_s:
            self._forget_names(folder)

    def _drop(self, key: str) -> File:
        file = self.files.pop(key)
        file.links -= 1
        folder, _, name = key.rpartition("/")
        above = self.files[folder]
        del above.names[name]
        above.mtime = above.ctime = file.ctime = self.kernel.now
        if self.stale_s:
            self._forget_names(folder)
        return file

    def _forget_names(self, folder: str) -> None:
        """A host that changes a folder sees it as it is."""
        if self.kernel.process is not None:
            self._seen.pop((self.kernel.process.host.name, folder), None)

    def _names(self, key: str) -> list[str]:
        """The names in a folder, as this host may see them."""
        names = list(self._folder(key).names)
        process = self.kernel.process
        if not self.stale_s or process is None or not key.startswith(ROOT):
            return names
        when, seen = self._seen.get((process.host.name, key), (-1e9, names))
        if self.kernel.now - when < self.stale_s:
            return list(seen)
        self._seen[process.host.name, key] = self.kernel.now, names
        return names

    # --- os

    def stat(self, path: Any, *_: Any, **__: Any) -> Status:
        key = self.key(path)
        return self.call("stat", key, lambda: Status(self._file(key)), False)

    def lstat(self, path: Any, *_: Any, **__: Any) -> Status:
        """As `os.path.realpath` asks for each part of a path: no storage call."""
        return Status(self._file(self.key(path)))

    def mkdir(self, path: Any, *_: Any, **__: Any) -> None:
        key = self.key(path)
        if key in self.files:  # as nearly always: no storage call
            raise FileExistsError(errno.EEXIST, "File exists", key)
        self.call("mkdir", key, lambda: self._mkdir(key), True)

    def _mkdir(self, key: str) -> None:
        if key in self.files:
            raise FileExistsError(errno.EEXIST, "File exists", key)
        self._folder(key.rpartition("/")[0])
        self._add(key, File())

    def unlink(self, path: Any, *_: Any, **__: Any) -> None:
        key = self.key(path)
        self._file(key)  # nothing is done if it is missing: no storage call
        self.call("unlink", key, lambda: self._unlink(key), True)

    def _unlink(self, key: str) -> None:
        data = self._file(key).data
        if data is None:
            raise IsADirectoryError(errno.EISDIR, "Is a directory", key)
        self.changed(key, bytes(data), None)
        self._drop(key)

    def rmdir(self, path: Any, *_: Any, **__: Any) -> None:
        key = self.key(path)
        self.call("rmdir", key, lambda: self._rmdir(key), True)

    def _rmdir(self, key: str) -> None:
        if self._folder(key).names:
            raise OSError(errno.ENOTEMPTY, "Directory not empty", key)
        self._drop(key)

    def rmtree(self, path: Any, ignore_errors: bool = False, **_: Any) -> None:
        """`shutil.rmtree`."""
        try:
            key = self.key(path)
            for name in list(self._folder(key).names):
                child = f"{key}/{name}"
                if child in self.files:
                    if self.files[child].data is None:
                        self.rmtree(child)
                    else:
                        self.unlink(child)
            self.rmdir(key)
        except OSError:
            if not ignore_errors:
                raise

    def replace(self, source: Any, target: Any, **_: Any) -> None:
        old, new = self.key(source), self.key(target)
        self.call("rename", new, lambda: self._replace(old, new), True)

    def _replace(self, old: str, new: str) -> None:
        file = self._file(old)
        assert file.data is not None
        self._folder(new.rpartition("/")[0])
        before = self.files.get(new)
        self.changed(new, None if before is None else bytes(before.data or b""), bytes(file.data))
        if before is not None:
            self._drop(new)
        self._drop(old)
        file.links += 1
        self._add(new, file)

    def link(self, source: Any, target: Any, **_: Any) -> None:
        old, new = self.key(source), self.key(target)
        if not self.links:
            raise OSError(errno.EPERM, "Operation not permitted", new)
        self.call("create", new, lambda: self._link(old, new), True)

    def _link(self, old: str, new: str) -> None:
        file = self._file(old)
        if new in self.files:
            self._forget_names(new.rpartition("/")[0])
            raise FileExistsError(errno.EEXIST, "File exists", new)
        assert file.data is not None
        self._folder(new.rpartition("/")[0])
        self.changed(new, None, bytes(file.data))
        file.links += 1
        file.ctime = self.kernel.now
        self._add(new, file)

    def rename_to_new(self, source: Any, target: Any) -> bool:
        """`features.files._rename_to_new`."""
        old, new = self.key(source), self.key(target)
        try:
            self.call("create", new, lambda: self._link(old, new), True)
        except FileExistsError:
            return False
        return True

    def listdir(self, path: Any = ".") -> list[str]:
        key = self.key(path)
        return self.call("list", key, lambda: self._names(key), False)

    def scandir(self, path: Any = ".") -> Entries:
        key, shown = self.key(path), os.fspath(path)

        def entries() -> Entries:
            files = ((name, self.files.get(f"{key}/{name}")) for name in self._names(key))
            return Entries([Entry(shown, name, file) for name, file in files if file is not None])

        return self.call("list", key, entries, False)

    def utime(self, path: Any, *_: Any, **__: Any) -> None:
        file = self._file(self.key(path))
        file.mtime = file.ctime = self.kernel.now

    # --- open files

    def _descriptor(self, key: str, file: File) -> int:
        self._number += 1
        process = self.kernel.process
        assert process is not None
        if not any(owner is process for owner, _, _ in self._open.values()):
            process.at_end.append(lambda: self._close_all(process))
        self._open[FIRST_FD + self._number] = process, key, file
        return FIRST_FD + self._number

    def closed(self, fd: int) -> None:
        """Close a descriptor, which releases its lock."""
        found = self._open.pop(fd, None)
        if found is not None and found[2].locks:
            found[2].locks[:] = [lock for lock in found[2].locks if lock[0] != fd]

    def _close_all(self, process: Process) -> None:
        for fd in [fd for fd, (owner, _, _) in self._open.items() if owner is process]:
            self.closed(fd)

    def open_fd(self, path: Any, flags: int, *_: Any, **__: Any) -> int:
        """`os.open`, for locks alone."""
        key = self.key(path)
        if flags & os.O_CREAT and key not in self.files:
            self.call("open", key, lambda: self._create_empty(key, exclusive=False), True)
        return self._descriptor(key, self._file(key))

    def close_fd(self, fd: int) -> None:
        if fd not in self._open:
            process = self.kernel.process
            if process is None or process.dead:
                return  # closed when it was killed
            raise OSError(errno.EBADF, "Bad file descriptor")
        self.closed(fd)

    def open(self, path: Any, mode: str = "r", *_: Any, **__: Any) -> Any:
        key = self.key(path)
        text = "b" not in mode
        if mode[0] == "r":
            data = self.call("read", key, lambda: self._content(key), False)
            if text:
                return io.StringIO(data.decode("utf-8", errors="replace"))
            fd = self._descriptor(key, self._file_or_gone(key))
            reader = Reader(data, lambda: self.closed(fd))
            reader.fileno = lambda: fd  # type: ignore[method-assign]
            return reader
        if mode[0] == "x":
            file = self.call("create", key, lambda: self._create_empty(key, exclusive=True), True)
        elif mode[0] == "w" or key not in self.files:
            file = self.call("open", key, lambda: self._create_empty(key, exclusive=False), True)
        else:
            file = self._file(key)
        return Writer(self, key, file, self._descriptor(key, file), text)

    def _file_or_gone(self, key: str) -> File:
        return self.files.get(key) or File(bytearray())

    def _content(self, key: str) -> bytes:
        data = self._file(key).data
        if data is None:
            raise IsADirectoryError(errno.EISDIR, "Is a directory", key)
        return bytes(data)

    def _create_empty(self, key: str, *, exclusive: bool) -> File:
        self._folder(key.rpartition("/")[0])
        before = self.files.get(key)
        if before is not None:
            if exclusive:
                self._forget_names(key.rpartition("/")[0])
                raise FileExistsError(errno.EEXIST, "File exists", key)
            if before.data is None:
                raise IsADirectoryError(errno.EISDIR, "Is a directory", key)
            self.changed(key, bytes(before.data), b"")
            before.data.clear()
            before.mtime = before.ctime = self.kernel.now
            return before
        self.changed(key, None, b"")
        file = File(bytearray())
        self._add(key, file)
        return file

    def write(self, key: str, file: File, content: bytes) -> None:
        """Write to an open file."""

        def append() -> None:
            assert file.data is not None
            before = bytes(file.data)
            file.data += content
            file.mtime = file.ctime = self.kernel.now
            if self.files.get(key) is file:
                self.changed(key, before, bytes(file.data))

        self.call("write", key, append, True)

    def flock(self, fd: Any, operation: int) -> None:
        """`fcntl.flock`."""
        number = fd if isinstance(fd, int) else fd.fileno()
        process, key, file = self._open[number]
        kind = operation & (fcntl.LOCK_EX | fcntl.LOCK_SH)

        def conflicts() -> bool:
            return any(
                other != number
                and fcntl.LOCK_EX in (kind, held)
                and (host is process.host or self.shared_locks or not key.startswith(ROOT))
                for other, held, host in file.locks
            )

        self.kernel.pause(0.0)
        while conflicts():
            if operation & fcntl.LOCK_NB:
                raise BlockingIOError(errno.EWOULDBLOCK, "Resource temporarily unavailable", key)
            self.kernel.pause(0.05)
        file.locks[:] = [lock for lock in file.locks if lock[0] != number]
        file.locks.append((number, kind, process.host))

    def mkdtemp(self, suffix: str = "", prefix: str = "", dir: Any = None) -> str:
        """`tempfile.mkdtemp`."""
        self._number += 1
        path = f"{os.fspath(dir)}/{prefix}{self._number}{suffix}"
        self.mkdir(path)
        return path

    # --- for the simulation

    def damage(self, key: str, data: bytes) -> None:
        """Change a file behind everybody's back."""
        file = self._file(key)
        assert file.data is not None
        file.data[:] = data
        file.mtime = file.ctime = self.kernel.now
