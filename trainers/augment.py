"""The pipeline of augmentations: batched on the device, drawn on the CPU from (seed, stream, name, step).

Each is one function in `augment_mel.py` or `augment_waveform.py`, registered with one decorator line: its keyword-only
parameters and their defaults are the settings a grid may give; they are applied stage by stage, in the order of
registration. A batch arrives with its mixup partners behind it, (2B, ...): `before_mix` functions see all 2B clips, a
`mix` function folds them to B, `after_mix` functions see B. A `read` function draws the playback rate at which clips
are cropped. There is at most one `read` and one `mix` function.
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "AUGMENTATIONS",
    "Augmentation",
    "Batch",
    "augment",
    "column",
    "playback_rates",
    "register",
    "resolve_augmentations",
]

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

# Of a parameter, by its name or by that of its augmentation too. Beyond them a draw fails, or a batch fills the memory.
BOUNDS = {
    "alpha": (1e-3, 1e3),
    "factor": (0.1, 10.0),
    "range_db": (0.0, 100.0),
    "gain.low": (0.0, 1e3),
    "gain.high": (0.0, 1e3),
    "noise.low": (-100.0, 200.0),
    "noise.high": (-100.0, 200.0),
    "additional_crop.low": (0.0, 1.0),
    "additional_crop_released.low": (0.0, 1.0),
}
WIDEST = 1e6


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
        ValueError: an unknown augmentation or parameter, a value that is no number or out of range, or two
            augmentations of a stage that takes one.
    """
    resolved = {}
    for name, parameters in chosen.items():
        if name not in AUGMENTATIONS:
            raise ValueError(f"'{name}' is not an augmentation; there are {', '.join(AUGMENTATIONS)}")
        defaults = AUGMENTATIONS[name].defaults
        for key, value in parameters.items():
            if key not in defaults:
                raise ValueError(f"'{name}.{key}' is not a parameter; there are {', '.join(defaults)}")
            _check_number(name, key, value, whole=isinstance(defaults[key], int))
        resolved[name] = {key: type(default)(parameters.get(key, default)) for key, default in defaults.items()}
        low, high = resolved[name].get("low", -math.inf), resolved[name].get("high", math.inf)
        if low > high:
            raise ValueError(f"'{name}.low' {low} is above '{name}.high' {high}")
    for stage in ("read", "mix"):
        rivals = [name for name in resolved if AUGMENTATIONS[name].stage == stage]
        if len(rivals) > 1:
            raise ValueError(f"{' and '.join(rivals)} exclude each other; choose one of them")
    order = sorted(AUGMENTATIONS, key=lambda name: get_args(Stage).index(AUGMENTATIONS[name].stage))
    return {name: resolved[name] for name in order if name in resolved}


def _check_number(name: str, key: str, value: Any, *, whole: bool) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"'{name}.{key}' must be a number, not {value!r}")
    if not -math.inf < value < math.inf:
        raise ValueError(f"'{name}.{key}' must be a finite number, not {value!r}")
    if whole and value != int(value):
        raise ValueError(f"'{name}.{key}' must be a whole number, not {value!r}")
    if whole and value < 0:
        raise ValueError(f"'{name}.{key}' is a width and must not be negative, not {value!r}")
    if key == "p" and not 0 <= value <= 1:
        raise ValueError(f"'{name}.p' is a probability and must lie in 0..1, not {value!r}")
    least, most = BOUNDS.get(f"{name}.{key}", BOUNDS.get(key, (-WIDEST, WIDEST)))
    if not least <= value <= most:
        raise ValueError(f"'{name}.{key}' must lie in {least:g}..{most:g}, not {value!r}")


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


def column(values: np.ndarray, like: Tensor, dims: int) -> Tensor:
    """(B,) draws as a tensor (B, 1, ...) of `dims` dimensions on the batch's device."""
    tensor = torch.as_tensor(values, dtype=torch.float32)
    return tensor.to(like.device, non_blocking=True).reshape(-1, *[1] * (dims - 1))
