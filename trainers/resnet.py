"""ResNet trunk on one-channel mel spectrograms of any length (He et al. 2016; docs/paper.md, Models)."""

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["MelTrunk", "ResNetTrunk"]

BLOCKS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm around a shortcut."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.shortcut = shortcut(channels_in, channels_out, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


def shortcut(channels_in: int, channels_out: int, stride: int) -> nn.Module:
    """The identity, or a 1x1 convolution with batch norm where a block changes the shape."""
    if stride == 1 and channels_in == channels_out:
        return nn.Identity()
    return nn.Sequential(Pointwise(channels_in, channels_out, stride), nn.BatchNorm2d(channels_out))


class Pointwise(nn.Conv2d):
    """A strided 1x1 convolution that selects its positions first, with the same result.

    On a CPU, in channels-last layout and with fewer than eight input channels, torch 2.14's strided convolution writes
    beyond its memory in the backward pass.
    """

    def __init__(self, channels_in: int, channels_out: int, step: int) -> None:
        super().__init__(channels_in, channels_out, 1, bias=False)
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / step, W / step)."""
        return super().forward(x[:, :, :: self.step, :: self.step])


class MelTrunk(nn.Module):
    """7x7/2 stem, four stages of blocks, global max pool over both axes."""

    min_length = 1

    def __init__(
        self,
        width: int,
        counts: Sequence[int],
        block: Callable[[int, int, int], nn.Module],
        *,
        expansion: int = 1,
        default_stem: bool = False,
    ) -> None:
        """Every stage but the first starts with a block that halves both axes and doubles the channels.

        Args:
            width: channels of the stem.
            counts: blocks of each stage.
            block: makes a block from its channels in, channels out and stride.
            expansion: channels of the first stage as a multiple of `width`.
            default_stem: leave the stem torch's default weights, as the released code does.
        """
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, width, 7, 2, 3, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
        )
        blocks: list[nn.Module] = []
        channels = width
        for stage, count in enumerate(counts):
            for index in range(count):
                out = expansion * width * 2**stage
                blocks.append(block(channels, out, 2 if stage > 0 and index == 0 else 1))
                channels = out
        self.stages = nn.Sequential(*blocks)
        self.features = channels
        for module in (self.stages if default_stem else self).modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, n_mels) normalised dB -> (B, features)."""
        image = x.transpose(1, 2).unsqueeze(1)  # (B, 1, n_mels, T)
        maps: Tensor = self.stages(self.stem(image))  # (B, features, n_mels / 32, T / 32)
        return maps.amax(dim=(2, 3))


class ResNetTrunk(MelTrunk):
    """ResNet of 10, 18 or 34 weighted layers; 8 x `width` features."""

    def __init__(self, depth: int, width: int, *, default_stem: bool = False) -> None:
        super().__init__(width, BLOCKS[depth], BasicBlock, default_stem=default_stem)
