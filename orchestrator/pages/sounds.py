"""A sound as MP3, which every browser plays, and as a picture of its mel spectrogram."""

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch

from features.audio import read_windows, resample, without_notes
from features.mel import MelSpectrogram, power_to_db
from features.settings import MelSettings
from orchestrator.pages.pictures import Floats, mel_png

__all__ = ["RATE_HZ", "SECONDS", "Excerpt", "beginning", "decibels_of", "excerpt", "excerpt_of"]

SECONDS = 10.0
"""Of a clip."""
RATE_HZ = 32_000
COMPRESSION = 0.7
"""Of MP3, 0 (largest) to 1: about 64 kbit/s."""
MEL = MelSettings(sample_rate_hz=RATE_HZ, n_mels=96, n_fft_samples=1_024, hop_samples=256, fmin_hz=50, fmax_hz=16_000)


@dataclass(frozen=True)
class Excerpt:
    """A sound on a page."""

    mp3: bytes
    png: bytes
    """Its mel spectrogram."""
    seconds: float

    @property
    def audio(self) -> str:
        """The sound as a `data:` address."""
        return f"data:audio/mpeg;base64,{base64.b64encode(self.mp3).decode('ascii')}"

    @property
    def picture(self) -> str:
        """The picture as a `data:` address."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode('ascii')}"


def beginning(path: Path, seconds: float = SECONDS) -> tuple[Floats, int]:
    """The first seconds of a file: samples (S,), mono, and their rate in Hz.

    Raises:
        DataError: it cannot be read.
    """
    with without_notes():
        _, mono, rate = next(read_windows(path, seconds, seconds))
    return mono, rate


def excerpt(path: Path) -> Excerpt:
    """The first seconds of a file.

    Raises:
        DataError: it cannot be read.
    """
    return excerpt_of(*beginning(path))


def decibels_of(mono: Floats, rate_hz: int) -> Floats:
    """The spectrogram (frames, bands) of samples (S,) that a page shows."""
    samples = np.ascontiguousarray(resample(mono, rate_hz, RATE_HZ), np.float32)
    found: Floats = power_to_db(torch.from_numpy(MelSpectrogram(MEL)(samples))).numpy()
    return found


def excerpt_of(
    mono: Floats, rate_hz: int, decibels: Floats | None = None, limits: tuple[float, float] | None = None
) -> Excerpt:
    """Samples (S,) as an excerpt.

    Args:
        mono: the samples.
        rate_hz: their rate.
        decibels: (frames, bands) the picture, if it is not the spectrogram of the samples.
        limits: decibels of its darkest and its brightest colour.
    """
    samples = np.ascontiguousarray(resample(mono, rate_hz, RATE_HZ), np.float32)
    file = io.BytesIO()
    soundfile.write(file, samples, RATE_HZ, format="MP3", compression_level=COMPRESSION)
    shown = decibels_of(samples, RATE_HZ) if decibels is None else decibels
    return Excerpt(file.getvalue(), mel_png(shown, limits), len(samples) / RATE_HZ)
