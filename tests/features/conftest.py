"""Fixtures: a small generated dataset, a tiny hand-made one, and the folder of shared data where there is one."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from features.synthetic import generate

SHARED = Path(os.environ.get("SONOGRID_SHARED_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))


def write_audio(path: Path, seconds: float = 0.2, rate_hz: int = 44_100, seed: int = 0, **options: str) -> np.ndarray:
    """Write noise and return it, float64 (samples,)."""
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, max(1, round(seconds * rate_hz)))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate_hz, **options)
    return samples


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generated audio; not to be changed."""
    root = tmp_path_factory.mktemp("data") / "demo"
    generate(root, seed=7, curated=14, noisy=12, test=4)
    return root


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """Ten curated clips a0.wav ... of classes A and B, in Kaggle's layout, to be broken by a test."""
    root = tmp_path / "tiny"
    for index in range(10):
        write_audio(root / "train_curated" / f"a{index}.wav", seed=index)
    rows = "".join(f"a{index}.wav,{'AB'[index % 2]}\n" for index in range(10))
    (root / "train_curated.csv").write_text("fname,labels\n" + rows)
    (root / "vocabulary.csv").write_text("0,A\n1,B\n")
    return root


@pytest.fixture
def append(tiny: Path) -> Callable[[str], None]:
    """Add a line to the curated CSV of `tiny`."""

    def add(line: str) -> None:
        with (tiny / "train_curated.csv").open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    return add


def shared(name: str) -> Path:
    """A folder of the shared data; skips the test where there is none."""
    if not (SHARED / name).is_dir():
        pytest.skip(f"no folder {SHARED / name} (set SONOGRID_SHARED_DATA)")
    return SHARED / name


@pytest.fixture
def shared_data() -> Callable[[str], Path]:
    return shared


@pytest.fixture
def audio_writer() -> Callable[..., np.ndarray]:
    return write_audio
