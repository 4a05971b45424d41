"""The datasets that can be fetched: where they lie, in which archives, and the checksums that their servers publish."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.errors import FetchError, InputError
from features.fetch.download import Patience, Remote, Teller, download
from features.words import nearest, short

__all__ = ["DATASETS", "Package", "Published", "find_dataset"]


@dataclass(frozen=True)
class Package:
    """An archive, and the folder that it is unpacked into."""

    folder: str
    files: tuple[str, ...]
    """In order; several are one split archive."""


@dataclass(frozen=True)
class Published:
    """A dataset on a server."""

    name: str
    """What a user types."""
    title: str
    home: str
    """Page of its owners."""
    licence: str
    packages: tuple[Package, ...]
    server: str
    """Where its files are, without the path."""
    remotes: Callable[[str, Path, Teller, Patience], dict[str, Remote]]
    """Its files by name, given a server, a folder for what is read from it, a teller and patience."""


def _zenodo(record: int, server: str, folder: Path, teller: Teller, patience: Patience) -> dict[str, Remote]:
    """Files, sizes and MD5s of a record, as Zenodo's API publishes them (https://developers.zenodo.org, Records)."""
    url = f"{server}/api/records/{record}"
    path = folder / "record.json"
    path.unlink(missing_ok=True)
    path.with_name("record.json.part").unlink(missing_ok=True)
    download(Remote(path.name, url), folder, teller, patience)
    try:
        listed: list[Any] = json.loads(path.read_text(encoding="utf-8"))["files"]
        found = {
            str(file["key"]): Remote(
                name=str(file["key"]),
                url=f"{url}/files/{file['key']}/content",
                size=int(file["size"]),
                md5=_md5_of(file["checksum"]),
            )
            for file in listed
        }
    except (ValueError, KeyError, TypeError) as error:
        path.unlink()
        raise FetchError(f"{url} is no list of files as Zenodo publishes it ({short(repr(error))})") from None
    return found


def _md5_of(checksum: str) -> str:
    if not re.fullmatch("md5:[0-9a-f]{32}", checksum):
        raise ValueError(f"the checksum {checksum[:80]!r} is no MD5")
    return checksum.removeprefix("md5:")


def _github(repository: str, commit: str, server: str, *_: object) -> dict[str, Remote]:
    """The archive of a commit. GitHub packs it on request and publishes neither its size nor a checksum."""
    return {f"{commit}.zip": Remote(f"{commit}.zip", f"{server}/{repository}/archive/{commit}.zip")}


_FSDKAGGLE2019 = "FSDKaggle2019"
_NOISY = f"{_FSDKAGGLE2019}.audio_train_noisy"
_FSDKAGGLE2019_RECORD = 3612637
_ESC50_COMMIT = "33c8ce9eb2cf0b1c2f8bcf322eb349b6be34dbb6"

DATASETS = {
    dataset.name: dataset
    for dataset in (
        Published(
            name="fsdkaggle2019",
            title=_FSDKAGGLE2019,
            home="https://zenodo.org/records/3612637",
            licence="CC BY 4.0; each clip has a licence of its own, in FSDKaggle2019.meta",
            packages=(
                *(
                    Package(f"{_FSDKAGGLE2019}.{part}", (f"{_FSDKAGGLE2019}.{part}.zip",))
                    for part in ("doc", "meta", "audio_train_curated", "audio_test")
                ),
                Package(_NOISY, (*(f"{_NOISY}.z{part:02}" for part in range(1, 7)), f"{_NOISY}.zip")),
            ),
            server="https://zenodo.org",
            remotes=lambda *where: _zenodo(_FSDKAGGLE2019_RECORD, *where),
        ),
        Published(
            name="esc50",
            title="ESC-50",
            home="https://github.com/karolpiczak/ESC-50",
            licence="CC BY-NC 3.0; the clips of ESC-10 CC BY 3.0",
            packages=(Package("ESC-50", (f"{_ESC50_COMMIT}.zip",)),),
            server="https://github.com",
            remotes=lambda *where: _github("karolpiczak/ESC-50", _ESC50_COMMIT, *where),
        ),
    )
}


def find_dataset(name: str) -> Published:
    """The dataset of a name, in upper or lower case, with or without hyphens.

    Raises:
        InputError: there is no such dataset.
    """
    wanted = name.lower().replace("-", "").replace("_", "")
    if wanted in DATASETS:
        return DATASETS[wanted]
    near = nearest(name, DATASETS)
    hint = f"did you mean '{near}'? " if near else ""
    raise InputError(f"'{short(name)}' can't be fetched; {hint}choose one of {', '.join(DATASETS)}")
