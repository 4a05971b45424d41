"""Streams of training batches: which clips a step sees, where they are cropped, how they are augmented.

A stream is endless and stateless: its batch at a step is a function of (seed, stream name, step). Everything is drawn
on the host; then one copy takes to the device what it needs for the batch.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from trainers.augment import changes, playback_rates
from trainers.batch import Layout
from trainers.clips import ClipBank
from trainers.randomness import generator
from trainers.registry import Augmentations
from trainers.settings import Padding
from trainers.transfer import Work

__all__ = ["Labelled", "Pool", "Stream", "crop_starts"]


Partners = Literal["balanced", "uniform"]
Labelled = tuple[Tensor, Tensor]
"""Inputs (B, T, n_mels) or (B, S), and labels (B, C)."""


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

    def batch(self, step: int) -> Labelled:
        """Inputs (B, T, n_mels) or (B, S) and labels (B, C) of a global step."""
        return self._drawn(step).on(self.pools[0].bank.device)

    def _drawn(self, step: int) -> Work[Labelled]:
        which, index = self._choose(step)  # each clip and its mixup partner
        chosen = [np.flatnonzero(which == number) for number in range(len(self.pools))]
        reads = [
            self._read(pool, index[places], step, f"crop-{number}")
            for number, (pool, places) in enumerate(zip(self.pools, chosen, strict=True))
        ]
        read, layout = reads[0] if len(reads) == 1 else _interleave(chosen, reads)
        made = changes(layout, self.augmentations, lambda name: self._draw(name, step))

        def run(*tensors: Tensor) -> Labelled:
            sent = iter(tensors)
            x, y = read.take(sent)
            for change in made:
                x, y = change.take(x, y, sent)
            return x, y

        return Work((*read.arrays, *(array for change in made for array in change.arrays)), run)

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
            for number in range(passes[0], passes[-1] + 1):
                here = passes == number
                index[: self.batch_size][here] = self._order(number)[offset[here]]
        return which, index

    def _read(self, pool: Pool, index: np.ndarray, step: int, purpose: str) -> tuple[Work[Labelled], Layout]:
        rows = pool.rows[index]
        lengths = pool.bank.lengths[rows]
        rates = playback_rates(len(rows), self.augmentations, lambda name: self._draw(f"{purpose}/{name}", step))
        if rates is not None:
            lengths = np.floor(lengths * rates).astype(np.int64)
        is_mel = bool(pool.bank.tail)
        crop = self.crop_length(step)
        starts = crop_starts(lengths, crop, self._draw(purpose, step), border=0 if is_mel else crop // 2)
        if rates is None or len(rows) == 0:
            crops = pool.bank.reading(rows, starts, crop, self.padding)
        else:
            crops = pool.bank.reading_at_rate(rows, starts, crop, rates, self.padding)
        if self.padding == "repeat":  # the clip fills the crop
            starts, lengths = np.zeros_like(starts), np.full_like(lengths, crop)
        read = Work((*crops.arrays, index), lambda *sent: (crops.run(*sent[:-1]), pool.targets[sent[-1]]))
        return read, Layout((len(rows), crop, *pool.bank.tail), -starts, lengths - starts)


def crop_starts(lengths: np.ndarray, crop: int, rng: np.random.Generator, *, border: int) -> np.ndarray:
    """(B,) positions at which crops begin, of clips with padding of `border` on both sides; negative: in the padding.

    A clip that is shorter than the crop, with its border, lies at a random place in padding.
    """
    room = lengths + 2 * border - crop
    offset = np.floor(rng.random(len(lengths)) * (np.abs(room) + 1)).astype(np.int64)
    starts: np.ndarray = np.where(room >= 0, offset, -offset) - border
    return starts


def _interleave(chosen: list[np.ndarray], reads: list[tuple[Work[Labelled], Layout]]) -> tuple[Work[Labelled], Layout]:
    """Restore the order in which the clips of several pools were drawn."""
    order = np.argsort(np.concatenate(chosen))
    layouts = [layout for _, layout in reads]
    start, stop = (
        np.concatenate(ends)[order] for ends in zip(*((each.start, each.stop) for each in layouts), strict=True)
    )

    def run(*tensors: Tensor) -> Labelled:
        sent = iter(tensors)
        parts = [work.take(sent) for work, _ in reads]
        there = next(sent)
        return torch.cat([x for x, _ in parts])[there], torch.cat([y for _, y in parts])[there]

    arrays = (*(array for work, _ in reads for array in work.arrays), order)
    return Work(arrays, run), Layout((len(order), *layouts[0].shape[1:]), start, stop)
