"""Augmentations of samples in [-1, 1], (B, S), and `scale`, which also works on mel (docs/paper.md, Augmentation)."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from trainers.batch import Change, Layout, column

__all__ = ["bc_mix", "bc_mix_released", "gain_db", "loudest_window_db", "scale"]


def scale(clips: int, rng: np.random.Generator, *, factor: float) -> np.ndarray:
    """Play at a rate that makes the clip factor^U(-1, 1) times as long, nearest neighbour.

    Changes time and pitch of samples. On mel, where the authors found it worse, only the frames move; bands stay.
    """
    rates: np.ndarray = factor ** rng.uniform(-1.0, 1.0, clips)
    return rates


def bc_mix(layout: Layout, rng: np.random.Generator, *, p: float) -> Change:
    """Between-class mixing (Tokozume et al. 2018, eq. 2): the ratio corrects for the loudness of both clips.

    t = 1 / (1 + 10^((G1 - G2) / 20) (1 - r) / r), x = (t x1 + (1 - t) x2) / sqrt(t^2 + (1 - t)^2), labels mixed by r.
    """
    clips = layout.shape[0] // 2
    drawn = rng.uniform(0.0, 1.0, clips)
    own = np.where(rng.random(clips) < p, drawn, 1.0).astype(np.float32)

    def apply(x: Tensor, y: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        ratio = column(own, 2)  # (B, 1)
        gain_db = loudest_window_db(x)
        balance = 10.0 ** ((gain_db[:clips] - gain_db[clips:]) / 20.0)[:, None]
        t = ratio / (ratio + balance * (1.0 - ratio))
        mixed = (t * x[:clips] + (1.0 - t) * x[clips:]) / torch.sqrt(t**2 + (1.0 - t) ** 2)
        return mixed, torch.lerp(y[clips:], y[:clips], ratio)

    start = np.minimum(layout.start[:clips], layout.start[clips:])
    stop = np.maximum(layout.stop[:clips], layout.stop[clips:])
    return Change(Layout((clips, *layout.shape[1:]), start, stop), apply, (own,))


def loudest_window_db(x: Tensor, window_samples: int = 4096, floor_db: float = -80.0) -> Tensor:
    """(B,) level of the loudest window by its root mean square, half overlapping windows, (B, S) samples."""
    window = min(window_samples, x.shape[1])
    power = F.avg_pool1d(x[:, None] ** 2, window, stride=max(1, window // 2))  # (B, 1, windows)
    level: Tensor = 10.0 * torch.log10(power.amax(dim=(1, 2)).clamp_min(10.0 ** (floor_db / 10.0)))
    return level


def bc_mix_released(layout: Layout, rng: np.random.Generator, *, p: float) -> Change:
    """The released code's `bc_mix`: the clip is mixed with itself, its labels with the partner's.

    Both clips are equally loud then, so t = r and x becomes x / sqrt(r^2 + (1 - r)^2): only the level changes.
    """
    clips = layout.shape[0] // 2
    drawn = rng.uniform(0.0, 1.0, clips)
    own = np.where(rng.random(clips) < p, drawn, 1.0).astype(np.float32)

    def apply(x: Tensor, y: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        ratio = column(own, 2)  # (B, 1)
        alone = x[:clips] / torch.sqrt(ratio**2 + (1.0 - ratio) ** 2)
        return alone, torch.lerp(y[clips:], y[:clips], ratio)

    return Change(layout.first(clips), apply, (own,))


def gain_db(layout: Layout, rng: np.random.Generator, *, p: float, range_db: float) -> Change:
    """Change the level of a clip by -range_db..range_db."""
    n = layout.shape[0]
    level = np.where(rng.random(n) < p, rng.uniform(-range_db, range_db, n), 0.0)
    factor = (10.0 ** (level / 20.0)).astype(np.float32)
    return Change(layout, lambda x, y, factor: (x * column(factor, x.dim()), y), (factor,))
