"""Augmentations of mel power, (B, T, n_mels), with the values of docs/paper.md, Augmentation.

`scale`, which works on both inputs, is in `augment_waveform.py`. The authors tried `time_warp`, `noise`, `time_mask`
and `scale` on mel and found them worse; the paper has no values for these, so the defaults are ours. Names that end in
`_released` or `_centred` reproduce the released code. Defaults and bounds are declared in `trainers.registry`.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from trainers.batch import Batch, column, on_device

__all__ = [
    "additional_crop",
    "additional_crop_released",
    "frequency_mask",
    "frequency_mask_centred",
    "gain",
    "mixup",
    "noise",
    "time_mask",
    "time_warp",
]


def additional_crop(batch: Batch, rng: np.random.Generator, *, p: float, low: float) -> Batch:
    """Keep a random part of low..1 of the crop in time, or of the clip where that is shorter; zeros elsewhere."""
    first, last = batch.inside()
    extent, n = last - first, len(first)
    share = np.where(rng.random(n) < p, rng.uniform(low, 1.0, n), 1.0)
    kept = np.minimum((extent * share).round().clip(1), extent.clip(1)).astype(np.int64)
    start = first + np.floor((extent - kept + 1) * rng.random(n)).astype(np.int64)
    keep = _between(start, start + kept, batch.x.shape[1])  # (B, T)
    return Batch(_masked(batch.x, keep[:, :, None]), batch.y, start, start + kept)


def additional_crop_released(batch: Batch, rng: np.random.Generator, *, p: float, low: float) -> Batch:
    """The released code's additional crop, which does to bands what it should do to frames, if a clip exceeds the crop.

    With r drawn from low..1, or 1 with probability 1 - p, and T frames in the crop:

    - A clip longer than the crop: bands 0 to s - 1 and bands from s + int(r T) on are set to zero, with s uniform in
      0 .. T - int(r T) - 1. From s = n_mels on, nothing is left of the crop. Its labels stay.
    - Another clip, of L frames: a random piece of int(r L) frames is moved to a random place in the crop.
    """
    n, frames, n_mels = batch.x.shape
    length = batch.stop - batch.start
    longer = length > frames
    extent = np.where(longer, frames, length)
    share = np.where(rng.random(n) < p, rng.uniform(low, 1.0, n), 1.0)
    kept = np.floor(extent * share).astype(np.int64)
    first = np.floor((extent - kept) * rng.random(n)).astype(np.int64)  # band of a longer clip, frame of another
    place = np.floor((frames - kept) * rng.random(n)).astype(np.int64)
    source = np.where(longer, 0, batch.start + first - place)[:, None] + np.arange(frames)  # (B, T)
    index = on_device(source.clip(0, frames - 1), batch.x.device)[:, :, None]
    keep_frames = longer[:, None] | _between(place, place + kept, frames)
    keep_bands = ~longer[:, None] | _between(first, first + kept, n_mels)
    x = _masked(torch.take_along_dim(batch.x, index, dim=1), keep_frames[:, :, None] & keep_bands[:, None, :])
    start, stop = np.where(longer, batch.start, place), np.where(longer, batch.stop, place + kept)
    return Batch(x, batch.y, start, stop)


def mixup(batch: Batch, rng: np.random.Generator, *, p: float, alpha: float) -> Batch:
    """Mix power and labels of each clip with its partner's, lambda ~ Beta(alpha, alpha) (Zhang et al. 2018)."""
    clips = len(batch.x) // 2
    own = np.where(rng.random(clips) < p, rng.beta(alpha, alpha, clips), 1.0)
    x, y = (torch.lerp(v[clips:], v[:clips], column(own, v, v.dim())) for v in (batch.x, batch.y))
    start = np.minimum(batch.start[:clips], batch.start[clips:])
    stop = np.maximum(batch.stop[:clips], batch.stop[clips:])
    return Batch(x, y, start, stop)


def time_warp(batch: Batch, rng: np.random.Generator, *, p: float, frames: int) -> Batch:
    """Move a random frame of the clip by up to `frames`; power is resampled linearly on both sides of it.

    SpecAugment's time warping (Park et al. 2019, section 2) along the one axis that it moves: with L the clip's last
    frame and W = min(frames, L / 4), frame c in W..L - W comes to c + d, d in -W..W, and both ends stay where they
    are. The limit of a quarter is ours and keeps short clips from being torn apart. Zeros around a clip stay as they
    are.
    """
    n, length, _ = batch.x.shape
    start, stop = batch.inside()
    last = stop - 1 - start
    reach = np.minimum(frames, np.maximum(last, 0) / 4) * (rng.random(n) < p)
    centre = reach + rng.random(n) * (last - 2 * reach)
    moved = centre + reach * rng.uniform(-1.0, 1.0, n)
    place = np.arange(length) - start[:, None]  # (B, T) frames since the clip's begin
    before, after = np.maximum(moved, 1e-9)[:, None], np.maximum(last - moved, 1e-9)[:, None]
    source = np.where(
        place < moved[:, None],
        place * (centre[:, None] / before),
        last[:, None] - (last[:, None] - place) * ((last - centre)[:, None] / after),
    )
    bent = (reach > 0)[:, None] & (place > 0) & (place < last[:, None])
    source = np.where(bent, source, place) + start[:, None]
    below = np.floor(source).astype(np.int64).clip(0, length - 1)
    index = on_device(below, batch.x.device)[:, :, None]
    share = on_device(source - below, batch.x.device, torch.float32)[:, :, None]
    one, two = (torch.take_along_dim(batch.x, i, dim=1) for i in (index, (index + 1).clamp_max(length - 1)))
    return replace(batch, x=torch.lerp(one, two, share))


def noise(batch: Batch, rng: np.random.Generator, *, p: float, low: float, high: float) -> Batch:
    """Add white noise to the clip's frames, its mean power low..high dB below the mean power of the clip.

    The power of Gaussian noise in an FFT bin is exponentially distributed, and all bands have equal area (Slaney norm)
    and so equal mean power: each frame and band gets an independent exponential draw. Cross terms of clip and
    noise and the smaller spread in bands of several bins are neglected. Padding stays zero and silence gets no noise.
    """
    n, _, n_mels = batch.x.shape
    chosen, snr_db = rng.random(n) < p, rng.uniform(low, high, n)
    level = column(np.where(chosen, 10.0 ** (-snr_db / 10.0), 0.0), batch.x, 1)  # (B,)
    start, stop = batch.inside()
    power = batch.x.sum(dim=(1, 2)) / column(((stop - start) * n_mels).clip(1), batch.x, 1)
    drawn = on_device(rng.standard_exponential(batch.x.shape, dtype=np.float32), batch.x.device)  # (B, T, n_mels)
    scale = (level * power)[:, None] * on_device(_between(start, stop, batch.x.shape[1]), batch.x.device)  # (B, T)
    return replace(batch, x=batch.x + drawn * scale[:, :, None])


def frequency_mask(batch: Batch, rng: np.random.Generator, *, p: float, low: int, high: int) -> Batch:
    """Set a random run of low..high mel bands to zero power (SpecAugment, Park et al. 2019)."""
    n, _, n_mels = batch.x.shape
    return replace(batch, x=_masked(batch.x, _outside_a_run(n, n_mels, rng, p, low, high)[:, None, :]))


def frequency_mask_centred(batch: Batch, rng: np.random.Generator, *, p: float, low: int, high: int) -> Batch:
    """The released code's frequency mask: zero power from w bands below a random centre to w above, w of low..high.

    Bands centre - w .. centre + w - 1, cut off at the edges: up to 2 w bands, twice the paper's.
    """
    n, _, n_mels = batch.x.shape
    reach = rng.integers(low, high, n, endpoint=True) * (rng.random(n) < p)
    centre = rng.integers(0, n_mels, n)
    band = np.arange(n_mels)
    masked = (band >= (centre - reach)[:, None]) & (band < (centre + reach)[:, None])  # (B, n_mels)
    return replace(batch, x=_masked(batch.x, ~masked[:, None, :]))


def time_mask(batch: Batch, rng: np.random.Generator, *, p: float, low: int, high: int) -> Batch:
    """Set a random run of low..high frames of the crop to zero power (SpecAugment, Park et al. 2019).

    The defaults are the shares of a crop of 512 frames that `frequency_mask` takes of 128 bands.
    """
    n, frames, _ = batch.x.shape
    return replace(batch, x=_masked(batch.x, _outside_a_run(n, frames, rng, p, low, high)[:, :, None]))


def gain(batch: Batch, rng: np.random.Generator, *, p: float, low: float, high: float) -> Batch:
    """Multiply the power of a clip by a factor of low..high; the released code's are 0.9..1.1."""
    n = len(batch.x)
    factor = np.where(rng.random(n) < p, rng.uniform(low, high, n), 1.0)
    return replace(batch, x=batch.x * column(factor, batch.x, batch.x.dim()))


def _masked(x: Tensor, keep: np.ndarray) -> Tensor:
    """x (B, T, n_mels) where `keep`, which broadcasts to its shape, and 0 elsewhere."""
    return x * on_device(keep, x.device)


def _outside_a_run(n: int, size: int, rng: np.random.Generator, p: float, low: int, high: int) -> np.ndarray:
    """(n, size) false in a random run of low..high places, all of them if there are fewer; no run with 1 - p."""
    width = rng.integers(low, high, n, endpoint=True).clip(max=size) * (rng.random(n) < p)
    start = np.floor(rng.random(n) * (size - width + 1)).astype(np.int64)
    return ~_between(start, start + width, size)


def _between(start: np.ndarray, stop: np.ndarray, size: int) -> np.ndarray:
    """(B, size) true from start (B,) on and before stop (B,)."""
    place = np.arange(size)
    return (place >= start[:, None]) & (place < stop[:, None])
