"""Augmentations of mel power, (B, T, n_mels), with the values of docs/paper.md, Augmentation.

`scale`, which works on both inputs, is in `augment_waveform.py`. The authors tried `time_warp`, `noise`, `time_mask`
and `scale` on mel and found them worse; the paper has no values for these, so the defaults are ours. Names that end in
`_released` or `_centred` reproduce the released code. Defaults and bounds are declared in `trainers.registry`.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from trainers.batch import Batch, column

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
    offset, kept = _kept_run((batch.stop - batch.start).cpu(), rng, p, low)
    start = batch.start + offset.to(batch.x.device)
    stop = start + kept.to(batch.x.device)
    keep = _between(start, stop, batch.x.shape[1])  # (B, T)
    return replace(batch, x=batch.x * keep[:, :, None], start=start, stop=stop)


def additional_crop_released(batch: Batch, rng: np.random.Generator, *, p: float, low: float) -> Batch:
    """The released code's additional crop: of a clip that fills the crop, a part of the mel bands is kept, not of time.

    A shorter clip is cropped on time, as `additional_crop` does it.
    """
    _, frames, n_mels = batch.x.shape
    extent = (batch.stop - batch.start).cpu()
    fills = extent == frames
    offset, kept = _kept_run(torch.where(fills, n_mels, extent), rng, p, low)
    device = batch.x.device
    start = batch.start + torch.where(fills, 0, offset).to(device)
    stop = start + torch.where(fills, frames, kept).to(device)
    first_band = torch.where(fills, offset, 0).to(device)
    last_band = first_band + torch.where(fills, kept, n_mels).to(device)
    keep = _between(start, stop, frames)[:, :, None] & _between(first_band, last_band, n_mels)[:, None, :]
    return replace(batch, x=batch.x * keep, start=start, stop=stop)


def mixup(batch: Batch, rng: np.random.Generator, *, p: float, alpha: float) -> Batch:
    """Mix power and labels of each clip with its partner's, lambda ~ Beta(alpha, alpha) (Zhang et al. 2018)."""
    clips = len(batch.x) // 2
    own = np.where(rng.random(clips) < p, rng.beta(alpha, alpha, clips), 1.0)
    x, y = (torch.lerp(v[clips:], v[:clips], column(own, v, v.dim())) for v in (batch.x, batch.y))
    start = torch.minimum(batch.start[:clips], batch.start[clips:])
    stop = torch.maximum(batch.stop[:clips], batch.stop[clips:])
    return Batch(x, y, start, stop)


def time_warp(batch: Batch, rng: np.random.Generator, *, p: float, frames: int) -> Batch:
    """Move a random frame of the clip by up to `frames`; power is resampled linearly on both sides of it.

    SpecAugment's time warping (Park et al. 2019, section 2) along the one axis that it moves: with L the clip's last
    frame and W = min(frames, L / 4), frame c in W..L - W comes to c + d, d in -W..W, and both ends stay where they
    are. The limit of a quarter is ours and keeps short clips from being torn apart. Zeros around a clip stay as they
    are.
    """
    n, length, _ = batch.x.shape
    start, last = batch.start.cpu().numpy(), (batch.stop - 1 - batch.start).cpu().numpy()
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
    index = torch.as_tensor(below).to(batch.x.device, non_blocking=True)[:, :, None]
    share = torch.as_tensor(source - below, dtype=torch.float32).to(batch.x.device, non_blocking=True)[:, :, None]
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
    power = batch.x.sum(dim=(1, 2)) / ((batch.stop - batch.start) * n_mels).clamp_min(1)
    drawn = torch.as_tensor(rng.standard_exponential(batch.x.shape, dtype=np.float32))  # (B, T, n_mels)
    inside = _between(batch.start, batch.stop, batch.x.shape[1])  # (B, T)
    scale = (level * power)[:, None] * inside
    return replace(batch, x=batch.x + drawn.to(batch.x.device, non_blocking=True) * scale[:, :, None])


def frequency_mask(batch: Batch, rng: np.random.Generator, *, p: float, low: int, high: int) -> Batch:
    """Set a random run of low..high mel bands to zero power (SpecAugment, Park et al. 2019)."""
    n, _, n_mels = batch.x.shape
    keep = _outside_a_run(n, n_mels, rng, p, low, high).to(batch.x.device, non_blocking=True)
    return replace(batch, x=batch.x * keep[:, None, :])


def frequency_mask_centred(batch: Batch, rng: np.random.Generator, *, p: float, low: int, high: int) -> Batch:
    """The released code's frequency mask: zero power from w bands below a random centre to w above, w of low..high.

    Bands centre - w .. centre + w - 1, cut off at the edges: up to 2 w bands, twice the paper's.
    """
    n, _, n_mels = batch.x.shape
    reach = rng.integers(low, high, n, endpoint=True) * (rng.random(n) < p)
    centre = rng.integers(0, n_mels, n)
    band = np.arange(n_mels)
    masked = (band >= (centre - reach)[:, None]) & (band < (centre + reach)[:, None])  # (B, n_mels)
    keep = torch.as_tensor(~masked).to(batch.x.device, non_blocking=True)
    return replace(batch, x=batch.x * keep[:, None, :])


def time_mask(batch: Batch, rng: np.random.Generator, *, p: float, low: int, high: int) -> Batch:
    """Set a random run of low..high frames of the crop to zero power (SpecAugment, Park et al. 2019).

    The defaults are the shares of a crop of 512 frames that `frequency_mask` takes of 128 bands.
    """
    n, frames, _ = batch.x.shape
    keep = _outside_a_run(n, frames, rng, p, low, high).to(batch.x.device, non_blocking=True)
    return replace(batch, x=batch.x * keep[:, :, None])


def gain(batch: Batch, rng: np.random.Generator, *, p: float, low: float, high: float) -> Batch:
    """Multiply the power of a clip by a factor of low..high; the released code's are 0.9..1.1."""
    n = len(batch.x)
    factor = np.where(rng.random(n) < p, rng.uniform(low, high, n), 1.0)
    return replace(batch, x=batch.x * column(factor, batch.x, batch.x.dim()))


def _kept_run(extent: Tensor, rng: np.random.Generator, p: float, low: float) -> tuple[Tensor, Tensor]:
    """(B,) begin and length of a random run of low..1 of each extent, at least 1; with 1 - p the whole extent."""
    n = len(extent)
    share = torch.as_tensor(np.where(rng.random(n) < p, rng.uniform(low, 1.0, n), 1.0), dtype=torch.float64)
    place = torch.as_tensor(rng.random(n), dtype=torch.float64)
    kept = (extent * share).round().clamp_min(1).minimum(extent.clamp_min(1)).long()
    return ((extent - kept + 1) * place).floor().long(), kept


def _outside_a_run(n: int, size: int, rng: np.random.Generator, p: float, low: int, high: int) -> Tensor:
    """(n, size) false in a random run of low..high places, all of them if there are fewer; no run with 1 - p."""
    width = rng.integers(low, high, n, endpoint=True).clip(max=size) * (rng.random(n) < p)
    start = np.floor(rng.random(n) * (size - width + 1)).astype(np.int64)
    place = np.arange(size)
    return torch.as_tensor((place < start[:, None]) | (place >= (start + width)[:, None]))


def _between(start: Tensor, stop: Tensor, size: int) -> Tensor:
    """(B, size) true from start (B,) on and before stop (B,)."""
    place = torch.arange(size, device=start.device)
    return (place >= start[:, None]) & (place < stop[:, None])
