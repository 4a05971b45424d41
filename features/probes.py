"""Checks of many audio files, in threads; good files are remembered between launches."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from features.audio import AudioInfo, probe, without_notes
from features.errors import DataError, StoreError
from features.files import read_json, write_json

__all__ = ["Probes"]

_THREADS = 8
_BATCH = 10_000


class Probes:
    """Checks files in threads, remembering good ones between launches."""

    def __init__(self, root: Path, cache: Path | None) -> None:
        self.root = root
        self._cache = cache
        self._place = str(root.resolve())
        self._known: dict[str, list[Any]] = {}
        self._seen: dict[str, list[Any]] = {}
        if cache is not None and cache.exists():
            try:
                stored = read_json(cache)
            except StoreError:  # only a shortcut: without it everything is checked again
                stored = None
            if isinstance(stored, dict) and stored.get("root") == self._place:
                files = stored.get("files")
                self._known = files if isinstance(files, dict) else {}

    def probe(self, names: Sequence[str]) -> list[AudioInfo | DataError]:
        """Check files (posix, below the root), in order; an error in place of the facts where one is not usable."""
        found = {name: self._remembered(name) for name in names}
        fresh = [name for name in names if found[name] is None]
        checked: dict[str, AudioInfo | DataError] = {}
        with without_notes(), ThreadPoolExecutor(_THREADS) as pool:
            for first in range(0, len(fresh), _BATCH):  # all at once would take a kilobyte each
                batch = fresh[first : first + _BATCH]
                checked.update(zip(batch, pool.map(self._check, batch), strict=True))
        return [found[name] or checked[name] for name in names]

    def save(self, *, new_folder: bool = True) -> None:
        """Save the files that passed this time; no folder is created for a dataset that is refused."""
        if self._cache is not None and self._seen != self._known and (new_folder or self._cache.parent.is_dir()):
            write_json(self._cache, {"root": self._place, "files": self._seen})

    def _remembered(self, name: str) -> AudioInfo | None:
        known, key = self._known.get(name), self._key(name)
        facts = known[len(key) :] if isinstance(known, list) and key and known[: len(key)] == key else []
        if [type(fact) for fact in facts] != [int, int, int, str, float]:
            return None
        self._seen[name] = [*key, *facts]
        return AudioInfo(*facts)

    def _check(self, name: str) -> AudioInfo | DataError:
        key = self._key(name)  # before the file is read, so that a change while it is read is noticed next time
        try:
            info = probe(self.root / name)
        except DataError as error:
            return error
        self._seen[name] = [*key, *vars(info).values()]
        return info

    def _key(self, name: str) -> list[int]:
        try:
            status = (self.root / name).stat()
        except OSError:  # `probe` has the sentence
            return []
        # Size and mtime can be kept when a file is replaced (`cp -p`, `rsync -t`), the other two can't.
        return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
