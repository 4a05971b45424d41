"""Objects in a local folder or on a network file system."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from typing_extensions import override

from features.files import atomic, create
from orchestrator.store.objects.base import ObjectStore, checked, copy, os_errors

__all__ = ["LocalObjectStore"]


class LocalObjectStore(ObjectStore):
    """A folder of this machine or of a network file system."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.url = str(self.root)

    def _path(self, key: str) -> Path:
        return self.root / checked(key)

    @override
    def read(self, key: str) -> bytes:
        with self._reading(key):
            return self._path(key).read_bytes()

    @override
    def write(self, key: str, data: bytes) -> None:
        with os_errors(self.where(key)), atomic(self._path(key)) as temporary:
            temporary.write_bytes(data)

    @override
    def create(self, key: str, data: bytes) -> bool:
        path = self._path(key)
        with os_errors(self.where(key)):
            if path.exists():
                return False
            return create(path, data)

    @override
    def get(self, key: str, path: Path) -> None:
        with (
            self._reading(key),
            self._path(key).open("rb") as source,
            os_errors(path),
            atomic(path) as temporary,
            temporary.open("wb") as target,
        ):
            copy(source, target)

    @override
    def put(self, path: Path, key: str) -> None:
        with os_errors(self.where(key)), atomic(self._path(key)) as temporary:
            shutil.copyfile(path, temporary)

    @override
    def list(self, folder: str = "") -> dict[str, int]:
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

    @override
    def delete(self, key: str) -> None:
        with os_errors(self.where(key)):
            self._path(key).unlink(missing_ok=True)

    @contextmanager
    def _reading(self, key: str) -> Iterator[None]:
        try:
            with os_errors(self.where(key)):
                yield
        except (IsADirectoryError, NotADirectoryError):
            raise FileNotFoundError(self.where(key)) from None
