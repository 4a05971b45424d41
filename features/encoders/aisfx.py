"""The encoder of aiSFX (Ma & Lerch, "Representation Learning for the Automatic Indexing of Sound Effects Libraries",
ISMIR 2022), with its mel spectrogram: samples in, embeddings out.

Facts of the published model X-Sequential-CE: 44.1 kHz; power spectra of 2,048 samples every 1,024; 96 bands on the HTK
mel scale, each with weights that sum to 1; log10(1 + 10,000 power), divided by 9.4578, the largest value in its
training. Four blocks of two 3 x 3 convolutions with batch norm and ReLU, 64 to 512 channels, each of the first three
followed by 2 x 2 maximum pooling; then the mean over bands and the maximum over time.
"""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["SAMPLE_RATE_HZ", "AisfxEncoder"]

SAMPLE_RATE_HZ = 44_100
N_FFT, HOP, BANDS = 2_048, 1_024, 96
LARGEST = 9.457798957824707
CHANNELS = (64, 128, 256, 512)
DIMS = CHANNELS[-1]


class AisfxEncoder(nn.Module):
    """Samples (windows, samples) in [-1, 1] to embeddings (windows, 512)."""

    hann: Tensor
    bank: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("hann", torch.hann_window(N_FFT).clone())
        self.register_buffer("bank", torch.from_numpy(_filterbank()))
        inputs = (1, *CHANNELS[:-1])
        self.blocks = nn.ModuleList(_block(before, after) for before, after in zip(inputs, CHANNELS, strict=True))

    def forward(self, windows: Tensor) -> Tensor:
        """(windows, samples) -> (windows, 512)."""
        x = self.spectrogram(windows)[:, None]  # (windows, 1, frames, bands)
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number < 3:
                x = F.max_pool2d(x, 2)
        return x.mean(dim=3).amax(dim=2)

    def spectrogram(self, windows: Tensor) -> Tensor:
        """(windows, samples) -> (windows, frames, bands): 1 + samples // 1,024 frames, centred, zeros outside."""
        padded = F.pad(windows, (N_FFT // 2, N_FFT // 2))
        parts = torch.stft(padded, N_FFT, HOP, window=self.hann, center=False, return_complex=True)
        power = torch.view_as_real(parts).square().sum(dim=-1)  # (windows, bins, frames)
        return torch.log10(1.0 + 1e4 * (self.bank @ power)).transpose(1, 2) / LARGEST

    def load_published(self, weights: Mapping[str, Tensor]) -> None:
        """Take the weights of the published checkpoint; those of its classifiers are left out.

        Raises:
            KeyError: one is missing.
            RuntimeError: one has another shape.
        """
        names = {"0": "conv1", "1": "bn1", "3": "conv2", "4": "bn2"}  # place in a block -> published name
        own = {}
        for name in self.state_dict():
            if name.startswith("blocks."):
                _, number, place, field = name.split(".")
                own[name] = weights[f"embedding_net.conv_block{int(number) + 1}.{names[place]}.{field}"]
        self.load_state_dict(own, strict=False)


def _block(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
        nn.Conv2d(after, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    )


def _filterbank() -> np.ndarray:
    """Triangles of equal width on the HTK mel scale, 2595 log10(1 + Hz / 700), float32 (bands, bins)."""
    nyquist_hz = SAMPLE_RATE_HZ / 2
    mels = np.linspace(0.0, 2_595.0 * np.log10(1.0 + nyquist_hz / 700.0), BANDS + 2)
    edges_hz = 700.0 * (10.0 ** (mels / 2_595.0) - 1.0)
    bins_hz = np.linspace(0.0, nyquist_hz, N_FFT // 2 + 1)
    low, middle, high = (edges_hz[start : start + BANDS, None] for start in range(3))
    rising, falling = (bins_hz - low) / (middle - low), (high - bins_hz) / (high - middle)
    bank: np.ndarray = np.minimum(rising, falling).clip(0.0)
    bank /= bank.sum(axis=1, keepdims=True)
    return bank.astype(np.float32)
