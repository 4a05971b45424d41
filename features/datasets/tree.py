"""The audio files below a folder, by name; no file is opened."""

import os
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from features.csv_table import MOST_ROWS
from features.errors import DataError

__all__ = ["AUDIO", "OTHER_AUDIO", "Tree", "walk"]

AUDIO = frozenset((".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".w64", ".rf64"))
"""Endings of files that `features.audio` reads; it judges them by content."""
OTHER_AUDIO = frozenset((".m4a", ".mp4", ".aac", ".wma", ".webm", ".amr", ".3gp", ".caf", ".mkv", ".mov"))
"""Endings of files that hold sound, and have to be converted."""


@dataclass(frozen=True)
class Tree:
    """The files below a folder; hidden ones are left out, and links to folders are not followed."""

    audio: tuple[str, ...]
    """Posix paths of audio files, relative to the folder, sorted."""
    others: tuple[str, ...]
    """The other files, likewise."""
    links: tuple[str, ...]
    """Links to folders, likewise."""
    unnamed: int = 0
    """Number of files and folders whose names are not text; they are left out."""

    def unreadable(self) -> "Counter[str]":
        """Files that hold sound and can't be read, counted by their ending."""
        return Counter(ending for name in self.others if (ending := _ending(name)) in OTHER_AUDIO)


def walk(folder: Path, without: Collection[Path] = ()) -> Tree:
    """List the files below a folder.

    Args:
        folder: where to look.
        without: folders below it that are left out.

    Raises:
        DataError: there are too many files, or the folder cannot be read.
    """
    audio: list[str] = []
    others: list[str] = []
    links: list[str] = []
    unnamed = 0
    excluded = {str(path) for path in without}

    def refuse(error: OSError) -> None:
        raise DataError([f"{error.filename} cannot be read ({error.strerror}): make it readable"])

    for parent, folders, files in os.walk(folder, onerror=refuse):
        prefix = PurePosixPath(os.path.relpath(parent, folder))
        unnamed += sum(not _is_text(name) for name in (*folders, *files))
        folders[:] = [name for name in folders if _is_text(name)]
        links += [str(prefix / name) for name in folders if os.path.islink(os.path.join(parent, name))]  # noqa: PTH114, PTH118
        folders[:] = sorted(
            name
            for name in folders
            if not _hidden(name) and os.path.join(parent, name) not in excluded  # noqa: PTH118
        )
        for name in files:
            if _is_text(name) and not _hidden(name):
                (audio if _ending(name) in AUDIO else others).append(str(prefix / name))
        if len(audio) + len(others) > MOST_ROWS:
            raise DataError([f"{folder} holds more than {MOST_ROWS:,} files, which is too many: name a smaller folder"])
    return Tree(tuple(sorted(audio)), tuple(sorted(others)), tuple(sorted(links)), unnamed)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122
