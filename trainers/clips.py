"""Crops of clips as device tensors.

Features lie flat in memory-mapped shards. If they fit a budget they are copied to the GPU once, and a batch of crops is
one gather. Otherwise, and always on a CPU, where a mapped page is as fast as a copy, only the rows of a crop are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from trainers.settings import Padding
from trainers.transfer import Filled, Work

__all__ = ["ClipBank", "ClipSource", "MemoryClips"]


class ClipSource(Protocol):
    """Features of clips: a shard set, or arrays in memory."""

    @property
    def lengths(self) -> np.ndarray:
        """(N,) frames or samples."""

    @property
    def n_mels(self) -> int | None:
        """Mel bands; None for samples."""

    def array(self, i: int, /) -> np.ndarray:
        """(length, n_mels) float32 power or (length,) int16 samples of a clip."""


@dataclass(frozen=True)
class MemoryClips:
    """Features of a few clips in memory."""

    arrays: Sequence[np.ndarray]

    @property
    def lengths(self) -> np.ndarray:
        """(N,) frames or samples."""
        return np.array([len(array) for array in self.arrays], dtype=np.int64)

    @property
    def n_mels(self) -> int | None:
        """Mel bands; None for samples."""
        return self.arrays[0].shape[1] if self.arrays[0].ndim == 2 else None

    def array(self, i: int, /) -> np.ndarray:
        """Features of a clip."""
        return self.arrays[i]


class ClipBank:
    """The clips of one subset; a row is the position of a clip in the shard set."""

    resident_bytes: int
    """What the features take on the device; 0 if they stay on the host."""

    def __init__(self, shards: ClipSource, device: torch.device, *, resident_bytes: int = 0) -> None:
        """Copy all features to the device if they take at most `resident_bytes` there."""
        self.shards = shards
        self.device = device
        self.lengths = np.asarray(shards.lengths, dtype=np.int64)
        self.tail: tuple[int, ...] = () if shards.n_mels is None else (shards.n_mels,)
        self._dtype = torch.int16 if shards.n_mels is None else torch.float32
        size = int(self.lengths.sum()) * max(1, shards.n_mels or 1) * self._dtype.itemsize
        self._flat: Tensor | None = None
        self.resident_bytes = size if size <= resident_bytes else 0
        if self.resident_bytes:
            self._flat = self._copy_all()
            self._offsets = np.cumsum(self.lengths) - self.lengths

    def _copy_all(self) -> Tensor:
        flat = torch.empty((int(self.lengths.sum()), *self.tail), dtype=self._dtype, device=self.device)
        end = 0
        for row, length in enumerate(self.lengths):
            flat[end : end + length] = torch.from_numpy(np.array(self.shards.array(row)))
            end += length
        return flat

    def crop(
        self, rows: Sequence[int] | np.ndarray, starts: np.ndarray, length: int, padding: Padding = "zeros"
    ) -> Tensor:
        """Positions start .. start + length of each clip, padding where that lies outside it.

        Returns:
            (B, length, n_mels) mel power or (B, length) samples in [-1, 1], float32, on the device.
        """
        return self.reading(rows, starts, length, padding).on(self.device)

    def reading(
        self, rows: Sequence[int] | np.ndarray, starts: np.ndarray, length: int, padding: Padding = "zeros"
    ) -> Work[Tensor]:
        """The work of `crop`."""
        rows = np.asarray(rows, dtype=np.int64)
        if self._flat is not None:
            places = np.stack([self._offsets[rows], starts, self.lengths[rows]])  # (3, B)
            return Work((places,), lambda places: self._finish(self._gather(places, length, padding)))
        dtype = np.dtype(np.int16 if self._dtype is torch.int16 else np.float32)
        crops = Filled(
            (len(rows), length, *self.tail), dtype, lambda view: self._fill(view, rows, starts, length, padding)
        )
        return Work((crops,), self._finish)

    def reading_at_rate(
        self, rows: np.ndarray, starts: np.ndarray, length: int, rates: np.ndarray, padding: Padding = "zeros"
    ) -> Work[Tensor]:
        """Like `reading`, of clips stretched to `rates` (B,) times their length by nearest neighbour.

        `starts` are positions in the stretched clips.
        """
        origin = np.floor(starts / rates).astype(np.int64)
        window = self.reading(rows, origin, int(np.ceil(length / rates.min())) + 1, padding)  # (B, W)

        def run(*sent: Tensor) -> Tensor:
            *of_window, places, rate = sent
            start, first = places[:, :, None]  # (B, 1) each
            place = start + torch.arange(length, device=self.device)
            source = (place / rate[:, None]).floor().long() - first  # (B, length)
            index = source.reshape(*source.shape, *[1] * len(self.tail))
            return torch.take_along_dim(window.run(*of_window), index, dim=1)

        return Work((*window.arrays, np.stack([starts, origin]), rates.astype(np.float64)), run)

    def _gather(self, places: Tensor, length: int, padding: Padding) -> Tensor:
        assert self._flat is not None
        offset, start, lengths = places[:, :, None]  # (B, 1) each
        place = start + torch.arange(length, device=self.device)
        if padding == "repeat":
            place = place % lengths
        inside = (place >= 0) & (place < lengths)  # (B, length)
        index = (offset + place).masked_fill(~inside, 0)
        crops = self._flat[index.reshape(-1)].reshape(*index.shape, *self.tail)
        return crops.masked_fill(~inside.reshape(*index.shape, *[1] * len(self.tail)), 0)

    def _fill(self, view: np.ndarray, rows: np.ndarray, starts: np.ndarray, length: int, padding: Padding) -> None:
        """Write crops (B, length[, n_mels]), read from the files."""
        for crop, row, start in zip(view, rows, starts, strict=True):
            begin, clip_length = int(start), int(self.lengths[row])
            first, last = max(0, begin), min(clip_length, begin + length)
            if padding == "repeat" and last - first < length:
                crop[:] = self.shards.array(int(row))[np.arange(begin, begin + length) % clip_length]
            elif first < last:
                crop[: first - begin] = 0
                crop[first - begin : last - begin] = self.shards.array(int(row))[first:last]
                crop[last - begin :] = 0
            else:
                crop[:] = 0

    def _finish(self, crops: Tensor) -> Tensor:
        return crops.float() / 32768.0 if self._dtype is torch.int16 else crops
