"""Counts on the networks themselves: floating-point operations, bytes of weights. `trainers.counted` keeps them.

Networks are built on torch's meta device, which has shapes without values, so a full-size network takes no memory and a
count takes some hundredths of a second. Convolutions and matrix products are counted, two operations per multiply-add,
as data sheets state peaks; batch norm, pooling, activations and augmentation are not.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from trainers.network import Tagger
from trainers.settings import NetworkSettings

__all__ = ["COUNTS"]


def _crop(network: NetworkSettings, classes: int, length: int, n_mels: int | None) -> tuple[int, int]:
    """Operations of a crop through trunk and one head: forward, backward."""
    with FlopCounterMode(display=False) as counter:
        logits = _bare(network, classes, n_mels)(_input(1, length, n_mels))
        forward = counter.get_total_flops()
        logits.sum().backward()
    return forward, counter.get_total_flops() - forward


def _trunk(network: NetworkSettings, length: int, n_mels: int | None) -> tuple[int]:
    """Operations of a clip through the trunk."""
    tagger = _bare(network, 1, n_mels)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        tagger.embed(_input(1, length, n_mels))
    return (counter.get_total_flops(),)


def _head(network: NetworkSettings, classes: int, n_mels: int | None) -> tuple[int]:
    """Operations of a clip through one head."""
    tagger = _bare(network, classes, n_mels)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        tagger.heads["curated"](torch.empty(1, tagger.features, device="meta"))
    return (counter.get_total_flops(),)


def _shortest(network: NetworkSettings, n_mels: int | None) -> tuple[int]:
    """The shortest input, in frames or samples."""
    return (_bare(network, 1, n_mels).min_length,)


def _weights(network: NetworkSettings, classes: int, n_mels: int | None, noisy_head: bool) -> tuple[int, int]:
    """Bytes of the parameters and buffers, and of the parameters alone."""
    tagger = _tagger(network, classes, noisy_head, n_mels)
    return _n_bytes(tagger.state_dict().values()), _n_bytes(tagger.parameters())


COUNTS: dict[str, Callable[..., tuple[int, ...]]] = {
    "crop": _crop, "trunk": _trunk, "head": _head, "shortest": _shortest, "weights": _weights,
}  # fmt: skip
"""What can be counted of a network."""


def _n_bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _tagger(network: NetworkSettings, classes: int, noisy_head: bool, n_mels: int | None) -> Tagger:
    with torch.device("meta"):
        return Tagger(network, classes, noisy_head=noisy_head, bands=n_mels)


@lru_cache(maxsize=16)
def _bare(network: NetworkSettings, classes: int, n_mels: int | None) -> Tagger:
    """The network with one head and without batch norm, which has no counted operations and takes most of the time."""
    tagger = _tagger(network, classes, False, n_mels)
    for module in list(tagger.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
    return tagger


def _input(batch: int, length: int, n_mels: int | None) -> Tensor:
    return torch.empty((batch, length) if n_mels is None else (batch, length, n_mels), device="meta")
