"""The pipeline of augmentations: drawn on the host from (seed, stream, name, step), then batched on the device.

Each augmentation is a declaration in `trainers.registry` and a function of the same name in `augment_mel.py` or
`augment_waveform.py`, whose keyword-only arguments are the declared parameters. It makes its draws for a batch of a
given layout and returns the change, which the device makes later. They are applied stage by stage, in the order of
declaration. A batch arrives with its mixup partners behind it, (2B, ...): `before_mix` functions see all 2B
clips, a `mix` function folds them to B, `after_mix` functions see B. A `read` function draws the playback rate at which
clips are cropped. There is at most one `read` and one `mix` function.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from trainers import augment_mel, augment_waveform
from trainers.batch import Batch, Change, Layout
from trainers.registry import AUGMENTATIONS, Augmentations
from trainers.transfer import send

__all__ = ["FUNCTIONS", "augment", "changes", "playback_rates"]

FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: function
    for module in (augment_mel, augment_waveform)
    for name, function in vars(module).items()
    if name in AUGMENTATIONS
}
"""The function of every augmentation, by its declared name."""


def changes(layout: Layout, chosen: Augmentations, draw: Callable[[str], np.random.Generator]) -> list[Change]:
    """What the chosen augmentations do to a batch of 2B clips, in order; the last layout has B, mixed or not."""
    clips = layout.shape[0] // 2
    made: list[Change] = []
    mixed = False
    for name, parameters in chosen.items():
        stage = AUGMENTATIONS[name].stage
        if stage == "read":
            continue
        if stage == "after_mix" and not mixed:
            made.append(_first(layout, clips))
            layout, mixed = made[-1].layout, True
        made.append(FUNCTIONS[name](layout, draw(name), **parameters))
        layout, mixed = made[-1].layout, mixed or stage == "mix"
    return made if mixed else [*made, _first(layout, clips)]


def augment(batch: Batch, made: Sequence[Change]) -> Batch:
    """A batch with its changes."""
    x, y, layout = batch.x, batch.y, batch.layout
    for change in made:
        x, y = change.apply(x, y, *send(change.arrays, x.device))
        layout = change.layout
    return Batch(x, y, layout.start, layout.stop)


def playback_rates(clips: int, chosen: Augmentations, draw: Callable[[str], np.random.Generator]) -> np.ndarray | None:
    """(clips,) factors by which clips get longer when they are read; None if no augmentation changes them."""
    for name, parameters in chosen.items():
        if AUGMENTATIONS[name].stage == "read":
            rates: np.ndarray = FUNCTIONS[name](clips, draw(name), **parameters)
            return rates
    return None


def _first(layout: Layout, clips: int) -> Change:
    """Drop the mixup partners."""
    return Change(layout.first(clips), lambda x, y: (x[:clips], y[:clips]))
