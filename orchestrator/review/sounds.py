"""The beginning of a clip as MP3, which every browser plays, and as a picture of its mel spectrogram."""

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
from orchestrator.pages.pictures import mel_png

__all__ = ["SECONDS", "Excerpt", "excerpt"]

SECONDS = 10.0
"""Of a clip."""
RATE_HZ = 32_000
COMPRESSION = 0.7
"""Of MP3, 0 (largest) to 1: about 64 kbit/s."""
MEL = MelSettings(sample_rate_hz=RATE_HZ, n_mels=96, n_fft_samples=1_024, hop_samples=256, fmin_hz=50, fmax_hz=16_000)


@dataclass(frozen=True)
class Excerpt:
    """A clip on a page, as `data:` addresses."""

    audio: str
    picture: str
    seconds: float
    """Length of the excerpt."""


def excerpt(path: Path) -> Excerpt:
    """The first seconds of a file, mono.

    Raises:
        DataError: it cannot be read.
    """
    with without_notes():
        _, mono, rate = next(read_windows(path, SECONDS, SECONDS))
    samples = resample(mono, rate, RATE_HZ)
    file = io.BytesIO()
    soundfile.write(file, samples, RATE_HZ, format="MP3", compression_level=COMPRESSION)
    mel = torch.from_numpy(MelSpectrogram(MEL)(np.ascontiguousarray(samples, np.float32)))
    picture = mel_png(power_to_db(mel).numpy())
    return Excerpt(_address("audio/mpeg", file.getvalue()), _address("image/png", picture), len(samples) / RATE_HZ)


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
