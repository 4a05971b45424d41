"""The EnvNet-v2 trunk."""

import pytest
import torch

from trainers.envnet import EnvNetTrunk
from trainers.network import Tagger, parameter_count
from trainers.settings import EnvNetSettings

SMALL_ENV = EnvNetSettings(width=4, head_units=8)


def head_parameters(features: int, classes: int = 80, units: int = 1_024) -> int:
    return features * units + units + units * units + units + units * classes + classes


def test_envnet_count_is_the_sum_of_its_layers() -> None:
    layers = [
        (1, 32, 64), (32, 64, 16), (1, 32, 64), (32, 32, 64), (32, 64, 4), (64, 64, 4),
        (64, 128, 2), (128, 128, 2), (128, 256, 2), (256, 256, 2),
    ]  # fmt: skip
    trunk = sum(channels_in * out * kernel + 2 * out for channels_in, out, kernel in layers)
    assert trunk + head_parameters(2_560) == 4_128_912
    assert trunk + 2 * head_parameters(2_560) == 7_882_976
    with torch.device("meta"):
        assert parameter_count(EnvNetTrunk(32)) == trunk


@pytest.mark.parametrize("training", [False, True])
def test_envnet_min_length_is_tight(training: bool) -> None:
    network = Tagger(SMALL_ENV, 7, noisy_head=False).train(training)
    shortest = network.min_length
    assert shortest == EnvNetTrunk.min_length == 20_570
    assert network.trunk(torch.randn(2, shortest)).shape == (2, 320)
    with pytest.raises(RuntimeError, match="Kernel size can't be greater than actual input size"):
        network(torch.randn(2, shortest - 1))


@pytest.mark.parametrize("samples", [20_570, 24_001, 133_300])
def test_envnet_takes_any_longer_length(samples: int) -> None:
    logits = Tagger(SMALL_ENV, 7, noisy_head=True).eval()(torch.randn(1, samples), "noisy")
    assert logits.shape == (1, 7)
    assert logits.isfinite().all()
