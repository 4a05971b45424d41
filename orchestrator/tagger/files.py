"""The files that a command line names: paths, folders, patterns, and a list on standard input."""

import glob
from collections.abc import Iterable, Sequence
from pathlib import Path

from features.datasets.tree import OTHER_AUDIO, Tree, walk
from features.errors import InputError

__all__ = ["find_files"]

STANDARD_INPUT = "-"


def find_files(words: Sequence[str], lines: Iterable[str]) -> list[Path]:
    """All audio files that are meant, each once, in the order in which they were named.

    Args:
        words: paths of files; folders, whose audio files are meant; patterns such as 'rec/**/*.wav'; or '-'.
        lines: for '-': one path per line.

    Raises:
        InputError: a folder holds no audio file, or nothing matches a pattern.
    """
    found: dict[Path, None] = {}
    for word in words:
        if word == STANDARD_INPUT:
            named = [Path(line) for line in (line.rstrip("\r\n") for line in lines) if line]
        elif (path := Path(word)).is_dir():
            named = [path / name for name in sorted(_sounds(walk(path)))]
        elif glob.has_magic(word) and not path.exists():
            named = [one for one in map(Path, sorted(glob.glob(word, recursive=True))) if one.is_file()]  # noqa: PTH207
        else:
            named = [path]
        if not named:
            what = "standard input names no file" if word == STANDARD_INPUT else f"{word} holds no audio file"
            raise InputError(f"{what}: name files, folders or patterns")
        found.update(dict.fromkeys(named))
    return list(found)


def _sounds(tree: Tree) -> list[str]:
    """Names of audio files, also of those that ffmpeg has to convert."""
    return [*tree.audio, *(name for name in tree.others if Path(name).suffix.lower() in OTHER_AUDIO)]
