"""EnvNet-v2 trunk on raw samples (Tokozume, Ushiku & Harada 2018; docs/paper.md, Models)."""

import torch
from torch import Tensor, nn

from trainers.settings import EnvNetSettings

__all__ = ["EnvNetTrunk"]

BANDS = 64
"""Channels of the second convolution: they become the frequency axis, whose length the later kernels rely on."""


def _conv(channels_in: int, channels_out: int, kernel: tuple[int, int], stride: tuple[int, int] = (1, 1)) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, stride, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


class EnvNetTrunk(nn.Module):
    """Two 1-d convolutions that learn a spectrogram, then small 2-d convolutions; adaptive max pool to (10, 1)."""

    min_length = EnvNetSettings.min_samples

    def __init__(self, width: int, *, default_init: bool = False) -> None:
        """`default_init` leaves the convolutions torch's default weights, as the released code does."""
        super().__init__()
        self.features = 80 * width
        self.spectrum = nn.Sequential(
            _conv(1, width, (1, 64), (1, 2)), _conv(width, BANDS, (1, 16), (1, 2)), nn.MaxPool2d((1, 64))
        )
        self.maps = nn.Sequential(
            _conv(1, width, (8, 8)),
            _conv(width, width, (8, 8)),
            nn.MaxPool2d((5, 3)),
            _conv(width, 2 * width, (1, 4)),
            _conv(2 * width, 2 * width, (1, 4)),
            nn.MaxPool2d((1, 2)),
            _conv(2 * width, 4 * width, (1, 2)),
            _conv(4 * width, 4 * width, (1, 2)),
            nn.MaxPool2d((1, 2)),
            _conv(4 * width, 8 * width, (1, 2)),
            _conv(8 * width, 8 * width, (1, 2)),
            nn.AdaptiveMaxPool2d((10, 1)),
        )
        for module in self.modules() if not default_init else ():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(B, S) samples in [-1, 1] -> (B, features)."""
        spectrum: Tensor = self.spectrum(x[:, None, None, :])  # (B, BANDS, 1, S / 256)
        maps: Tensor = self.maps(spectrum.transpose(1, 2))  # (B, 8 width, 10, 1)
        return torch.flatten(maps, 1)
