"""Folders and files that a user names as places to write to, checked before anything is done."""

import os
from pathlib import Path

from features.errors import InputError

__all__ = ["require_new", "require_place"]


def require_place(option: str, folder: Path, data: Path | None = None) -> None:
    """Refuse a folder that can't be made or written to, or that is the dataset itself.

    Raises:
        InputError: the sentence names the option.
    """
    there = next(parent for parent in (folder, *folder.absolute().parents) if os.path.lexists(parent))
    if not there.is_dir():
        raise InputError(f"{option} {folder}: {there} is not a folder; choose another place")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{option} {folder}: {there} may not be written to; choose another place")
    if data is not None and folder.resolve() == data.resolve():
        raise InputError(f"{option} {folder} is the dataset; choose another folder, whose files are not mixed with it")
    if data is not None and folder.resolve().is_relative_to(data.resolve()):
        part = data.resolve() / folder.resolve().relative_to(data.resolve()).parts[0]
        if part.is_dir() and any(path.suffix == ".wav" for path in part.iterdir()):
            raise InputError(f"{option} {folder} lies among the clips of the dataset; choose another folder")


def require_new(option: str, path: Path) -> None:
    """Refuse a place for a file where something is: another CSV, a clip, a file of a run, a device.

    Raises:
        InputError: the sentence names the option.
    """
    if path.is_dir():
        raise InputError(f"{option} {path} is a folder; name a file")
    if os.path.lexists(path):
        raise InputError(f"{option} {path} is there already; choose another name, or remove it first")
    require_place(option, path.absolute().parent)
