"""The ResNet trunk."""

import numpy as np
import pytest
import torch
from torch import nn

from trainers.network import Tagger, parameter_count
from trainers.resnet import Pointwise, ResNetTrunk
from trainers.settings import ResNetSettings

SMALL = ResNetSettings(depth=10, width=4, head_units=8)


def of_the_paper(depth: int) -> ResNetTrunk:
    with torch.device("meta"):
        return ResNetTrunk(depth, 64)


def resnet_parameters(blocks: tuple[int, int, int, int]) -> int:
    """Two 3x3 convolutions per block, a 1x1 one where a stage starts with more channels, batch norm after each."""
    total, channels = 7 * 7 * 64 + 2 * 64, 64
    for stage, count in enumerate(blocks):
        out = 64 * 2**stage
        for _ in range(count):
            total += 9 * channels * out + 9 * out * out + 2 * 2 * out
            total += channels * out + 2 * out if channels != out else 0
            channels = out
    return total


@pytest.mark.parametrize(("depth", "blocks", "trunk"), [(18, (2, 2, 2, 2), 11_170_240), (34, (3, 4, 6, 3), 21_278_400)])
def test_resnet_counts_are_the_sum_of_its_layers(depth: int, blocks: tuple[int, int, int, int], trunk: int) -> None:
    # Published with 1,000 classes and a stem of three channels: 11,689,512 and 21,797,672.
    assert trunk == {18: 11_689_512, 34: 21_797_672}[depth] - 513_000 - 2 * 7 * 7 * 64
    assert parameter_count(of_the_paper(depth)) == resnet_parameters(blocks) == trunk


@pytest.mark.parametrize("depth", [18, 34])
def test_the_papers_resnets_have_these_shapes(depth: int) -> None:
    trunk = of_the_paper(depth)
    x = torch.zeros(2, 512, 128, device="meta")
    maps = trunk.stem(x.transpose(1, 2).unsqueeze(1))
    assert maps.shape == (2, 64, 32, 128)
    shapes = []
    for block in trunk.stages:
        maps = block(maps)
        shapes.append(tuple(maps.shape[1:]))
    wanted = [(64, 32, 128), (128, 16, 64), (256, 8, 32), (512, 4, 16)]
    counts = (2, 2, 2, 2) if depth == 18 else (3, 4, 6, 3)
    assert shapes == [shape for shape, count in zip(wanted, counts, strict=True) for _ in range(count)]
    assert trunk(x).shape == (2, 512)


@pytest.mark.parametrize("depth", [10, 18, 34])
def test_resnet_has_its_weighted_layers(depth: int) -> None:
    trunk = ResNetTrunk(depth, 4)
    convolutions = [m for m in trunk.modules() if isinstance(m, nn.Conv2d) and m.kernel_size != (1, 1)]
    assert len(convolutions) + 1 == depth  # a classifier is the last weighted layer
    assert sum(isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1) for m in trunk.modules()) == 3


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("shape", [(4, 4, 16), (6, 5, 7), (16, 1, 1)])
def test_a_pointwise_convolution_is_a_strided_one(step: int, shape: tuple[int, int, int]) -> None:
    layer, x = Pointwise(shape[0], 8, step), torch.randn(2, *shape)
    wanted = np.einsum("bchw,oc->bohw", x.numpy()[:, :, ::step, ::step], layer.weight.detach().numpy()[:, :, 0, 0])
    np.testing.assert_allclose(layer(x).detach(), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("frames", [1, 2, 31, 33, 500, 4_000])
def test_resnet_takes_any_length(frames: int, training: bool) -> None:
    network = Tagger(SMALL, 7, noisy_head=False).train(training)
    assert network.min_length == 1
    logits = network(torch.rand(2, frames, 64))
    assert logits.shape == (2, 7)
    assert logits.isfinite().all()


def test_resnet_pools_the_maximum_over_both_axes() -> None:
    trunk = ResNetTrunk(10, 4).eval()
    x = torch.randn(2, 70, 64)
    maps = trunk.stages(trunk.stem(x.transpose(1, 2).unsqueeze(1)))
    assert maps.shape == (2, 32, 2, 3)  # (B, features, n_mels / 32, T / 32)
    torch.testing.assert_close(trunk(x), maps.flatten(2).max(dim=2).values, rtol=0, atol=0)
