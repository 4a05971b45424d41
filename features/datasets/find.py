"""The layout of a dataset folder: that of its dataset.yaml, else the challenge's."""

import os
from pathlib import Path

from features.datasets.challenge import challenge_layout
from features.datasets.described import described_layout
from features.datasets.description import FILE_NAME
from features.errors import DataError, InputError
from features.layout import Layout

__all__ = ["dataset_folder", "find_layout"]


def dataset_folder(data: Path) -> Path:
    """The folder of a dataset that was given by its folder or by its dataset.yaml.

    Raises:
        InputError: there is no such folder.
    """
    if data.name == FILE_NAME and data.is_file():
        return data.parent
    if not data.is_dir():
        raise InputError(f"{data} is not a folder; name the dataset's folder")
    return data


def find_layout(root: Path) -> Layout:
    """Recognise a dataset folder and read its lists.

    Returns:
        The usable rows, and one sentence per row that is not usable.

    Raises:
        DataError: the dataset as a whole cannot be read (no list, a wrong header, not text, no classes, no folder).
    """
    if not root.is_dir():
        raise DataError([f"{root} is not a folder: name the folder that holds dataset.yaml or train_curated.csv"])
    if os.path.lexists(root / FILE_NAME):
        return described_layout(root)
    layout = challenge_layout(root)
    if layout is None:
        advice = "unpack its zip files first" if any(root.glob("*.zip")) else f"describe it with: sonogrid init {root}"
        raise DataError([f"{root} has no {FILE_NAME} and no train_curated.csv: name the dataset's folder, or {advice}"])
    return layout
