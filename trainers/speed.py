"""How fast this machine trains a condition: a few real steps of the real loop, on noise as long as the dataset's clips.

    python -m trainers.speed < CASES > SPEEDS      JSON, measured in a process of its own, and when that had started

Several of these processes at once measure what jobs that share a machine take from each other.
"""

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trainers.clips import MemoryClips
from trainers.history import read_history
from trainers.loop import FoldClips, TrainJob, train
from trainers.settings import PseudoLabelSettings, TrainSettings

__all__ = ["measure"]

STEPS = 4
"""Of an epoch; two epochs are trained, and the second one counts."""
VALIDATED = 16
"""Clips that are validated after an epoch."""


def measure(
    settings: TrainSettings, classes: int, bands: int | None, lengths: Sequence[int], device: torch.device
) -> tuple[float, float]:
    """Train a condition for a moment.

    Args:
        settings: of the condition.
        classes: number of classes.
        bands: values of a frame; None for samples.
        lengths: of some clips of the dataset, in frames or samples.
        device: where to.

    Returns:
        Seconds of a training step with all its streams, and of the validation of a clip.
    """
    brief = _brief(settings)
    rng = np.random.default_rng(0)
    arrays = [_noise(rng, length, bands) for length in lengths]
    clips = _clips(rng, arrays, STEPS * settings.batch_size, classes)
    job = TrainJob(
        settings=brief,
        split="0",
        classes=classes,
        curated=clips,
        noisy=clips if settings.uses_noisy else None,
        soft_labels=clips.targets if "pseudo" in settings.streams else None,
        device=device,
        resident_bytes=10**9 if device.type == "cuda" else 0,
    )
    with tempfile.TemporaryDirectory() as folder:
        train(job, Path(folder))
        record = read_history(Path(folder))[-1]
    streams = len(settings.streams) + (settings.semi.trained_views if settings.semi is not None else 0)
    trained_s = STEPS * settings.batch_size * streams / record["samples_per_s"]
    return trained_s / STEPS, max(0.0, record["seconds"] - trained_s) / VALIDATED


def _brief(settings: TrainSettings) -> TrainSettings:
    """The same steps, two epochs of them, from new weights."""
    changed: dict[str, Any] = {"cycles": 1, "epochs": 2, "rescue": {}, "init_from": None, "precise_bn": False}
    changed["validate_noisy"] = False
    if isinstance(settings.semi, PseudoLabelSettings):
        changed["semi"] = settings.semi.model_copy(update={"ramp_start": 0.0})
    if getattr(settings.network, "init_from", None):
        changed["network"] = settings.network.model_copy(update={"init_from": None, "init_sha256": None})
    return settings.model_copy(update=changed)


def _noise(rng: np.random.Generator, length: int, bands: int | None) -> np.ndarray:
    """(length,) int16 samples, or (length, bands) float32 power."""
    if bands is None:
        return rng.integers(-9_000, 9_000, length, dtype=np.int16)
    return rng.exponential(size=(length, bands)).astype(np.float32)


def _clips(rng: np.random.Generator, arrays: Sequence[np.ndarray], trained: int, classes: int) -> FoldClips:
    """As many clips as the steps need, and those that are validated; they share the arrays."""
    every = [arrays[row % len(arrays)] for row in range(trained + VALIDATED)]
    targets = np.eye(classes, dtype=np.float32)[rng.integers(0, classes, len(every))]
    return FoldClips(MemoryClips(every), targets, np.arange(trained), np.arange(trained, len(every)))


def _main() -> None:
    ready = time.time()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    speeds = [
        measure(TrainSettings.model_validate_json(json.dumps(settings)), classes, bands, lengths, device)
        for settings, classes, bands, lengths in json.load(sys.stdin)
    ]
    print(json.dumps({"ready": ready, "speeds": speeds}))


if __name__ == "__main__":
    _main()
