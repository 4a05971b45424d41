"""Augmentations, batched on the device; parameters are drawn on the CPU from (seed, stream, name, step).

Each is one function, registered with one decorator line: its keyword-only parameters and their defaults are the
settings a grid may give; they are applied stage by stage, in the order of registration. A batch arrives with its mixup
partners behind it, (2B, ...): `before_mix` functions see all 2B clips, a `mix` function folds them to B, `after_mix`
functions see B. A `read` function draws the playback rate at which clips are cropped.

Mel augmentations act on power, (B, T, n_mels); waveform ones on samples in [-1, 1], (B, S). Values: recipe,
Augmentation.
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["AUGMENTATIONS", "Augmentation", "Batch", "augment", "playback_rates", "resolve_augmentations"]

Stage = Literal["read", "before_mix", "mix", "after_mix"]


@dataclass(frozen=True)
class Batch:
    """Clips of one stream on the way to the network."""

    x: Tensor
    """(B, T, n_mels) power or (B, S) samples."""
    y: Tensor
    """(B, C) labels in [0, 1]."""
    start: Tensor
    """(B,) first position of x that lies in the clip."""
    stop: Tensor
    """(B,) first position of x after the clip."""


@dataclass(frozen=True)
class Augmentation:
    """A registered function, the inputs it is made for, its stage and its parameters' defaults."""

    apply: Callable[..., Any]
    inputs: tuple[str, ...]
    stage: Stage
    defaults: dict[str, Any]


AUGMENTATIONS: dict[str, Augmentation] = {}


def register(name: str, inputs: tuple[str, ...], stage: Stage) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a function known to grids under a name; its keyword-only parameters become settings."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        parameters = inspect.signature(function).parameters.values()
        defaults = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
        AUGMENTATIONS[name] = Augmentation(function, inputs, stage, defaults)
        return function

    return add


def resolve_augmentations(chosen: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Fill in the defaults of the chosen augmentations, in the order of application.

    Raises:
        ValueError: an unknown augmentation or parameter, or a value that is no number or out of range.
    """
    resolved = {}
    for name, parameters in chosen.items():
        if name not in AUGMENTATIONS:
            raise ValueError(f"'{name}' is not an augmentation; there are {', '.join(AUGMENTATIONS)}")
        defaults = AUGMENTATIONS[name].defaults
        for key, value in parameters.items():
            if key not in defaults:
                raise ValueError(f"'{name}.{key}' is not a parameter; there are {', '.join(defaults)}")
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ValueError(f"'{name}.{key}' must be a number, not {value!r}")
            if not math.isfinite(value):
                raise ValueError(f"'{name}.{key}' must be a finite number, not {value!r}")
            if isinstance(defaults[key], int) and value != int(value):
                raise ValueError(f"'{name}.{key}' must be a whole number, not {value!r}")
        resolved[name] = {key: type(default)(parameters.get(key, default)) for key, default in defaults.items()}
        if not 0 <= resolved[name].get("p", 1.0) <= 1:
            raise ValueError(f"'{name}.p' is a probability and must lie in 0..1, not {resolved[name]['p']}")
        low, high = resolved[name].get("low", -math.inf), resolved[name].get("high", math.inf)
        if low > high:
            raise ValueError(f"'{name}.low' {low} is above '{name}.high' {high}")
    order = sorted(AUGMENTATIONS, key=lambda name: get_args(Stage).index(AUGMENTATIONS[name].stage))
    return {name: resolved[name] for name in order if name in resolved}


def augment(batch: Batch, chosen: dict[str, dict[str, Any]], draw: Callable[[str], np.random.Generator]) -> Batch:
    """Apply the chosen augmentations to a batch of 2B clips; the result has B, mixed or not."""
    clips = len(batch.x) // 2
    mixed = False
    for name, parameters in chosen.items():
        augmentation = AUGMENTATIONS[name]
        if augmentation.stage == "read":
            continue
        if augmentation.stage == "after_mix" and not mixed:
            batch, mixed = _first(batch, clips), True
        batch = augmentation.apply(batch, draw(name), **parameters)
        mixed = mixed or augmentation.stage == "mix"
    return batch if mixed else _first(batch, clips)


def playback_rates(
    clips: int, chosen: dict[str, dict[str, Any]], draw: Callable[[str], np.random.Generator]
) -> np.ndarray | None:
    """(clips,) factors by which clips get longer when they are read; None if nothing changes them."""
    for name, parameters in chosen.items():
        if AUGMENTATIONS[name].stage == "read":
            rates: np.ndarray = AUGMENTATIONS[name].apply(clips, draw(name), **parameters)
            return rates
    return None


def _first(batch: Batch, clips: int) -> Batch:
    return Batch(batch.x[:clips], batch.y[:clips], batch.start[:clips], batch.stop[:clips])


def _column(values: np.ndarray, like: Tensor, dims: int) -> Tensor:
    """(B,) draws as a tensor (B, 1, ...) of `dims` dimensions on the batch's device."""
    tensor = torch.as_tensor(values, dtype=torch.float32)
    return tensor.to(like.device, non_blocking=True).reshape(-1, *[1] * (dims - 1))


@register("scale", ("waveform",), "read")
def scale(clips: int, rng: np.random.Generator, *, factor: float = 1.25) -> np.ndarray:
    """Time and pitch: play at a rate that makes the clip factor^U(-1, 1) times as long, nearest neighbour."""
    rates: np.ndarray = factor ** rng.uniform(-1.0, 1.0, clips)
    return rates


@register("additional_crop", ("mel",), "before_mix")
def additional_crop(batch: Batch, rng: np.random.Generator, *, p: float = 0.5, low: float = 0.25) -> Batch:
    """Keep a random part of low..1 of the crop, or of the clip when it is shorter; zeros elsewhere in time."""
    n = len(batch.x)
    share = torch.as_tensor(np.where(rng.random(n) < p, rng.uniform(low, 1.0, n), 1.0), dtype=torch.float64)
    place = torch.as_tensor(rng.random(n), dtype=torch.float64)
    extent = (batch.stop - batch.start).cpu()
    kept = (extent * share).round().clamp_min(1).minimum(extent.clamp_min(1)).long()
    start = (batch.start.cpu() + ((extent - kept + 1) * place).floor().long()).to(batch.x.device)
    stop = start + kept.to(batch.x.device)
    time = torch.arange(batch.x.shape[1], device=batch.x.device)
    keep = (time >= start[:, None]) & (time < stop[:, None])  # (B, T)
    return replace(batch, x=batch.x * keep[:, :, None], start=start, stop=stop)


@register("mixup", ("mel",), "mix")
def mixup(batch: Batch, rng: np.random.Generator, *, p: float = 0.5, alpha: float = 1.0) -> Batch:
    """Mix power and labels of each clip with its partner's, lambda ~ Beta(alpha, alpha) (Zhang et al. 2018)."""
    clips = len(batch.x) // 2
    own = np.where(rng.random(clips) < p, rng.beta(alpha, alpha, clips), 1.0)
    x, y = (torch.lerp(v[clips:], v[:clips], _column(own, v, v.dim())) for v in (batch.x, batch.y))
    start = torch.minimum(batch.start[:clips], batch.start[clips:])
    stop = torch.maximum(batch.stop[:clips], batch.stop[clips:])
    return Batch(x, y, start, stop)


@register("bc_mix", ("waveform",), "mix")
def bc_mix(batch: Batch, rng: np.random.Generator, *, p: float = 1.0) -> Batch:
    """Between-class mixing (Tokozume et al. 2018, eq. 2): a ratio that hears both clips at their share.

    t = 1 / (1 + 10^((G1 - G2) / 20) (1 - r) / r), x = (t x1 + (1 - t) x2) / sqrt(t^2 + (1 - t)^2), labels mixed by r.
    """
    clips = len(batch.x) // 2
    drawn = rng.uniform(0.0, 1.0, clips)
    ratio = _column(np.where(rng.random(clips) < p, drawn, 1.0), batch.x, 2)  # (B, 1)
    gain_db = loudest_window_db(batch.x)
    balance = 10.0 ** ((gain_db[:clips] - gain_db[clips:]) / 20.0)[:, None]
    t = ratio / (ratio + balance * (1.0 - ratio))
    x = (t * batch.x[:clips] + (1.0 - t) * batch.x[clips:]) / torch.sqrt(t**2 + (1.0 - t) ** 2)
    y = torch.lerp(batch.y[clips:], batch.y[:clips], ratio)
    start = torch.minimum(batch.start[:clips], batch.start[clips:])
    stop = torch.maximum(batch.stop[:clips], batch.stop[clips:])
    return Batch(x, y, start, stop)


def loudest_window_db(x: Tensor, window_samples: int = 4096, floor_db: float = -80.0) -> Tensor:
    """(B,) level of the loudest window by its root mean square, half overlapping windows, (B, S) samples."""
    window = min(window_samples, x.shape[1])
    power = F.avg_pool1d(x[:, None] ** 2, window, stride=max(1, window // 2))  # (B, 1, windows)
    level: Tensor = 10.0 * torch.log10(power.amax(dim=(1, 2)).clamp_min(10.0 ** (floor_db / 10.0)))
    return level


@register("frequency_mask", ("mel",), "after_mix")
def frequency_mask(batch: Batch, rng: np.random.Generator, *, p: float = 0.5, low: int = 8, high: int = 32) -> Batch:
    """Set a random run of low..high mel bands to zero power (SpecAugment, Park et al. 2019)."""
    n, _, n_mels = batch.x.shape
    width = rng.integers(low, high, n, endpoint=True).clip(max=n_mels) * (rng.random(n) < p)
    start = np.floor(rng.random(n) * (n_mels - width + 1)).astype(np.int64)
    band = np.arange(n_mels)
    masked = (band >= start[:, None]) & (band < (start + width)[:, None])  # (B, n_mels)
    keep = torch.as_tensor(~masked).to(batch.x.device, non_blocking=True)
    return replace(batch, x=batch.x * keep[:, None, :])


@register("gain", ("mel",), "after_mix")
def gain(batch: Batch, rng: np.random.Generator, *, p: float = 0.5, low: float = 0.8, high: float = 1.2) -> Batch:
    """Multiply the power of a clip by a factor of low..high."""
    n = len(batch.x)
    factor = np.where(rng.random(n) < p, rng.uniform(low, high, n), 1.0)
    return replace(batch, x=batch.x * _column(factor, batch.x, batch.x.dim()))


@register("gain_db", ("waveform",), "after_mix")
def gain_db(batch: Batch, rng: np.random.Generator, *, p: float = 1.0, range_db: float = 6.0) -> Batch:
    """Change the level of a clip by -range_db..range_db."""
    n = len(batch.x)
    level = np.where(rng.random(n) < p, rng.uniform(-range_db, range_db, n), 0.0)
    return replace(batch, x=batch.x * _column(10.0 ** (level / 20.0), batch.x, batch.x.dim()))
