"""Streams of training batches: which clips a step sees, where they are cropped, how they are augmented.

A stream is endless and stateless: its batch at a step is a function of (seed, stream name, step).
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from trainers.augment import augment, playback_rates
from trainers.batch import Batch, on_device
from trainers.clips import ClipBank
from trainers.randomness import generator
from trainers.registry import Augmentations
from trainers.settings import Padding

__all__ = ["Pool", "Stream", "crop_starts"]


Partners = Literal["balanced", "uniform"]


@dataclass(frozen=True)
class Pool:
    """Clips that a stream draws from, with their labels."""

    bank: ClipBank
    rows: np.ndarray
    """(n,) rows of the bank."""
    targets: Tensor
    """(n, C) labels of those rows, on the bank's device."""


class Stream:
    """Batches of B augmented crops with labels.

    One pool: passes over it in random order, one after the other. Two pools: each clip comes from either with
    probability 1/2 (docs/paper.md, Training). Mixup partners are drawn at random from the same pools: from each pool
    with equal probability (`partners="balanced"`), or every clip with equal probability ("uniform").

    Given several crop lengths, each step draws one, the same in all streams of a seed: such a step equals one of a
    training with that length only, and batches of two streams can be mixed.
    """

    def __init__(
        self,
        name: str,
        pools: list[Pool],
        *,
        crop: int | tuple[int, ...],
        batch_size: int,
        augmentations: Augmentations,
        seed: int,
        padding: Padding = "zeros",
        partners: Partners = "balanced",
        view: int = 0,
    ) -> None:
        """Streams that differ only in `view` return the same clips, cropped and augmented by their own draws."""
        self.name = name
        self.view = view
        self.pools = pools
        self.crop = crop
        self.padding = padding
        self.partners = partners
        self.batch_size = batch_size
        self.augmentations = augmentations
        self.seed = seed
        self._order = lru_cache(maxsize=2)(self._pass)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Inputs (B, T, n_mels) or (B, S) and labels (B, C) of a global step."""
        clips = 2 * self.batch_size  # each clip and its mixup partner
        which, index = self._choose(step)
        parts = []
        for number, pool in enumerate(self.pools):
            chosen = np.flatnonzero(which == number)
            parts.append((chosen, self._read(pool, index[chosen], step, f"crop-{number}")))
        batch = parts[0][1] if len(parts) == 1 else _interleave(parts, clips)
        batch = augment(batch, self.augmentations, lambda name: self._draw(name, step))
        return batch.x, batch.y

    def crop_length(self, step: int) -> int:
        """Frames or samples of the crops of a global step."""
        if isinstance(self.crop, int):
            return self.crop
        return self.crop[int(generator(self.seed, "crop length", step).integers(len(self.crop)))]

    def _draw(self, purpose: str, step: int) -> np.random.Generator:
        shared = self.view == 0 or purpose in ("order", "clips")
        name = self.name if shared else f"{self.name}/view-{self.view}"
        return generator(self.seed, f"{name}/{purpose}", step)

    def _pass(self, number: int) -> np.ndarray:
        return self._draw("order", number).permutation(len(self.pools[0].rows))

    def _choose(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Pool number and index in the pool of 2B clips: the batch, then its mixup partners."""
        rng = self._draw("clips", step)
        clips = 2 * self.batch_size
        sizes = np.array([len(pool.rows) for pool in self.pools])
        which = rng.integers(0, len(self.pools), clips)
        share = rng.random(clips)
        index = np.floor(share * sizes[which]).astype(np.int64)
        if self.partners == "uniform":
            ends = np.cumsum(sizes)
            place = np.floor(share[self.batch_size :] * ends[-1]).astype(np.int64)
            which[self.batch_size :] = pool = np.searchsorted(ends, place, side="right")
            index[self.batch_size :] = place - (ends - sizes)[pool]
        if len(self.pools) == 1:
            place = step * self.batch_size + np.arange(self.batch_size)
            passes, offset = np.divmod(place, sizes[0])
            index[: self.batch_size] = [self._order(int(p))[o] for p, o in zip(passes, offset, strict=True)]
        return which, index

    def _read(self, pool: Pool, index: np.ndarray, step: int, purpose: str) -> Batch:
        rows = pool.rows[index]
        lengths = pool.bank.lengths[rows]
        rates = playback_rates(len(rows), self.augmentations, lambda name: self._draw(f"{purpose}/{name}", step))
        if rates is not None:
            lengths = np.floor(lengths * rates).astype(np.int64)
        is_mel = bool(pool.bank.tail)
        crop = self.crop_length(step)
        starts = crop_starts(lengths, crop, self._draw(purpose, step), border=0 if is_mel else crop // 2)
        if rates is None or len(rows) == 0:
            x = pool.bank.crop(rows, starts, crop, self.padding)
        else:
            x = pool.bank.crop_at_rate(rows, starts, crop, rates, self.padding)
        device = pool.bank.device
        if self.padding == "repeat":  # the clip fills the crop
            starts, lengths = np.zeros_like(starts), np.full_like(lengths, crop)
        return Batch(x, pool.targets[on_device(index, device)], -starts, lengths - starts)


def crop_starts(lengths: np.ndarray, crop: int, rng: np.random.Generator, *, border: int) -> np.ndarray:
    """(B,) positions at which crops begin, of clips with padding of `border` on both sides; negative: in the padding.

    A clip that is shorter than the crop, with its border, lies at a random place in padding.
    """
    room = lengths + 2 * border - crop
    offset = np.floor(rng.random(len(lengths)) * (np.abs(room) + 1)).astype(np.int64)
    starts: np.ndarray = np.where(room >= 0, offset, -offset) - border
    return starts


def _interleave(parts: list[tuple[np.ndarray, Batch]], clips: int) -> Batch:
    """Restore the order in which the clips of several pools were drawn."""
    order = np.argsort(np.concatenate([chosen for chosen, _ in parts]))
    assert len(order) == clips
    batches = [batch for _, batch in parts]
    there = on_device(order, batches[0].x.device)
    return Batch(
        torch.cat([batch.x for batch in batches])[there],
        torch.cat([batch.y for batch in batches])[there],
        np.concatenate([batch.start for batch in batches])[order],
        np.concatenate([batch.stop for batch in batches])[order],
    )
