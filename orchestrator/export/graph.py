"""A tagger as one torch module: samples in, scores out. `torch.export` and ONNX make files of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from features.errors import InputError
from features.graphs import MelGraph, ResampleGraph, WaveformGraph
from features.settings import EmbeddingSettings, FeatureSettings, MelSettings
from orchestrator.tagger.members import Condition
from trainers.network_graph import NetworkGraph, PadGraph
from trainers.packing import Precision
from trainers.settings import Padding, ReadSettings

__all__ = ["Front", "Step", "TaggerGraph"]


@dataclass(frozen=True)
class View:
    """One input of some networks: how clips are read and padded."""

    features: FeatureSettings
    read: ReadSettings
    crop: int
    padding: Padding
    pad: int
    shortest: int


class Front(nn.Module):
    """Samples of equally long clips to the inputs of all networks."""

    def __init__(self, views: Sequence[View], rate: int) -> None:
        super().__init__()
        self.kinds = list(dict.fromkeys(view.features for view in views))
        self.features = nn.ModuleList(_feature_graph(settings, rate) for settings in self.kinds)
        self.sources = [self.kinds.index(view.features) for view in views]
        self.pads = nn.ModuleList(PadGraph(v.read, v.crop, v.padding, v.pad, v.shortest) for v in views)

    def forward(self, samples: Tensor) -> list[Tensor]:
        """(B, S) -> for each view, its parts one after another: (B, T[, bands])."""
        features = [feature(samples) for feature in self.features]
        return [part for pad, source in zip(self.pads, self.sources, strict=True) for part in pad(features[source])]


@dataclass(frozen=True)
class Step:
    """One pass through a network."""

    network: int
    part: int
    """Which of the front's outputs it is given."""
    weights: tuple[float, ...]
    """(heads,) of the sum."""


class TaggerGraph(nn.Module):
    """The scores of a tagger for equally long clips.

    Args:
        conditions: of the tagger.
        names: of the conditions, for messages.
        precision: in which the weights are kept.

    Raises:
        InputError: a condition reads embeddings.
    """

    def __init__(self, conditions: Sequence[Condition], precision: Precision = "fp32") -> None:
        super().__init__()
        for condition in conditions:
            if isinstance(condition.features, EmbeddingSettings):
                raise InputError(
                    f"condition {condition.name} reads embeddings, whose encoder can't become a part of a .onnx or "
                    ".pt2 file: export to .tagger, which holds it, or name another condition with --condition"
                )
        self.sample_rate_hz = max(condition.features.sample_rate_hz for condition in conditions)
        """Of the samples."""
        views: list[View] = []
        parts: list[int] = []
        networks: list[NetworkGraph] = []
        self.form: list[int] = []
        """For each network, the first one of the same form."""
        self.steps: list[Step] = []
        for condition in conditions:
            start = len(networks)
            for snapshots in condition.networks:
                for weights, network in zip(condition.weights, snapshots, strict=True):  # (heads, pads)
                    networks.append(NetworkGraph(network, condition.heads, precision))
                    self.form.append(start)
                    for p, pad in enumerate(condition.pads):
                        if not weights[:, p].any():
                            continue
                        read = condition.read.model_copy(update={"pad_to": "own"})
                        view = View(
                            condition.features, read, condition.crop, condition.padding, pad, network.min_length
                        )
                        if view not in views:
                            views.append(view)
                            parts.append(read.crops if read.part == "crops" else 1)
                        index = views.index(view)
                        share = weights[:, p] / (len(condition.networks) * parts[index])
                        for part in range(parts[index]):
                            at = sum(parts[:index]) + part
                            self.steps.append(Step(len(networks) - 1, at, tuple(share.tolist())))
        self.networks = nn.ModuleList(networks)
        self.plain = networks
        """The same with their type."""
        self.front = Front(views, self.sample_rate_hz)

    def forward(self, samples: Tensor) -> Tensor:
        """(B, S) -> (B, C)."""
        inputs = self.front(samples)
        scores = []
        for step in self.steps:
            found = self.networks[step.network](inputs[step.part])  # (heads, B, C)
            scores += [found[head] * weight for head, weight in enumerate(step.weights)]
        return torch.stack(scores).sum(dim=0)


def _feature_graph(settings: FeatureSettings, rate: int) -> nn.Module:
    """Samples at `rate` to features."""
    features = MelGraph(settings) if isinstance(settings, MelSettings) else WaveformGraph()
    if settings.sample_rate_hz == rate:
        return features
    return nn.Sequential(ResampleGraph(rate, settings.sample_rate_hz), features)
