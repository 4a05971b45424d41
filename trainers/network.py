"""A tagger: a trunk with a curated and, for multitask learning, a noisy head of the same form."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from features.mel import power_to_db
from trainers.clips import ClipSource
from trainers.envnet import EnvNetTrunk
from trainers.losses import activate
from trainers.network_settings import NetworkSettings, ResNetSettings, SEResNeXtSettings
from trainers.pooled import PooledTrunk, Statistics, frames_with_power, statistics_over_time
from trainers.registry import Activation
from trainers.resnet import ResNetTrunk
from trainers.seresnext import SEResNeXtTrunk

__all__ = ["TRUNKS", "Head", "Tagger", "decibel_statistics", "parameter_count"]

Head = Literal["curated", "noisy"]
Trunk = ResNetTrunk | SEResNeXtTrunk | EnvNetTrunk | PooledTrunk

TRUNKS: dict[str, Callable[[Any, int], Trunk]] = {
    "resnet": lambda settings, _: ResNetTrunk(settings.depth, settings.width, default_stem=settings.init == "released"),
    "seresnext": lambda settings, _: SEResNeXtTrunk(settings.width),
    "envnet": lambda settings, _: EnvNetTrunk(settings.width, default_init=settings.init == "released"),
    "pooled": lambda settings, bands: PooledTrunk(settings.statistics, bands),
}
"""Trunk of each `network.kind`, from its settings and the number of mel bands."""


def _head(features: int, units: int | None, classes: int) -> nn.Module:
    if units is None:
        linear = nn.Linear(features, classes)
        nn.init.zeros_(linear.weight)  # a convex problem: random weights would only add noise to what is learnt
        nn.init.zeros_(linear.bias)
        return linear
    return nn.Sequential(
        nn.Linear(features, units),
        nn.ReLU(inplace=True),
        nn.Dropout(0.2),
        nn.Linear(units, units),
        nn.ReLU(inplace=True),
        nn.Dropout(0.1),
        nn.Linear(units, classes),
    )


class Prepared(NamedTuple):
    """The input of networks of equal settings, which they share."""

    image: Tensor
    """(B, T, bands) decibels or embeddings, normalised unless by dataset; (B, S) samples."""
    found: Tensor | None
    """(B, features) statistics over time, not yet normalised, of networks that have any."""


class Tagger(nn.Module):
    """Crops or whole clips in, logits out. Features are given as stored and normalised here.

    What is measured on the training clips is in buffers, so that weight files contain it: mean and deviation of the
    decibels (`normalise: dataset`) or of the statistics over time (network `pooled`).
    """

    db_mean: Tensor
    db_deviation: Tensor

    def __init__(self, settings: NetworkSettings, classes: int, *, noisy_head: bool, bands: int | None = None) -> None:
        """`bands` is the number of mel bands, on which the statistics over time depend; None for waveforms."""
        super().__init__()
        self.reads = settings.reads
        self.activation: Activation = settings.activation
        self.trunk = TRUNKS[settings.kind](settings, bands or 0)
        self.by_dataset = isinstance(settings, ResNetSettings | SEResNeXtSettings) and settings.normalise == "dataset"
        if self.by_dataset:
            self.register_buffer("db_mean", torch.zeros(()))
            self.register_buffer("db_deviation", torch.ones(()))
        beside = settings.statistics if isinstance(settings, ResNetSettings | SEResNeXtSettings) else ()
        self.statistics = Statistics(beside, bands or 0) if beside else None
        self.features = self.trunk.features + (self.statistics.features if self.statistics else 0)
        """Size of the input of a head."""
        names: list[Head] = ["curated", "noisy"] if noisy_head else ["curated"]
        self.heads = nn.ModuleDict({name: _head(self.features, settings.head_units, classes) for name in names})

    @property
    def min_length(self) -> int:
        """Shortest input, in frames or samples; shorter clips must be padded."""
        return self.trunk.min_length

    def fit_normalisation(self, clips: ClipSource, rows: np.ndarray) -> None:
        """Measure on these clips what the network is normalised by, if it is."""
        if isinstance(self.trunk, PooledTrunk):
            self.trunk.fit(clips, rows, power_to_db if self.reads == "mel" else lambda embeddings: embeddings)
        if self.by_dataset:
            mean, deviation = decibel_statistics(clips, rows)
            self.db_mean.fill_(mean)
            self.db_deviation.fill_(deviation)

    def start_at_shares(self, targets: np.ndarray) -> None:
        """Let heads of one linear layer with a sigmoid begin at each class's share of the training clips.

        They would begin at 0.5 otherwise, and a small learning rate takes long to bring all scores down together:
        until then scores of different clips can't be compared.

        Args:
            targets: (n, C) labels of the training clips, true where > 0.
        """
        if self.activation != "sigmoid":
            return
        share = ((targets > 0).sum(axis=0) + 0.5) / (len(targets) + 1)  # (C,), neither 0 nor 1
        for head in self.heads.values():
            if isinstance(head, nn.Linear):
                with torch.no_grad():
                    head.bias.copy_(torch.from_numpy(np.log(share / (1 - share))))

    def forward(self, x: Tensor, head: Head = "curated") -> Tensor:
        """(B, T, n_mels) mel power, (B, T, dims) embeddings or (B, S) samples -> (B, C) logits."""
        return self.logits(self.embed(x), head)

    def embed(self, x: Tensor) -> Tensor:
        """The input of `forward` -> (B, features), the input of all heads."""
        return self.embed_prepared(self.prepare(x))

    def prepare(self, x: Tensor) -> "Prepared":
        """The part of `embed` that is the same for all networks of equal settings."""
        if self.reads == "waveform":
            return Prepared(x, None)
        db = power_to_db(x) if self.reads == "mel" else x
        beside = self.trunk if isinstance(self.trunk, PooledTrunk) else self.statistics
        found = None if beside is None else statistics_over_time(db, frames_with_power(x), beside.names)
        image = db if self.by_dataset or isinstance(self.trunk, PooledTrunk) else normalise(db)
        return Prepared(image, found)

    def embed_prepared(self, prepared: "Prepared") -> Tensor:
        """What `prepare` of an equal network returns -> (B, features)."""
        image, found = prepared
        if isinstance(self.trunk, PooledTrunk):
            assert found is not None
            return self.trunk.forward(found)
        features: Tensor = self.trunk((image - self.db_mean) / (self.db_deviation + 1e-7) if self.by_dataset else image)
        if self.statistics is None or found is None:
            return features
        return torch.cat([features, self.statistics(found)], dim=1)

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
