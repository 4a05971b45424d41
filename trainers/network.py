"""A tagger: a trunk with a curated and, for multitask learning, a noisy head of the same form."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from features.mel import power_to_db
from trainers.clips import ClipSource
from trainers.envnet import EnvNetTrunk
from trainers.losses import activate
from trainers.registry import Activation
from trainers.resnet import ResNetTrunk
from trainers.seresnext import SEResNeXtTrunk
from trainers.settings import NetworkSettings

__all__ = ["TRUNKS", "Head", "Tagger", "decibel_statistics", "parameter_count"]

Head = Literal["curated", "noisy"]
Trunk = ResNetTrunk | SEResNeXtTrunk | EnvNetTrunk

TRUNKS: dict[str, Callable[[Any], Trunk]] = {
    "resnet": lambda settings: ResNetTrunk(settings.depth, settings.width, default_stem=settings.init == "released"),
    "seresnext": lambda settings: SEResNeXtTrunk(settings.width),
    "envnet": lambda settings: EnvNetTrunk(settings.width, default_init=settings.init == "released"),
}
"""Trunk of each `network.kind`."""


def _head(features: int, units: int, classes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(features, units),
        nn.ReLU(inplace=True),
        nn.Dropout(0.2),
        nn.Linear(units, units),
        nn.ReLU(inplace=True),
        nn.Dropout(0.1),
        nn.Linear(units, classes),
    )


class Tagger(nn.Module):
    """Crops or whole clips in, logits out. Features are given as stored and normalised here.

    With `normalise: dataset` the mean and deviation are buffers, so that weight files contain them.
    """

    db_mean: Tensor
    db_deviation: Tensor

    def __init__(self, settings: NetworkSettings, classes: int, *, noisy_head: bool) -> None:
        super().__init__()
        self.reads = settings.reads
        self.activation: Activation = settings.activation
        self.trunk = TRUNKS[settings.kind](settings)
        self.by_dataset = settings.kind != "envnet" and settings.normalise == "dataset"
        if self.by_dataset:
            self.register_buffer("db_mean", torch.zeros(()))
            self.register_buffer("db_deviation", torch.ones(()))
        names: list[Head] = ["curated", "noisy"] if noisy_head else ["curated"]
        self.heads = nn.ModuleDict({name: _head(self.trunk.features, settings.head_units, classes) for name in names})

    @property
    def min_length(self) -> int:
        """Shortest input, in frames or samples; shorter clips must be padded."""
        return self.trunk.min_length

    def fit_normalisation(self, clips: ClipSource, rows: np.ndarray) -> None:
        """With `normalise: dataset`, set mean and deviation to those of these clips' decibels."""
        if self.by_dataset:
            mean, deviation = decibel_statistics(clips, rows)
            self.db_mean.fill_(mean)
            self.db_deviation.fill_(deviation)

    def forward(self, x: Tensor, head: Head = "curated") -> Tensor:
        """(B, T, n_mels) mel power or (B, S) samples -> (B, C) logits."""
        return self.logits(self.embed(x), head)

    def embed(self, x: Tensor) -> Tensor:
        """(B, T, n_mels) mel power or (B, S) samples -> (B, features), the input of all heads."""
        if self.reads == "mel":
            db = power_to_db(x)
            x = (db - self.db_mean) / (self.db_deviation + 1e-7) if self.by_dataset else normalise(db)
        features: Tensor = self.trunk(x)
        return features

    def logits(self, features: Tensor, head: Head = "curated") -> Tensor:
        """(B, features) -> (B, C) logits, always computed in float32: bfloat16 would round scores to ties."""
        # Without values, on the meta device, there is no autocast to switch off.
        with nullcontext() if features.is_meta else torch.autocast(features.device.type, enabled=False):
            logits: Tensor = self.heads[head](features.float())
        return logits

    def scores(self, x: Tensor, head: Head = "curated") -> Tensor:
        """Like `forward`, but (B, C) scores in [0, 1]."""
        return activate(self(x, head), self.activation)


def normalise(x: Tensor) -> Tensor:
    """Each sample of (B, T, n_mels) to its own mean 0 and standard deviation 1 (+1e-7: silence becomes zeros)."""
    deviation, mean = torch.std_mean(x, dim=(1, 2), correction=0, keepdim=True)
    return (x - mean) / (deviation + 1e-7)


def decibel_statistics(clips: ClipSource, rows: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation over all frames and bands of whole clips in dB, each cut 80 dB below its maximum.

    Args:
        clips: mel power.
        rows: (n,) rows of the clips, summed in this order.
    """
    count, total, squares = 0, 0.0, 0.0
    for row in rows:
        db = power_to_db(torch.from_numpy(np.array(clips.array(int(row))))).double()  # (frames, n_mels)
        count += db.numel()
        total += float(db.sum())
        squares += float(db.square().sum())
    mean = total / count
    return mean, max(0.0, squares / count - mean**2) ** 0.5


def parameter_count(module: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
