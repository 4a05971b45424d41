"""A tagger: a trunk with a curated and, for multitask learning, a noisy head of the same form."""

from typing import Literal

import torch
from torch import Tensor, nn

from features.mel import power_to_db
from trainers.envnet import EnvNetTrunk
from trainers.losses import Activation, activate
from trainers.resnet import ResNetTrunk
from trainers.settings import NetworkSettings

__all__ = ["Head", "Tagger", "parameter_count"]

Head = Literal["curated", "noisy"]


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
    """Crops or whole clips in, logits out; features come in as stored and are normalised here."""

    def __init__(self, settings: NetworkSettings, classes: int, *, noisy_head: bool) -> None:
        super().__init__()
        self.kind = settings.kind
        self.activation: Activation = settings.activation
        self.trunk: ResNetTrunk | EnvNetTrunk = (
            ResNetTrunk(settings.depth, settings.width) if settings.kind == "resnet" else EnvNetTrunk(settings.width)
        )
        names: list[Head] = ["curated", "noisy"] if noisy_head else ["curated"]
        self.heads = nn.ModuleDict({name: _head(self.trunk.features, settings.head_units, classes) for name in names})

    @property
    def min_length(self) -> int:
        """Shortest input, in frames or samples; shorter clips have to be padded."""
        return self.trunk.min_length

    def forward(self, x: Tensor, head: Head = "curated") -> Tensor:
        """(B, T, n_mels) mel power or (B, S) samples -> (B, C) logits."""
        logits: Tensor = self.heads[head](self.embed(x))
        return logits

    def embed(self, x: Tensor) -> Tensor:
        """(B, T, n_mels) mel power or (B, S) samples -> (B, features), what all heads see."""
        if self.kind == "resnet":
            x = normalise(power_to_db(x))
        features: Tensor = self.trunk(x)
        return features

    def scores(self, x: Tensor, head: Head = "curated") -> Tensor:
        """Like `forward`, but (B, C) scores in [0, 1]."""
        return activate(self(x, head), self.activation)


def normalise(x: Tensor) -> Tensor:
    """Each sample of (B, T, n_mels) to its own mean 0 and standard deviation 1 (+1e-7: silence becomes zeros)."""
    deviation, mean = torch.std_mean(x, dim=(1, 2), correction=0, keepdim=True)
    return (x - mean) / (deviation + 1e-7)


def parameter_count(module: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
