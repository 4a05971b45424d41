"""A batch of clips on the way from the features to the network."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Self

import numpy as np
from torch import Tensor

from trainers.transfer import HostArray

__all__ = ["Batch", "Change", "Layout", "column"]


@dataclass(frozen=True)
class Layout:
    """Shape of a batch, and where its clips lie in it; known on the host."""

    shape: tuple[int, ...]
    """(B, T, n_mels) or (B, S)."""
    start: np.ndarray
    """(B,) int64 position of the clip's first frame or sample in x; negative if the crop starts within the clip."""
    stop: np.ndarray
    """(B,) int64 position after the clip's last; beyond the end of x if the crop ends within the clip."""

    def inside(self) -> tuple[np.ndarray, np.ndarray]:
        """(B,) start and stop of the part of the clip that lies in x."""
        size = self.shape[1]
        return self.start.clip(0, size), self.stop.clip(0, size)

    def first(self, clips: int) -> Self:
        """The layout of the first clips."""
        return type(self)((clips, *self.shape[1:]), self.start[:clips], self.stop[:clips])


@dataclass(frozen=True)
class Change:
    """What an augmentation does to a batch: drawn on the host, made on the device."""

    layout: Layout
    """Of the changed batch."""
    apply: Callable[..., tuple[Tensor, Tensor]]
    """Called with x, y and the arrays as tensors; returns x and y."""
    arrays: tuple[HostArray, ...] = ()

    def take(self, x: Tensor, y: Tensor, sent: Iterator[Tensor]) -> tuple[Tensor, Tensor]:
        """Apply it, with the next tensors of those that were sent."""
        return self.apply(x, y, *islice(sent, len(self.arrays)))


@dataclass(frozen=True)
class Batch:
    """Clips of one stream. Inputs and labels are on the device, positions on the host."""

    x: Tensor
    """(B, T, n_mels) power or (B, S) samples."""
    y: Tensor
    """(B, C) labels in [0, 1]."""
    start: np.ndarray
    """As in `Layout`."""
    stop: np.ndarray
    """As in `Layout`."""

    @property
    def layout(self) -> Layout:
        """Its shape and positions."""
        return Layout(tuple(self.x.shape), self.start, self.stop)


def column(values: Tensor, dims: int) -> Tensor:
    """(B,) draws as a tensor (B, 1, ...) of `dims` dimensions."""
    return values.reshape(-1, *[1] * (dims - 1))
