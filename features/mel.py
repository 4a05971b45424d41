"""Power mel spectrograms equal to librosa's, several times faster on one core, and decibels as a tensor operation.

The time of a mel spectrogram goes into the FFTs and into the filterbank product. The product is banded here: sixteen
mel bands at a time against only the bins they touch, about a fifth of the dense work. Frames are taken in blocks small
enough for the cache, which also bounds the memory of an hour-long clip.
"""

import numpy as np
import torch

from features.settings import MelSettings

__all__ = ["MelSpectrogram", "filterbank", "power_to_db"]

_BLOCK_FRAMES = 128
_GROUP_MELS = 16


class MelSpectrogram:
    """Callable: samples to power mel, as `librosa.feature.melspectrogram` with its defaults (transposed).

    Hann window, centred frames with zeros beyond the ends, Slaney scale and Slaney norm.
    """

    def __init__(self, settings: MelSettings) -> None:
        """Prepare window and filterbank."""
        self.settings = settings
        self._window = torch.hann_window(settings.n_fft_samples, dtype=torch.float64).float()
        bank = torch.from_numpy(filterbank(settings)).float()  # (bins, n_mels)
        self._bands: list[tuple[slice, slice, torch.Tensor]] = []
        for first in range(0, settings.n_mels, _GROUP_MELS):
            mels = slice(first, min(first + _GROUP_MELS, settings.n_mels))
            touched = bank[:, mels].any(dim=1).nonzero()
            if len(touched):
                bins = slice(int(touched[0]), int(touched[-1]) + 1)
                self._bands.append((mels, bins, bank[bins, mels].contiguous()))

    def n_frames(self, n_samples: int) -> int:
        """Frames of a clip of `n_samples`: at least one."""
        return self.settings.rows(n_samples)

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Compute the power mel spectrogram of one clip.

        Args:
            samples: float32 (samples,).

        Returns:
            float32 (frames, n_mels), frames = 1 + samples // hop.
        """
        hop, n_fft = self.settings.hop_samples, self.settings.n_fft_samples
        signal = torch.from_numpy(samples)
        frames = self.n_frames(len(samples))
        mel = torch.zeros(frames, self.settings.n_mels)
        for first in range(0, frames, _BLOCK_FRAMES):
            last = min(first + _BLOCK_FRAMES, frames)
            begin = first * hop - n_fft // 2
            end = (last - 1) * hop - n_fft // 2 + n_fft
            beyond = (max(-begin, 0), max(end - len(signal), 0))
            segment = torch.nn.functional.pad(signal[max(begin, 0) : end], beyond)
            windowed = segment.unfold(0, n_fft, hop) * self._window  # (block, n_fft)
            spectrum = torch.fft.rfft(windowed)  # (block, bins)
            power = spectrum.real.square().add_(spectrum.imag.square())  # (block, bins)
            for mels, bins, weights in self._bands:
                torch.mm(power[:, bins], weights, out=mel[first:last, mels])
        array: np.ndarray = mel.numpy()
        return array


def filterbank(settings: MelSettings) -> np.ndarray:
    """Triangles of equal area on Slaney's mel scale, float64 (bins, n_mels).

    Linear below 1 kHz, logarithmic above (M. Slaney, Auditory Toolbox, 1998). In float64 and for any n_fft, because
    `torchaudio.functional.melscale_fbanks` works in float32 and takes odd n_fft for even.
    """
    corner_hz, corner_mel, step = 1_000.0, 15.0, np.log(6.4) / 27

    def to_mel(hz: float) -> float:
        return hz / corner_hz * corner_mel if hz < corner_hz else corner_mel + np.log(hz / corner_hz) / step

    mels = np.linspace(to_mel(settings.fmin_hz), to_mel(settings.fmax_hz), settings.n_mels + 2)
    above = np.exp(np.maximum(mels - corner_mel, 0) * step) * corner_hz
    edges_hz = np.where(mels < corner_mel, mels / corner_mel * corner_hz, above)  # (n_mels + 2,)
    bins_hz = np.fft.rfftfreq(settings.n_fft_samples, 1 / settings.sample_rate_hz)[:, None]
    low, middle, high = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    triangles = np.minimum((bins_hz - low) / (middle - low), (high - bins_hz) / (high - middle))
    bank: np.ndarray = np.maximum(triangles, 0) * 2 / (high - low)
    return bank


def power_to_db(power: torch.Tensor, top_db: float = 80.0) -> torch.Tensor:
    """Power to decibels, each sample cut `top_db` below its own maximum (librosa's `power_to_db`, ref 1, floor 1e-10).

    Args:
        power: (..., frames, n_mels), not negative.
        top_db: range kept below each sample's maximum, in dB.

    Returns:
        dB of the same shape; silence is -100 dB everywhere.
    """
    db = power.clamp_min(1e-10).log10().mul(10.0)
    return torch.maximum(db, db.amax(dim=(-2, -1), keepdim=True) - top_db)
