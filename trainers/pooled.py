"""Statistics over time of mel bands in dB (or of any frames of features): a network without a trunk that learns.

Frames without any power, which are padding, masked frames or digital silence, do not count. So the statistics of a clip
depend neither on its pads nor on the clips that share its batch.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from trainers.clips import ClipSource
from trainers.network_settings import Statistic

__all__ = ["PooledTrunk", "Statistics", "frames_with_power", "statistics_over_time"]

LARGEST = 10.0
"""Limit of a standardised statistic. A band that is silent in all training clips would have no limit otherwise."""
LAGS = {"difference": 1, "difference_2": 2, "difference_4": 4, "difference_8": 8}
"""Frames from one to the other of a pair."""
Decibels = Callable[[Tensor], Tensor]


def frames_with_power(x: Tensor) -> Tensor:
    """(B, T) of (B, T, bands): frames in which any value is not 0; all frames of an input that has none."""
    some = (x != 0).any(dim=2)
    return some | ~some.any(dim=1, keepdim=True)


def statistics_over_time(x: Tensor, counted: Tensor, names: Sequence[Statistic]) -> Tensor:
    """Statistics of each band over some of its frames.

    `mean`; `deviation`, the standard deviation; `maximum`; `difference`, the root of the mean square of the differences
    between neighbouring frames; `difference_2`, `_4` and `_8`, between frames that are so far apart.

    Args:
        x: (B, T, bands), without gradient.
        counted: (B, T), the frames that count; at least one of each input.
        names: which statistics.

    Returns:
        (B, len(names) * bands), one statistic after the other.
    """
    inside = counted[:, :, None]
    frames = inside.sum(dim=1)  # (B, 1)
    mean = torch.where(inside, x, 0.0).sum(dim=1) / frames  # (B, bands)
    found = []
    for name in names:
        if name == "mean":
            found.append(mean)
        elif name == "deviation":
            squares = torch.where(inside, x - mean[:, None], 0.0).square()
            found.append((squares.sum(dim=1) / frames).sqrt())
        elif name == "maximum":
            found.append(x.masked_fill(~inside, -torch.inf).amax(dim=1))
        else:
            lag = LAGS[name]
            pairs = inside[:, lag:] & inside[:, :-lag]
            squares = torch.where(pairs, x[:, lag:] - x[:, :-lag], 0.0).square()
            found.append((squares.sum(dim=1) / pairs.sum(dim=1).clamp_min(1)).sqrt())
    return torch.cat(found, dim=1)


class PooledTrunk(nn.Module):
    """Statistics over time, standardised by those of the training clips. It has no weights."""

    min_length = 1
    mean: Tensor
    deviation: Tensor

    def __init__(self, names: Sequence[Statistic], bands: int) -> None:
        super().__init__()
        self.names = tuple(names)
        self.features = len(names) * bands
        self.register_buffer("mean", torch.zeros(self.features))
        self.register_buffer("deviation", torch.ones(self.features))

    def forward(self, found: Tensor) -> Tensor:
        """(B, features) statistics over time -> the same, standardised."""
        return ((found - self.mean) / self.deviation).clamp(-LARGEST, LARGEST)

    def fit(self, clips: ClipSource, rows: np.ndarray, decibels: Decibels) -> None:
        """Standardise by the mean and standard deviation of the statistics of whole clips.

        Args:
            clips: the clips.
            rows: (n,) rows of the training clips.
            decibels: what the network does to its input before the trunk.
        """
        found = []
        for row in rows:
            x = torch.from_numpy(np.array(clips.array(int(row))))[None]  # (1, frames, bands)
            found.append(statistics_over_time(decibels(x), frames_with_power(x), self.names))
        deviation, mean = torch.std_mean(torch.cat(found).double(), dim=0, correction=0)
        self.mean.copy_(mean)
        self.deviation.copy_(deviation.where(deviation > 1e-4, 1.0))  # the same in all clips: nothing to scale by


class Statistics(nn.Module):
    """Batch-normalised statistics over time, for use beside a trunk's features."""

    def __init__(self, names: Sequence[Statistic], bands: int) -> None:
        super().__init__()
        self.names = tuple(names)
        self.features = len(names) * bands
        # The 2-d layer, as everything that treats batch norm in a special way looks for it.
        self.norm = nn.BatchNorm2d(self.features)

    def forward(self, found: Tensor) -> Tensor:
        """(B, features) statistics over time -> the same, normalised."""
        normal: Tensor = self.norm(found[:, :, None, None])
        return torch.flatten(normal, 1)
