"""Features of equally long clips as torch modules: products and sums only, so that other runtimes can execute them.

`features.mel` and `features.audio` are faster in torch, but use FFTs and shapes that ONNX lacks or computes slowly.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn

from features.audio import resampler
from features.mel import filterbank
from features.settings import MelSettings

__all__ = ["MelGraph", "ResampleGraph", "WaveformGraph"]


class ResampleGraph(nn.Module):
    """`features.audio.resample` of a batch."""

    kernel: Tensor

    def __init__(self, source_hz: int, target_hz: int) -> None:
        super().__init__()
        self.source_hz, self.target_hz = source_hz, target_hz
        transform = resampler(source_hz, target_hz)
        divisor = math.gcd(transform.orig_freq, transform.new_freq)
        self.source, self.target = transform.orig_freq // divisor, transform.new_freq // divisor
        self.width: int = transform.width
        self.register_buffer("kernel", transform.kernel)  # (target, 1, taps)

    def forward(self, samples: Tensor) -> Tensor:
        """(B, S) at the source's rate -> (B, S'), S' = `resampled_length`."""
        # The last step may need a sample more than there are: as much as the kernel looks ahead, and one step.
        padded = nn.functional.pad(samples[:, None], (self.width, self.width + 2 * self.source))
        steps = nn.functional.conv1d(padded, self.kernel, stride=self.source)  # (B, target, steps)
        length = (samples.shape[1] * self.target_hz + self.source_hz - 1) // self.source_hz
        return steps.transpose(1, 2).flatten(1)[:, :length]


class MelGraph(nn.Module):
    """`features.mel.MelSpectrogram` of a batch.

    The Fourier transform of a frame of N1 * N2 samples is N2 transforms of N1 samples, a rotation, and N1 transforms of
    N2 samples (Cooley & Tukey 1965), each a matrix product: a twelfth of the operations of one product for N = 2,560.
    """

    window: Tensor
    first: Tensor
    rotation: Tensor
    second: Tensor
    bank: Tensor

    def __init__(self, settings: MelSettings) -> None:
        super().__init__()
        self.hop, self.n_fft = settings.hop_samples, settings.n_fft_samples
        n1, n2 = _factors(self.n_fft)
        self.factors = n1, n2
        half = n1 // 2 + 1  # the others are the conjugates of these, as samples are real
        k1, k2 = np.arange(half)[:, None], np.arange(n2)[None]  # (half, 1), (1, n2)
        first = _turns(k1 * np.arange(n1)[None], n1)  # (half, n1)
        rotation = _turns(k1 * np.arange(n2)[None], self.n_fft)  # (half, n2)
        second = _turns(k2.T * k2, n2)  # (n2, n2)
        bins = (k1 + n1 * k2).reshape(-1)
        bins = np.where(bins > self.n_fft // 2, self.n_fft - bins, bins)
        _, once = np.unique(bins, return_index=True)  # a bin may be there twice, as itself and as its conjugate
        bank = np.zeros((len(bins), settings.n_mels))
        bank[once] = filterbank(settings)
        tensors = {
            "window": torch.hann_window(self.n_fft, dtype=torch.float64).numpy(),
            "first": np.concatenate([first.real, first.imag]),  # (2 half, n1)
            "rotation": np.stack([rotation.real, rotation.imag]),  # (2, half, n2)
            "second": np.block([[second.real, second.imag], [-second.imag, second.real]]),  # (2 n2, 2 n2)
            "bank": bank,
        }
        for name, values in tensors.items():
            self.register_buffer(name, torch.from_numpy(values).float())

    def forward(self, samples: Tensor) -> Tensor:
        """(B, S) -> power (B, 1 + S // hop, n_mels)."""
        n1, n2 = self.factors
        frames = 1 + samples.shape[1] // self.hop
        padded = nn.functional.pad(samples, (self.n_fft // 2, self.n_fft))
        place = torch.arange(frames)[:, None] * self.hop + torch.arange(self.n_fft)  # (frames, n_fft)
        cut = padded.index_select(1, place.flatten()).reshape(-1, n1, n2) * self.window.reshape(n1, n2)
        real, imaginary = (self.first @ cut).chunk(2, dim=1)  # (B frames, half, n2)
        cosine, sine = self.rotation[0], self.rotation[1]
        turned = torch.cat([real * cosine - imaginary * sine, real * sine + imaginary * cosine], dim=2)
        real, imaginary = (turned @ self.second).chunk(2, dim=2)  # (B frames, half, n2)
        power = (real * real + imaginary * imaginary).flatten(1)
        return (power @ self.bank).reshape(samples.shape[0], frames, -1)


class WaveformGraph(nn.Module):
    """Samples as `WaveformSettings` keeps them, in 16 bits."""

    def forward(self, samples: Tensor) -> Tensor:
        """(B, S) -> (B, S)."""
        return (samples * 32_768.0).round().clamp(-32_768, 32_767) / 32_768.0


def _turns(numerators: np.ndarray, denominator: int) -> np.ndarray:
    """exp(-2 pi i numerator / denominator), complex128."""
    turned: np.ndarray = np.exp(-2j * np.pi * (numerators % denominator) / denominator)
    return turned


def _factors(n: int) -> tuple[int, int]:
    """The factors (n1, n2) of n with the fewest operations; (1, n) if n is a prime."""
    divisors = [d for d in range(1, n + 1) if n % d == 0]
    first = min(divisors, key=lambda d: (d // 2 + 1) * (n + 2 * (n // d) ** 2))
    return first, n // first
