"""Augmentations of mel power, (B, T, n_mels), with the values of docs/paper.md, Augmentation.

`scale`, which works on both inputs, is in `augment_waveform.py`. The authors tried `time_warp`, `noise`, `time_mask`
and `scale` on mel and found them worse; the paper has no values for these, so the defaults are ours. Names that end in
`_released` or `_centred` reproduce the released code. Defaults and bounds are declared in `trainers.registry`.
"""

import numpy as np
import torch
from torch import Tensor

from trainers.batch import Change, Layout, column

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


def additional_crop(layout: Layout, rng: np.random.Generator, *, p: float, low: float) -> Change:
    """Keep a random part of low..1 of the crop in time, or of the clip where that is shorter; zeros elsewhere."""
    first, last = layout.inside()
    extent, n = last - first, len(first)
    share = np.where(rng.random(n) < p, rng.uniform(low, 1.0, n), 1.0)
    kept = np.minimum((extent * share).round().clip(1), extent.clip(1)).astype(np.int64)
    start = first + np.floor((extent - kept + 1) * rng.random(n)).astype(np.int64)
    keep = _between(start, start + kept, layout.shape[1])  # (B, T)
    return _mask(Layout(layout.shape, start, start + kept), keep[:, :, None])


def additional_crop_released(layout: Layout, rng: np.random.Generator, *, p: float, low: float) -> Change:
    """The released code's additional crop, which does to bands what it should do to frames, if a clip exceeds the crop.

    With r drawn from low..1, or 1 with probability 1 - p, and T frames in the crop:

    - A clip longer than the crop: bands 0 to s - 1 and bands from s + int(r T) on are set to zero, with s uniform in
      0 .. T - int(r T) - 1. From s = n_mels on, nothing is left of the crop. Its labels stay.
    - Another clip, of L frames: a random piece of int(r L) frames is moved to a random place in the crop.
    """
    n, frames, n_mels = layout.shape
    length = layout.stop - layout.start
    longer = length > frames
    extent = np.where(longer, frames, length)
    share = np.where(rng.random(n) < p, rng.uniform(low, 1.0, n), 1.0)
    kept = np.floor(extent * share).astype(np.int64)
    first = np.floor((extent - kept) * rng.random(n)).astype(np.int64)  # band of a longer clip, frame of another
    place = np.floor((frames - kept) * rng.random(n)).astype(np.int64)
    source = np.where(longer, 0, layout.start + first - place)[:, None] + np.arange(frames)  # (B, T)
    keep_frames = longer[:, None] | _between(place, place + kept, frames)
    keep_bands = ~longer[:, None] | _between(first, first + kept, n_mels)

    def apply(x: Tensor, y: Tensor, source: Tensor, frames: Tensor, bands: Tensor) -> tuple[Tensor, Tensor]:
        moved = torch.take_along_dim(x, source[:, :, None], dim=1)
        return moved * (frames[:, :, None] & bands[:, None, :]), y

    start, stop = np.where(longer, layout.start, place), np.where(longer, layout.stop, place + kept)
    return Change(Layout(layout.shape, start, stop), apply, (source.clip(0, frames - 1), keep_frames, keep_bands))


def mixup(layout: Layout, rng: np.random.Generator, *, p: float, alpha: float) -> Change:
    """Mix power and labels of each clip with its partner's, lambda ~ Beta(alpha, alpha) (Zhang et al. 2018)."""
    clips = layout.shape[0] // 2
    own = np.where(rng.random(clips) < p, rng.beta(alpha, alpha, clips), 1.0).astype(np.float32)

    def apply(x: Tensor, y: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        one, two = (torch.lerp(v[clips:], v[:clips], column(own, v.dim())) for v in (x, y))
        return one, two

    start = np.minimum(layout.start[:clips], layout.start[clips:])
    stop = np.maximum(layout.stop[:clips], layout.stop[clips:])
    return Change(Layout((clips, *layout.shape[1:]), start, stop), apply, (own,))


def time_warp(layout: Layout, rng: np.random.Generator, *, p: float, frames: int) -> Change:
    """Move a random frame of the clip by up to `frames`; power is resampled linearly on both sides of it.

    SpecAugment's time warping (Park et al. 2019, section 2) along the one axis that it moves: with L the clip's last
    frame and W = min(frames, L / 4), frame c in W..L - W comes to c + d, d in -W..W, and both ends stay where they
    are. The limit of a quarter is ours and keeps short clips from being torn apart. Zeros around a clip stay as they
    are.
    """
    n, length, _ = layout.shape
    start, stop = layout.inside()
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

    def apply(x: Tensor, y: Tensor, below: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
        index = below[:, :, None]
        one, two = (torch.take_along_dim(x, i, dim=1) for i in (index, (index + 1).clamp_max(length - 1)))
        return torch.lerp(one, two, share[:, :, None]), y

    return Change(layout, apply, (below, (source - below).astype(np.float32)))


def noise(layout: Layout, rng: np.random.Generator, *, p: float, low: float, high: float) -> Change:
    """Add white noise to the clip's frames, its mean power low..high dB below the mean power of the clip.

    The power of Gaussian noise in an FFT bin is exponentially distributed, and all bands have equal area (Slaney norm)
    and so equal mean power: each frame and band gets an independent exponential draw. Cross terms of clip and
    noise and the smaller spread in bands of several bins are neglected. Padding stays zero and silence gets no noise.
    """
    n, frames, n_mels = layout.shape
    chosen, snr_db = rng.random(n) < p, rng.uniform(low, high, n)
    level = np.where(chosen, 10.0 ** (-snr_db / 10.0), 0.0).astype(np.float32)  # (B,)
    start, stop = layout.inside()
    values = ((stop - start) * n_mels).clip(1).astype(np.float32)  # (B,)
    drawn = rng.standard_exponential(layout.shape, dtype=np.float32)  # (B, T, n_mels)

    def apply(
        x: Tensor, y: Tensor, level: Tensor, values: Tensor, inside: Tensor, drawn: Tensor
    ) -> tuple[Tensor, Tensor]:
        power = x.sum(dim=(1, 2)) / values
        scale = (level * power)[:, None] * inside  # (B, T)
        return x + drawn * scale[:, :, None], y

    return Change(layout, apply, (level, values, _between(start, stop, frames), drawn))


def frequency_mask(layout: Layout, rng: np.random.Generator, *, p: float, low: int, high: int) -> Change:
    """Set a random run of low..high mel bands to zero power (SpecAugment, Park et al. 2019)."""
    n, _, n_mels = layout.shape
    return _mask(layout, _outside_a_run(n, n_mels, rng, p, low, high)[:, None, :])


def frequency_mask_centred(layout: Layout, rng: np.random.Generator, *, p: float, low: int, high: int) -> Change:
    """The released code's frequency mask: zero power from w bands below a random centre to w above, w of low..high.

    Bands centre - w .. centre + w - 1, cut off at the edges: up to 2 w bands, twice the paper's.
    """
    n, _, n_mels = layout.shape
    reach = rng.integers(low, high, n, endpoint=True) * (rng.random(n) < p)
    centre = rng.integers(0, n_mels, n)
    band = np.arange(n_mels)
    masked = (band >= (centre - reach)[:, None]) & (band < (centre + reach)[:, None])  # (B, n_mels)
    return _mask(layout, ~masked[:, None, :])


def time_mask(layout: Layout, rng: np.random.Generator, *, p: float, low: int, high: int) -> Change:
    """Set a random run of low..high frames of the crop to zero power (SpecAugment, Park et al. 2019).

    The defaults are the shares of a crop of 512 frames that `frequency_mask` takes of 128 bands.
    """
    n, frames, _ = layout.shape
    return _mask(layout, _outside_a_run(n, frames, rng, p, low, high)[:, :, None])


def gain(layout: Layout, rng: np.random.Generator, *, p: float, low: float, high: float) -> Change:
    """Multiply the power of a clip by a factor of low..high; the released code's are 0.9..1.1."""
    n = layout.shape[0]
    factor = np.where(rng.random(n) < p, rng.uniform(low, high, n), 1.0).astype(np.float32)
    return Change(layout, lambda x, y, factor: (x * column(factor, x.dim()), y), (factor,))


def _mask(layout: Layout, keep: np.ndarray) -> Change:
    """Zero power where not `keep`, which broadcasts to (B, T, n_mels)."""
    return Change(layout, lambda x, y, keep: (x * keep, y), (keep,))


def _outside_a_run(n: int, size: int, rng: np.random.Generator, p: float, low: int, high: int) -> np.ndarray:
    """(n, size) false in a random run of low..high places, all of them if there are fewer; no run with 1 - p."""
    width = rng.integers(low, high, n, endpoint=True).clip(max=size) * (rng.random(n) < p)
    start = np.floor(rng.random(n) * (size - width + 1)).astype(np.int64)
    return ~_between(start, start + width, size)


def _between(start: np.ndarray, stop: np.ndarray, size: int) -> np.ndarray:
    """(B, size) true from start (B,) on and before stop (B,)."""
    place = np.arange(size)
    return (place >= start[:, None]) & (place < stop[:, None])
