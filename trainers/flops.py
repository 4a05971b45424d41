"""The cost of training and prediction: floating-point operations and bytes, from counts on the networks.

Imports no torch, unless a count is not known yet (`trainers.counted`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from statistics import fmean

import numpy as np

from trainers.counted import counted
from trainers.groups import WHOLE, batches, windows
from trainers.schedule import steps_per_epoch
from trainers.settings import NetworkSettings, ReadSettings, TrainSettings

__all__ = [
    "Clips", "CropFlops", "checkpoint_bytes", "clip_flops", "crop_flops", "head_flops", "prediction_flops",
    "snapshot_bytes", "training_flops",
]  # fmt: skip

MOMENTS = {"adam": 2, "adamw": 2, "sgd": 1}
"""Values that an optimizer keeps per parameter."""
KNOT_RATIO = 5
"""Ratio of neighbouring lengths at which whole clips are counted."""


@dataclass(frozen=True)
class CropFlops:
    """Operations per clip of a batch."""

    forward: int
    backward: int

    @property
    def both(self) -> int:
        """Operations of a training step."""
        return self.forward + self.backward


@dataclass(frozen=True, eq=False)
class Clips:
    """A set of clips. Use one object for the same clips: counts are cached by identity."""

    lengths: np.ndarray
    """(N,) frames or samples."""


@cache
def crop_flops(network: NetworkSettings, classes: int, length: int, n_mels: int | None) -> CropFlops:
    """Operations of a training crop through trunk and one head.

    Args:
        network: its settings.
        classes: outputs.
        length: frames or samples.
        n_mels: bands of a frame; None for samples.
    """
    forward, backward = counted("crop", network, classes, length, n_mels)
    return CropFlops(forward, backward)


def clip_flops(network: NetworkSettings, n_mels: int | None, lengths: np.ndarray) -> np.ndarray:
    """Operations of whole clips through the trunk in evaluation, (N,) for lengths (N,) in frames or samples.

    They are linear in the length except for the rounding of strides, so they are counted at a few lengths and
    interpolated between these.
    """
    (shortest,) = counted("shortest", network, n_mels)
    lengths = np.maximum(lengths, shortest)  # `predict` pads shorter clips
    last = math.ceil(math.log(max(1.0, float(lengths.max()) / shortest), KNOT_RATIO))
    knots = [shortest * KNOT_RATIO**power for power in range(last + 1)]
    flops: np.ndarray = np.interp(lengths, knots, [_trunk_flops(network, n_mels, knot) for knot in knots])
    return flops


@cache
def head_flops(network: NetworkSettings, classes: int, n_mels: int | None) -> int:
    """Operations of one clip through one head."""
    (flops,) = counted("head", network, classes, n_mels)
    return flops


@lru_cache(maxsize=1024)
def prediction_flops(
    network: NetworkSettings,
    classes: int,
    n_mels: int | None,
    clips: Clips,
    pads: tuple[int, ...],
    heads: int = 1,
    read: ReadSettings = WHOLE,
    crop: int = 0,
) -> float:
    """Operations of `trainers.predict.predict` with one snapshot; clips are grouped and padded as it does.

    Args:
        network: its settings.
        classes: outputs.
        n_mels: bands of a frame; None for samples.
        clips: what is predicted.
        pads: zeros on both sides of a clip, one pass per pad.
        heads: number of heads; they share a pass through the trunk.
        read: part of a clip that is predicted.
        crop: its length, if it is not the whole clip.
    """
    if len(clips.lengths) == 0:
        return 0.0
    grouped, parts = _grouped(clips, n_mels or 1, read, crop)
    trunk = sum(float(clip_flops(network, n_mels, grouped + 2 * pad).sum()) for pad in pads)
    return parts * (trunk + float(len(pads) * heads * len(clips.lengths) * head_flops(network, classes, n_mels)))


def training_flops(
    settings: TrainSettings, classes: int, n_mels: int | None, train_clips: int, valid: Sequence[Clips]
) -> float:
    """Operations of a training job: steps of all streams, validation after each epoch, statistics of `precise_bn`.

    Args:
        settings: settings of the condition.
        classes: outputs.
        n_mels: bands of a frame; None for samples.
        train_clips: number of curated clips of the training fold.
        valid: the validated clips of each subset.
    """
    network = settings.network
    crops = settings.crops  # in equal shares
    steps = steps_per_epoch(train_clips, settings.batch_size)
    counted = [crop_flops(network, classes, crop, n_mels) for crop in crops]
    streams = len(settings.streams)
    # A semi-supervised method trains on some views and, before that, predicts as many to make their targets.
    views = settings.semi.trained_views if settings.semi else 0
    clip = fmean((streams + views) * flops.both + views * flops.forward for flops in counted)
    training = steps * settings.batch_size * clip
    pad = 0 if n_mels else max(crops) // 2  # waveforms are padded in validation too (docs/paper.md, Augmentation)
    validation = sum(prediction_flops(network, classes, n_mels, clips, (pad,)) for clips in valid)
    statistics = steps * settings.batch_size * fmean(flops.forward for flops in counted)
    return settings.total_epochs * (training + validation) + settings.precise_bn * settings.cycles * statistics


@cache
def snapshot_bytes(network: NetworkSettings, classes: int, n_mels: int | None, *, noisy_head: bool) -> int:
    """Bytes of a snapshot's parameters and buffers."""
    return counted("weights", network, classes, n_mels, noisy_head)[0]


@cache
def checkpoint_bytes(
    network: NetworkSettings, classes: int, n_mels: int | None, *, noisy_head: bool, optimizer: str
) -> int:
    """Bytes of a checkpoint (weights and optimizer state), which exists beside the snapshots while a job runs."""
    weights, parameters = counted("weights", network, classes, n_mels, noisy_head)
    return weights + MOMENTS[optimizer] * parameters


@cache
def _trunk_flops(network: NetworkSettings, n_mels: int | None, length: int) -> int:
    (flops,) = counted("trunk", network, length, n_mels)
    return flops


@lru_cache(maxsize=64)
def _grouped(clips: Clips, values_per_step: int, read: ReadSettings, crop: int) -> tuple[np.ndarray, int]:
    """(N,) lengths after padding to the length of each batch, and the number of parts of each clip."""
    lengths, parts = windows(clips.lengths, read, crop)
    padded = np.empty_like(lengths)
    for batch, length in batches(lengths, read, values_per_step):
        padded[batch] = length
    return padded, len(parts)
