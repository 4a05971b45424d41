"""A batch of clips on the way from the features to the network, and draws as tensors beside it."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["Batch", "column"]


@dataclass(frozen=True)
class Batch:
    """Clips of one stream."""

    x: Tensor
    """(B, T, n_mels) power or (B, S) samples."""
    y: Tensor
    """(B, C) labels in [0, 1]."""
    start: Tensor
    """(B,) first position of x that lies in the clip."""
    stop: Tensor
    """(B,) first position of x after the clip."""


def column(values: np.ndarray, like: Tensor, dims: int) -> Tensor:
    """(B,) draws as a tensor (B, 1, ...) of `dims` dimensions on the batch's device."""
    tensor = torch.as_tensor(values, dtype=torch.float32)
    return tensor.to(like.device, non_blocking=True).reshape(-1, *[1] * (dims - 1))
