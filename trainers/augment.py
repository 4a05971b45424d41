"""The pipeline of augmentations: batched on the device, drawn on the CPU from (seed, stream, name, step).

Each augmentation is a declaration in `trainers.registry` and a function of the same name in `augment_mel.py` or
`augment_waveform.py`, whose keyword-only arguments are the declared parameters. They are applied stage by stage, in the
order of declaration. A batch arrives with its mixup partners behind it, (2B, ...): `before_mix` functions see all 2B
clips, a `mix` function folds them to B, `after_mix` functions see B. A `read` function draws the playback rate at which
clips are cropped. There is at most one `read` and one `mix` function.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from trainers import augment_mel, augment_waveform
from trainers.batch import Batch
from trainers.registry import AUGMENTATIONS, Augmentations

__all__ = ["FUNCTIONS", "augment", "playback_rates"]

FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: function
    for module in (augment_mel, augment_waveform)
    for name, function in vars(module).items()
    if name in AUGMENTATIONS
}
"""The function of every augmentation, by its declared name."""


def augment(batch: Batch, chosen: Augmentations, draw: Callable[[str], np.random.Generator]) -> Batch:
    """Apply the chosen augmentations to a batch of 2B clips; returns B, mixed or not."""
    clips = len(batch.x) // 2
    mixed = False
    for name, parameters in chosen.items():
        stage = AUGMENTATIONS[name].stage
        if stage == "read":
            continue
        if stage == "after_mix" and not mixed:
            batch, mixed = _first(batch, clips), True
        batch = FUNCTIONS[name](batch, draw(name), **parameters)
        mixed = mixed or stage == "mix"
    return batch if mixed else _first(batch, clips)


def playback_rates(clips: int, chosen: Augmentations, draw: Callable[[str], np.random.Generator]) -> np.ndarray | None:
    """(clips,) factors by which clips get longer when they are read; None if no augmentation changes them."""
    for name, parameters in chosen.items():
        if AUGMENTATIONS[name].stage == "read":
            rates: np.ndarray = FUNCTIONS[name](clips, draw(name), **parameters)
            return rates
    return None


def _first(batch: Batch, clips: int) -> Batch:
    return Batch(batch.x[:clips], batch.y[:clips], batch.start[:clips], batch.stop[:clips])
