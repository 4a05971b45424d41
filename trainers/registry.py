"""Names, parameters and descriptions of every augmentation and loss, without their code.

Grids are checked against these declarations, so reading one does not import torch. The functions are attached by name.

To add an augmentation, declare it in `AUGMENTATIONS` and write a function of that name, with the declared parameters
as keyword-only arguments, in `augment_mel.py` or `augment_waveform.py`. To add a loss, declare it in `LOSSES` and write
its function in `losses.py`. Semi-supervised methods are declared by their settings (`trainers.settings`) and
implemented in `semi.py`. A test checks that declarations and functions agree.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

__all__ = [
    "AUGMENTATIONS",
    "LOSSES",
    "Activation",
    "Augmentation",
    "Augmentations",
    "LossEntry",
    "Parameter",
    "Stage",
    "resolve_augmentations",
]

Activation = Literal["sigmoid", "softmax"]
Stage = Literal["read", "before_mix", "mix", "after_mix"]
"""When an augmentation is applied: as clips are cropped, to clips and their mixup partners, to mix them, after that."""
Augmentations = dict[str, dict[str, int | float]]
"""Augmentation -> parameter -> value."""

WIDEST = 1e6


@dataclass(frozen=True)
class Parameter:
    """A number that a grid may set."""

    default: int | float
    """An int accepts only whole numbers."""
    description: str
    low: float = 0.0
    high: float = WIDEST


@dataclass(frozen=True)
class Augmentation:
    """A declared augmentation: the inputs it works on, its stage, what it does, and its parameters."""

    inputs: tuple[Literal["mel", "waveform"], ...]
    stage: Stage
    description: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)

    @property
    def defaults(self) -> dict[str, int | float]:
        """Default of each parameter."""
        return {name: parameter.default for name, parameter in self.parameters.items()}


@dataclass(frozen=True)
class LossEntry:
    """A declared loss, and the activation that its head must have, if it matters."""

    description: str
    needs: Activation | None = None


def _chance(default: float) -> Parameter:
    return Parameter(default, "probability of applying it to a clip", 0.0, 1.0)


HALF, ALWAYS = _chance(0.5), _chance(1.0)
SMALLEST_PART = Parameter(0.25, "smallest part that is kept", 0.0, 1.0)

AUGMENTATIONS: dict[str, Augmentation] = {
    "additional_crop": Augmentation(
        ("mel",),
        "before_mix",
        "keep a random part of the crop in time, or of the clip where that is shorter; zeros elsewhere",
        {"p": HALF, "low": SMALLEST_PART},
    ),
    "additional_crop_released": Augmentation(
        ("mel",),
        "before_mix",
        "the released code's additional crop, which cuts mel bands of clips that fill the crop",
        {"p": HALF, "low": SMALLEST_PART},
    ),
    "mixup": Augmentation(
        ("mel",),
        "mix",
        "mix power and labels with those of another clip (Zhang et al. 2018)",
        {"p": HALF, "alpha": Parameter(1.0, "the ratio is drawn from Beta(alpha, alpha)", 1e-3, 1e3)},
    ),
    "time_warp": Augmentation(
        ("mel",),
        "after_mix",
        "move a random frame and stretch the clip on both sides of it (SpecAugment, Park et al. 2019)",
        {"p": HALF, "frames": Parameter(80, "largest distance it moves")},
    ),
    "noise": Augmentation(
        ("mel",),
        "after_mix",
        "add white noise to the frames of the clip",
        {
            "p": HALF,
            "low": Parameter(10.0, "smallest signal-to-noise ratio, dB", -100.0, 200.0),
            "high": Parameter(40.0, "largest signal-to-noise ratio, dB", -100.0, 200.0),
        },
    ),
    "frequency_mask": Augmentation(
        ("mel",),
        "after_mix",
        "set a random run of mel bands to zero power (SpecAugment)",
        {"p": HALF, "low": Parameter(8, "fewest bands"), "high": Parameter(32, "most bands")},
    ),
    "frequency_mask_centred": Augmentation(
        ("mel",),
        "after_mix",
        "the released code's frequency mask: bands around a random centre, cut off at the edges",
        {
            "p": HALF,
            "low": Parameter(8, "fewest bands on either side of the centre"),
            "high": Parameter(31, "most bands on either side of the centre"),
        },
    ),
    "time_mask": Augmentation(
        ("mel",),
        "after_mix",
        "set a random run of frames to zero power (SpecAugment)",
        {"p": HALF, "low": Parameter(32, "fewest frames"), "high": Parameter(128, "most frames")},
    ),
    "gain": Augmentation(
        ("mel",),
        "after_mix",
        "multiply the power of a clip by a random factor",
        {
            "p": HALF,
            "low": Parameter(0.8, "smallest factor", 0.0, 1e3),
            "high": Parameter(1.2, "largest factor", 0.0, 1e3),
        },
    ),
    "scale": Augmentation(
        ("waveform", "mel"),
        "read",
        "play a clip faster or slower, factor^U(-1, 1) times as long; also changes the pitch of waveforms",
        {"factor": Parameter(1.25, "largest factor", 0.1, 10.0)},
    ),
    "bc_mix": Augmentation(
        ("waveform",),
        "mix",
        "between-class mixing: mix by loudness, labels by the drawn ratio (Tokozume et al. 2018)",
        {"p": ALWAYS},
    ),
    "bc_mix_released": Augmentation(
        ("waveform",),
        "mix",
        "the released code's bc_mix: mixes a clip with itself, but its labels with the partner's",
        {"p": ALWAYS},
    ),
    "gain_db": Augmentation(
        ("waveform",),
        "after_mix",
        "change the level of a clip by a random number of decibels",
        {"p": ALWAYS, "range_db": Parameter(6.0, "largest change up or down, dB", 0.0, 100.0)},
    ),
}
"""In the order of application within a stage."""

LOSSES: dict[str, LossEntry] = {
    "bce": LossEntry("binary cross-entropy, mean over clips and classes"),
    "bce_twice": LossEntry(
        "the released code's binary cross-entropy, which applies the sigmoid twice", needs="sigmoid"
    ),
    "kl": LossEntry(
        "Kullback-Leibler divergence of the labels, scaled to sum 1, from the scores; mean over clips (BC learning)",
        needs="softmax",
    ),
    "kl_mean": LossEntry(
        "the released code's Kullback-Leibler divergence: of the labels as they are; mean over clips and classes",
        needs="softmax",
    ),
    "mse": LossEntry("mean squared error of the scores, mean over clips and classes"),
}


def resolve_augmentations(chosen: Mapping[str, Mapping[str, Any]]) -> Augmentations:
    """Fill in the defaults of the chosen augmentations, in the order of application.

    Raises:
        ValueError: an unknown augmentation or parameter, a value that is not a number or out of range, or two
            augmentations of a stage that takes one.
    """
    resolved: Augmentations = {}
    for name, given in chosen.items():
        if name not in AUGMENTATIONS:
            raise ValueError(f"'{name}' is not an augmentation; there are {', '.join(AUGMENTATIONS)}")
        parameters = AUGMENTATIONS[name].parameters
        for key, value in given.items():
            if key not in parameters:
                raise ValueError(f"'{name}.{key}' is not a parameter; there are {', '.join(parameters)}")
            _check_number(name, key, value, parameters[key])
        resolved[name] = {key: type(p.default)(given.get(key, p.default)) for key, p in parameters.items()}
        low, high = resolved[name].get("low", -math.inf), resolved[name].get("high", math.inf)
        if low > high:
            raise ValueError(f"'{name}.low' {low} is above '{name}.high' {high}")
    for stage in ("read", "mix"):
        rivals = [name for name in resolved if AUGMENTATIONS[name].stage == stage]
        if len(rivals) > 1:
            raise ValueError(f"{' and '.join(rivals)} exclude each other; choose one of them")
    order = sorted(AUGMENTATIONS, key=lambda name: get_args(Stage).index(AUGMENTATIONS[name].stage))
    return {name: resolved[name] for name in order if name in resolved}


def _check_number(name: str, key: str, value: Any, parameter: Parameter) -> None:
    whole = isinstance(parameter.default, int)
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
    if not parameter.low <= value <= parameter.high:
        raise ValueError(f"'{name}.{key}' must lie in {parameter.low:g}..{parameter.high:g}, not {value!r}")
