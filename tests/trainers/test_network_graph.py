"""Networks as graphs score as `predict` does, whatever their kind and however clips are read."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from trainers.clips import ClipBank, MemoryClips
from trainers.groups import own_lengths
from trainers.network import Tagger
from trainers.network_graph import NetworkGraph, PadGraph, _rounding
from trainers.predict import predict
from trainers.settings import (
    EnvNetSettings,
    NetworkSettings,
    Padding,
    PooledSettings,
    ReadSettings,
    ResNetSettings,
    SEResNeXtSettings,
)  # fmt: skip

BANDS = 16
NETWORKS: dict[str, NetworkSettings] = {
    "clip": ResNetSettings(depth=10, width=4, head_units=8),
    "dataset": ResNetSettings(
        depth=10, width=4, head_units=8, statistics=True, normalise="dataset", activation="softmax"
    ),  # type: ignore[arg-type]
    "seresnext": SEResNeXtSettings(width=4, head_units=8),
    "pooled": PooledSettings(activation="softmax"),
    "envnet": EnvNetSettings(width=4, head_units=8),
}


def network_of(name: str) -> Tagger:
    """A network with numbers other than those it starts with in every tensor."""
    torch.manual_seed(0)
    network = Tagger(NETWORKS[name], 3, noisy_head=True, bands=None if name == "envnet" else BANDS).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                assert tensor is not None
                nn.init.uniform_(tensor, 0.5, 1.5)
    for name_, buffer in network.named_buffers():
        if name_ in ("db_mean", "db_deviation", "trunk.mean", "trunk.deviation"):
            buffer.uniform_(5, 20)
    for parameter in network.heads.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network


def clips_of(name: str, length: int) -> np.ndarray:
    rng = np.random.default_rng(length)
    if name == "envnet":
        return rng.integers(-20_000, 20_000, (2, length)).astype(np.int16)
    return rng.exponential(1.0, (2, length, BANDS)).astype(np.float32)


def both(name: str, length: int, read: ReadSettings, padding: Padding, pad: int, crop: int) -> None:
    """Two clips of a length through `predict` and through the modules."""
    network, clips = network_of(name), clips_of(name, length)
    bank = ClipBank(MemoryClips(list(clips)), torch.device("cpu"))
    wanted = predict(
        [network], bank, np.arange(2), [pad], heads=("curated", "noisy"), padding=padding, read=read, crop=crop
    )[0, :, 0]  # (heads, N, C)
    scale = 1 / 32_768 if name == "envnet" else 1.0
    with torch.no_grad():
        parts = PadGraph(read, crop, padding, pad, network.min_length)(torch.from_numpy(clips).float() * scale)
        graph = NetworkGraph(network, ("curated", "noisy"))
        found = torch.stack([graph(part) for part in parts]).mean(dim=0).numpy()
    np.testing.assert_allclose(found, wanted, atol=2e-6)
    assert wanted.std(axis=1).max() > 1e-4  # the clips differ, so that equal scores mean something


@pytest.mark.parametrize("name", list(NETWORKS))
@pytest.mark.parametrize("padding", ["zeros", "repeat"])
def test_every_network_scores_as_predict_does(name: str, padding: Padding) -> None:
    for length in (21_000, 700) if name == "envnet" else (57, 3):
        both(name, length, ReadSettings(), padding, 5, 20)


@pytest.mark.parametrize("padding", ["zeros", "repeat"])
@pytest.mark.parametrize(
    "read",
    [
        {"align": "centre"}, {"part": "start"}, {"part": "end", "align": "centre"}, {"part": "crops", "crops": 3},
        {"part": "crops", "crops": 1}, {"patience": 0.0}, {"patience": 1.0},
    ],
)  # fmt: skip
def test_every_way_to_read_clips_is_that_of_predict(read: dict[str, Any], padding: Padding) -> None:
    for length in (9, 20, 61):
        both("clip", length, ReadSettings(**read), padding, 3, 20)


@pytest.mark.parametrize("patience", [0.0, 0.1, 0.37, 1.0])
def test_lengths_are_rounded_up_as_in_predict(patience: float) -> None:
    lengths = np.concatenate([np.arange(1, 3_000), 2 ** np.arange(8, 30) * 10, 2 ** np.arange(8, 30) * 10 - 1])
    first, steps = (table.numpy() for table in _rounding(patience))
    step = np.where(lengths[:, None] >= first, steps, 1).max(axis=1)
    np.testing.assert_array_equal(-(-lengths // step) * step, own_lengths(lengths, patience))


@pytest.mark.parametrize(("precision", "bound"), [("fp16", 1e-2), ("int8", 0.1)])
def test_packed_weights_score_nearly_the_same(precision: Any, bound: float) -> None:
    network = network_of("dataset")
    clips = torch.from_numpy(clips_of("dataset", 40))
    with torch.no_grad():
        wanted = NetworkGraph(network, ("curated",))(clips)
        packed = NetworkGraph(network, ("curated",), precision)
        found = packed(clips)
        torch.testing.assert_close(packed.unpacked()(clips), found)
    assert 0 < (found - wanted).abs().max() < bound
    assert sum(buffer.nbytes for buffer in packed.buffers()) < 0.6 * sum(
        value.nbytes for name, value in network.state_dict().items() if "noisy" not in name
    )
