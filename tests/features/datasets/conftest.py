"""Folders of tiny clips in many layouts; `clip` writes one, and every clip differs."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

Clip = Callable[[str], None]
Text = Callable[[str, str], None]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of the dataset."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def clip(root: Path) -> Clip:
    """Write a clip at a path of the dataset."""
    seeds = itertools.count()

    def write(name: str) -> None:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = np.random.default_rng(next(seeds)).uniform(-0.5, 0.5, 800)
        soundfile.write(path, samples, 8_000, format=None if path.suffix != ".m4a" else "WAV")

    return write


@pytest.fixture
def text(root: Path) -> Text:
    """Write a text file at a path of the dataset."""

    def write(name: str, content: str) -> None:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")

    return write
