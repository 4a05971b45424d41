"""Weights in fewer bits, for files: 16-bit floating point, or whole numbers of 8 bits and a scale per output channel.

Only tensors of two or more dimensions are packed; biases and what normalises are few numbers. What is computed with is
float32 again.
"""

from typing import Literal, get_args

import torch
from torch import Tensor

__all__ = ["PRECISIONS", "Packed", "Precision", "pack", "unpack"]

Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
Packed = tuple[Tensor, Tensor | None]
"""A tensor as it is kept, and for int8 its scales (channels, 1, ...)."""
LARGEST = 127
LARGEST_FP16 = 65_504.0


def pack(tensor: Tensor, precision: Precision) -> Packed:
    """A float32 tensor in fewer bits, if it is one that is packed.

    int8: round(tensor / scale), where a channel's largest absolute value is 127 scales.
    """
    if precision == "fp32" or tensor.ndim < 2 or tensor.dtype != torch.float32:
        return tensor, None
    if precision == "fp16":
        return tensor.clamp(-LARGEST_FP16, LARGEST_FP16).half(), None
    largest = tensor.abs().amax(dim=tuple(range(1, tensor.ndim)), keepdim=True)
    scale = largest.where(largest > 0, 1.0) / LARGEST
    return (tensor / scale).round().to(torch.int8), scale


def unpack(packed: Packed) -> Tensor:
    """The float32 tensor that was packed, as exactly as its bits allow; others as they are."""
    tensor, scale = packed
    if scale is not None:
        return tensor.float() * scale
    return tensor.float() if tensor.dtype == torch.float16 else tensor
