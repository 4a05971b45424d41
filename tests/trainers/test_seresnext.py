"""The SE-ResNeXt-50 trunk."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from trainers.network import Tagger, parameter_count
from trainers.seresnext import SEResNeXtBlock, SEResNeXtTrunk, SqueezeExcite
from trainers.settings import SEResNeXtSettings, TrainSettings

SMALL = SEResNeXtSettings(width=4, head_units=8)


def trunk_parameters(width: int, groups: int) -> int:
    """Blocks of 1x1, grouped 3x3 and 1x1 convolutions, each with batch norm, and of the two layers of an SE module."""
    total = 7 * 7 * width + 2 * width
    channels = width
    for stage, blocks in enumerate((3, 4, 6, 3)):
        inner, out = 2 * width * 2**stage, 4 * width * 2**stage
        for block in range(blocks):
            total += channels * inner + 2 * inner
            total += 3 * 3 * inner * (inner // groups) + 2 * inner
            total += inner * out + 2 * out
            total += 2 * out * (out // 16) + out // 16 + out  # weights and biases
            if block == 0:
                total += channels * out + 2 * out
            channels = out
    return total


def test_the_full_trunk_is_32x4d() -> None:
    with torch.device("meta"):
        network = Tagger(SEResNeXtSettings(), 80, noisy_head=True)
    trunk = network.trunk
    # Published: 27,559,896 with 1,000 classes and a stem of three channels.
    published = 27_559_896 - (2_048 * 1_000 + 1_000) - 2 * 7 * 7 * 64
    assert parameter_count(trunk) == trunk_parameters(64, 32) == published == 25_504_624
    head = 2_048 * 1_024 + 1_024 + 1_024 * 1_024 + 1_024 + 1_024 * 80 + 80
    assert parameter_count(network) == published + 2 * head
    grouped = [m for m in trunk.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert {m.groups for m in grouped} == {32}
    assert [m.weight.shape[1] for m in grouped] == [4] * 3 + [8] * 4 + [16] * 6 + [32] * 3


@pytest.mark.parametrize("width", [4, 8, 20])
def test_small_widths_keep_four_channels_a_group(width: int) -> None:
    trunk = SEResNeXtTrunk(width)
    assert parameter_count(trunk) == trunk_parameters(width, width // 2)
    grouped = [m for m in trunk.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert [m.weight.shape[1] for m in grouped] == [4] * 3 + [8] * 4 + [16] * 6 + [32] * 3
    assert trunk.features == 32 * width


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("frames", [1, 33, 500])
def test_any_length_goes_through(frames: int, training: bool) -> None:
    network = Tagger(SMALL, 7, noisy_head=False).train(training)
    logits = network(torch.rand(2, frames, 64))
    assert logits.shape == (2, 7)
    assert logits.isfinite().all()
    logits.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_the_maximum_is_pooled_over_both_axes() -> None:
    trunk = SEResNeXtTrunk(4).eval()
    x = torch.randn(2, 70, 64)
    maps = trunk.stages(trunk.stem(x.transpose(1, 2).unsqueeze(1)))
    assert maps.shape == (2, 128, 2, 3)  # (B, features, n_mels / 32, T / 32)
    torch.testing.assert_close(trunk(x), maps.flatten(2).max(dim=2).values, rtol=0, atol=0)


def test_squeeze_and_excitation_is_the_formula() -> None:
    layer = SqueezeExcite(32)
    x = torch.randn(3, 32, 5, 7)
    w1, b1 = (value.detach().numpy() for value in layer.squeeze.parameters())
    w2, b2 = (value.detach().numpy() for value in layer.excite.parameters())
    hidden = np.maximum(x.numpy().mean(axis=(2, 3)) @ w1.T + b1, 0)
    factors = 1 / (1 + np.exp(-(hidden @ w2.T + b2)))
    np.testing.assert_allclose(layer(x).detach(), x.numpy() * factors[:, :, None, None], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("channels_in", "stride"), [(32, 1), (16, 1), (16, 2)])
def test_a_block_is_three_convolutions_and_a_shortcut(channels_in: int, stride: int) -> None:
    block = SEResNeXtBlock(channels_in, 32, stride, groups=2).eval()
    x = torch.randn(2, channels_in, 6, 8)
    scale = 1 / np.sqrt(1 + 1e-5)  # batch norm at its start

    def convolve(value: torch.Tensor, layer: nn.Conv2d) -> torch.Tensor:
        """Plain sums over the kernel, group by group."""
        pad, size = layer.padding[0], layer.kernel_size[0]
        assert isinstance(pad, int)
        step, weight = layer.stride[0], layer.weight.detach().numpy()
        source = np.pad(value.detach().numpy(), [(0, 0), (0, 0), (pad, pad), (pad, pad)])
        height, width = ((source.shape[axis] - size) // step + 1 for axis in (2, 3))
        out = np.zeros((len(source), len(weight), height, width), np.float32)
        outs, ins = len(weight) // layer.groups, source.shape[1] // layer.groups
        for channel in range(len(weight)):
            group = channel // outs
            for i in range(height):
                for j in range(width):
                    part = source[
                        :, group * ins : (group + 1) * ins, i * step : i * step + size, j * step : j * step + size
                    ]
                    out[:, channel, i, j] = (part * weight[channel]).sum(axis=(1, 2, 3))
        return torch.from_numpy(out)

    y = (convolve(x, block.conv1) * scale).relu()
    y = (convolve(y, block.conv2) * scale).relu()
    y = block.se(convolve(y, block.conv3) * scale)
    around = x
    if isinstance(block.shortcut, nn.Sequential):
        conv = block.shortcut[0]
        assert isinstance(conv, nn.Conv2d)
        around = convolve(x[:, :, ::stride, ::stride], conv) * scale
    else:
        assert (channels_in, stride) == (32, 1)
    torch.testing.assert_close(block(x), (y + around).relu(), rtol=1e-4, atol=1e-4)


def test_it_reads_mel_and_needs_a_width_in_fours() -> None:
    settings = TrainSettings.model_validate({"network": {"kind": "seresnext", "width": 8}, "augment": {"mixup": {}}})
    assert settings.network == SEResNeXtSettings(width=8)
    assert settings.feature_kind == "mel"
    assert SEResNeXtSettings().width == 64
    with pytest.raises(ValidationError, match="multiple of 4"):
        SEResNeXtSettings(width=6)
