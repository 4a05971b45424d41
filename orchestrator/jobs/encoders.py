"""Files that a grid names, in the store: an encoder, and the list of the clips that it has seen.

`Run.save` copies them under their checksums, so that jobs on other machines, and a RUN that is resumed or used
elsewhere, find what the grid was read with.
"""

import shutil
from pathlib import Path

from features.errors import InputError
from features.files import atomic, sha256_file
from features.settings import EmbeddingSettings, FeatureSettings
from orchestrator.store.interfaces import MarkReader

__all__ = ["copy_given", "encoder_file", "given_files", "seen_lines"]

DIGITS = 12
"""Digits of a checksum in the name of a folder."""


def given_files(settings: FeatureSettings) -> list[tuple[str, Path, str]]:
    """The files that features need: name of the folder in the store, where the grid found it, its checksum."""
    if not isinstance(settings, EmbeddingSettings):
        return []
    files = [(_encoder_name(settings), Path(settings.model), settings.sha256)]
    if isinstance(settings.seen, str) and settings.seen_sha256 is not None:
        files.append((f"seen-{settings.seen_sha256[:DIGITS]}", Path(settings.seen), settings.seen_sha256))
    return files


def copy_given(source: Path, sha256: str, folder: Path) -> list[Path]:
    """Copy a file into a folder of the store and return its new path.

    Raises:
        InputError: it is gone, or is no longer the one that the grid was read with.
    """
    target = folder / f"file{source.suffix}"
    try:
        with atomic(target) as temporary:
            shutil.copyfile(source, temporary)
            if sha256_file(temporary) != sha256:
                raise InputError(f"{source} has changed since the grid was read: launch again")
    except FileNotFoundError:
        raise InputError(f"{source} is gone: restore it, or launch the grid with the file where it is now") from None
    return [target]


def encoder_file(store: MarkReader, settings: FeatureSettings) -> Path | None:
    """The checked encoder of some features, as a local file; None for features without one.

    Raises:
        DamagedInputError: the store lacks it, or it is damaged; the next launch copies it again.
    """
    if not isinstance(settings, EmbeddingSettings):
        return None
    return store.results_of(_encoder_name(settings)) / f"file{Path(settings.model).suffix}"


def seen_lines(store: MarkReader, settings: EmbeddingSettings) -> list[str]:
    """The lines of the file that `seen` names; none if it names subsets.

    Raises:
        DamagedInputError: as `encoder_file`.
    """
    if not isinstance(settings.seen, str) or settings.seen_sha256 is None:
        return []
    file = store.results_of(f"seen-{settings.seen_sha256[:DIGITS]}") / f"file{Path(settings.seen).suffix}"
    return file.read_text(encoding="utf-8-sig", errors="replace").splitlines()


def _encoder_name(settings: EmbeddingSettings) -> str:
    return f"encoder-{settings.sha256[:DIGITS]}"
