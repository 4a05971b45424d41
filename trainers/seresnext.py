"""SE-ResNeXt-50 trunk on one-channel mel spectrograms of any length.

Grouped convolutions (Xie et al. 2017, 32x4d) with channel weights computed from the whole map (squeeze and
excitation, Hu et al. 2018): the layers of Cadene's `se_resnext50_32x4d` between the stem and the pool of `resnet.py`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainers.resnet import MelTrunk, shortcut

__all__ = ["SEResNeXtTrunk"]

BLOCKS = (3, 4, 6, 3)
EXPANSION = 4
REDUCTION = 16


class SqueezeExcite(nn.Module):
    """Multiplies each channel by a factor in 0..1 that two small layers compute from the means of all channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // REDUCTION)
        self.excite = nn.Linear(channels // REDUCTION, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        factors = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean(dim=(2, 3))))))  # (B, C)
        return x * factors[:, :, None, None]


class SEResNeXtBlock(nn.Module):
    """1x1, grouped 3x3 and 1x1 convolutions with batch norm and squeeze-excitation around a shortcut."""

    def __init__(self, channels_in: int, channels_out: int, stride: int, *, groups: int) -> None:
        super().__init__()
        inner = channels_out // 2
        self.conv1 = nn.Conv2d(channels_in, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, channels_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels_out)
        self.se = SqueezeExcite(channels_out)
        self.shortcut = shortcut(channels_in, channels_out, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.se(self.bn3(self.conv3(y))) + self.shortcut(x))


class SEResNeXtTrunk(MelTrunk):
    """SE-ResNeXt-50; 32 x `width` features.

    At width 64 it is 32x4d: 32 groups, four channels each in the first stage. Smaller networks keep the four
    channels and have `width` / 2 groups.
    """

    def __init__(self, width: int) -> None:
        def block(channels_in: int, channels_out: int, stride: int) -> nn.Module:
            return SEResNeXtBlock(channels_in, channels_out, stride, groups=width // 2)

        super().__init__(width, BLOCKS, block, expansion=EXPANSION)
