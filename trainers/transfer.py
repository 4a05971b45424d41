"""Arrays on the way from the host to a device: those of one batch travel in one copy that nothing waits for.

A copy from ordinary memory makes the host wait, and each copy costs a launch. So the arrays of a batch are written one
after the other into pinned memory, copied once, and cut apart on the device. PyTorch keeps pinned memory for the next
batches and takes a piece again only after its copy has ended. On a CPU tensors share the arrays' memory.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

__all__ = ["Filled", "HostArray", "Work", "on_device", "send"]

T = TypeVar("T")
ALIGNMENT = 64
"""Bytes; a multiple of the size of every type."""


@dataclass(frozen=True)
class Filled:
    """An array that is written where it is sent from, which saves a copy of a large one."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    fill: Callable[[np.ndarray], None]
    """Writes every value of an array of that shape and type."""

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


HostArray = np.ndarray | Filled


@dataclass(frozen=True)
class Work(Generic[T]):
    """Work for a device, prepared on the host: the arrays that it needs, and what is computed of them there."""

    arrays: tuple[HostArray, ...]
    run: Callable[..., T]
    """Called with the arrays as tensors."""

    def take(self, sent: Iterator[Tensor]) -> T:
        """Compute, with the next tensors of those that were sent."""
        return self.run(*islice(sent, len(self.arrays)))

    def on(self, device: torch.device) -> T:
        """Send the arrays in one copy, and compute."""
        return self.run(*send(self.arrays, device))


def send(arrays: Sequence[HostArray], device: torch.device) -> list[Tensor]:
    """Tensors of arrays on a device, without waiting for the work that is queued there."""
    if device.type == "cpu":
        return [torch.as_tensor(_written(array)) for array in arrays]
    places, end = [], 0
    for array in arrays:
        places.append(slice(end, end + array.nbytes))
        end += -(-array.nbytes // ALIGNMENT) * ALIGNMENT
    pinned, memory = pinned_memory(end)
    for array, place in zip(arrays, places, strict=True):
        _write(array, memory[place].view(array.dtype).reshape(array.shape))
    flat = pinned.to(device, non_blocking=True)
    return [
        flat[place].view(_torch_type(array.dtype)).view(array.shape)
        for array, place in zip(arrays, places, strict=True)
    ]


def on_device(values: np.ndarray, device: torch.device) -> Tensor:
    """One array on a device, without waiting for the work that is queued there."""
    return send([values], device)[0]


def pinned_memory(size: int) -> tuple[Tensor, np.ndarray]:
    """Bytes from which a GPU copies on its own, as a tensor and as an array."""
    tensor = torch.empty(size, dtype=torch.uint8, pin_memory=True)
    return tensor, tensor.numpy()


def _written(array: HostArray) -> np.ndarray:
    if isinstance(array, np.ndarray):
        return array
    values = np.empty(array.shape, array.dtype)
    array.fill(values)
    return values


def _write(array: HostArray, place: np.ndarray) -> None:
    if isinstance(array, np.ndarray):
        place[...] = array
    else:
        array.fill(place)


def _torch_type(dtype: np.dtype[np.generic]) -> torch.dtype:
    return torch.from_numpy(np.empty(0, dtype)).dtype
