"""A batch of clips on the way from the features to the network, and copies from the host that do not wait for a GPU."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["Batch", "column", "on_device"]


@dataclass(frozen=True)
class Batch:
    """Clips of one stream. Inputs and labels are on the device, positions on the host."""

    x: Tensor
    """(B, T, n_mels) power or (B, S) samples."""
    y: Tensor
    """(B, C) labels in [0, 1]."""
    start: np.ndarray
    """(B,) int64 position of the clip's first frame or sample in x; negative if the crop starts within the clip."""
    stop: np.ndarray
    """(B,) int64 position after the clip's last; beyond the end of x if the crop ends within the clip."""

    def inside(self) -> tuple[np.ndarray, np.ndarray]:
        """(B,) start and stop of the part of the clip that lies in x."""
        size = self.x.shape[1]
        return self.start.clip(0, size), self.stop.clip(0, size)


def on_device(values: np.ndarray, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """A copy of an array on a device, without waiting for the work that is queued there.

    `torch.as_tensor(values, device=...)` would wait for it.
    """
    return torch.as_tensor(values, dtype=dtype).to(device, non_blocking=True)


def column(values: np.ndarray, like: Tensor, dims: int) -> Tensor:
    """(B,) draws as a float32 tensor (B, 1, ...) of `dims` dimensions on the device of `like`."""
    return on_device(values, like.device, torch.float32).reshape(-1, *[1] * (dims - 1))
