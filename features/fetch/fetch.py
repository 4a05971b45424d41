"""`sonogrid fetch`: a published dataset into a folder, from whatever an earlier call has left there."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from features.errors import DataError, FetchError, InputError
from features.fetch.download import Patience, Remote, Teller, download
from features.fetch.sources import Package, Published, find_dataset
from features.fetch.unpack import unpack
from features.words import count

__all__ = ["Fetched", "fetch"]

UNDER_WAY = ".fetch"
"""Folder in the dataset's folder of what is not finished."""


@dataclass(frozen=True)
class Fetched:
    """A dataset that was fetched."""

    folder: Path
    """The dataset's folder, for `init`, `check` and `launch`."""
    title: str
    licence: str
    """Under which the dataset may be used."""
    folders: tuple[str, ...]
    """What lies in the folder."""


def fetch(
    name: str, folder: Path, teller: Teller, *, server: str | None = None, patience: Patience | None = None
) -> Fetched:
    """Download, check and unpack a published dataset. Called again after a break, it continues.

    Args:
        name: 'fsdkaggle2019' or 'esc50'.
        folder: where to; made if it is not there.
        teller: shows what happens.
        server: another server with the same files, such as 'http://localhost:8000'.
        patience: how long it is waited for.

    Raises:
        InputError: there is no such dataset, the folder can't be used, or another process fetches into it.
        DataError: the disk has not enough space; nothing was written.
        FetchError: the server is out of reach, or sends something else; what is usable is kept.
    """
    dataset = find_dataset(name)
    for package in dataset.packages:
        if (path := folder / package.folder).exists() and not path.is_dir():
            raise InputError(f"{path} is no folder: remove it, or choose another folder")
    missing = [package for package in dataset.packages if not (folder / package.folder).exists()]
    under_way = folder / UNDER_WAY
    if missing:
        with _alone(under_way):
            _fetch(dataset, missing, folder, teller, server or dataset.server, patience or Patience())
    else:
        teller.say(f"{folder} has {dataset.title} already")
    if under_way.exists():
        shutil.rmtree(under_way)
    return Fetched(folder, dataset.title, dataset.licence, tuple(package.folder for package in dataset.packages))


@contextmanager
def _alone(under_way: Path) -> Iterator[None]:
    """Keep other processes away; the lock ends with this one."""
    try:
        under_way.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{under_way.parent} is no folder: choose another one") from None
    with (under_way / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"another process fetches into {under_way.parent}: wait for it or end it") from None
        yield


def _fetch(
    dataset: Published, missing: list[Package], folder: Path, teller: Teller, server: str, patience: Patience
) -> None:
    under_way = folder / UNDER_WAY
    remotes = dataset.remotes(server, under_way, teller, patience)
    wanted = [file for package in missing for file in package.files]
    for file in wanted:
        if file not in remotes:
            raise FetchError(f"{dataset.home} has no file {file} any more: look whether the dataset was changed")
    _require_space(folder, sum(_left_of(remotes[file], under_way) for file in wanted), "downloading")
    sizes = [remotes[file].size for file in wanted]
    total = f", {sum(size for size in sizes if size) / 1e9:,.1f} GB" if all(sizes) else ""
    teller.say(f"{dataset.title} from {dataset.home}: {count(len(wanted), 'file')}{total}")
    for package in missing:
        parts = [download(remotes[file], under_way, teller, patience) for file in package.files]
        teller.say(f"unpacking {parts[-1].name}")
        _unpack(package, parts, folder, checked=all(remotes[file].md5 for file in package.files))
        teller.say(f"{folder / package.folder} is complete")


def _unpack(package: Package, parts: list[Path], folder: Path, *, checked: bool) -> None:
    """Unpack an archive under a name of its own, rename it, and remove the archive."""
    unpacked = folder / UNDER_WAY / package.folder
    try:
        unpack(parts, unpacked, lambda n_bytes: _require_space(folder, n_bytes, "unpacking"))
    except FetchError as error:
        if checked:
            raise FetchError(f"{error}, although its MD5 is the published one") from None
        for part in parts:
            part.unlink()
        raise FetchError(f"{error}; the archive was removed: run the same command again") from None
    unpacked.replace(folder / package.folder)
    for part in parts:
        part.unlink()


def _left_of(remote: Remote, under_way: Path) -> int:
    """Bytes of a file that are still to come; 0 if its size is not known."""
    if remote.size is None or (under_way / remote.name).exists():
        return 0
    part = under_way / f"{remote.name}.part"
    return max(0, remote.size - (part.stat().st_size if part.exists() else 0))


def _require_space(folder: Path, n_bytes: int, what: str) -> None:
    place = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(place).free
    if n_bytes * 1.01 > free:
        raise DataError(
            [
                f"{folder} has {free / 1e9:,.1f} GB free and {what} needs {n_bytes * 1.01 / 1e9:,.1f} GB: free some "
                "space or choose another folder"
            ]
        )
