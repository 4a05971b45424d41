"""Counts on networks without numbers against sums by hand, and against networks with numbers."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from trainers.counts import COUNTS
from trainers.network import Tagger
from trainers.settings import EnvNetSettings, NetworkSettings, PooledSettings, ResNetSettings

TINY = ResNetSettings(depth=10, width=4, head_units=8)


def conv(kernel: int, channels_in: int, channels_out: int, height: int, width: int) -> int:
    return 2 * kernel * kernel * channels_in * channels_out * height * width


def test_a_tiny_resnet_counts_what_a_hand_counts() -> None:
    # 16 bands x 32 frames; the stem halves to 8 x 16, its pool to 4 x 8; later stages halve, upwards rounded.
    stem = conv(7, 1, 4, 8, 16)
    blocks = [conv(3, 4, 4, 4, 8) + conv(3, 4, 4, 4, 8)]
    for (c_in, c_out), (height, width) in zip([(4, 8), (8, 16), (16, 32)], [(2, 4), (1, 2), (1, 1)], strict=True):
        kernels = conv(3, c_in, c_out, height, width) + conv(3, c_out, c_out, height, width)
        blocks.append(kernels + conv(1, c_in, c_out, height, width))
    head = 2 * (32 * 8 + 8 * 8 + 8 * 5)
    forward, backward = COUNTS["crop"](TINY, 5, 32, 16)
    assert COUNTS["head"](TINY, 5, 16) == (head,)
    assert forward == stem + sum(blocks) + head
    # Backward: gradients of weights and of inputs cost as much as the product itself; the stem's input needs none.
    assert backward == 2 * forward - stem


@pytest.mark.parametrize(
    ("network", "n_mels", "length"),
    [
        (TINY, 16, 40),
        (TINY.model_copy(update={"statistics": ("mean", "maximum")}), 16, 40),
        (EnvNetSettings(width=4), None, 21_000),
        (PooledSettings(), 16, 40),
    ],
)
def test_a_count_without_numbers_is_the_count_with_them(
    network: NetworkSettings, n_mels: int | None, length: int
) -> None:
    x = torch.rand((2, length) if n_mels is None else (2, length, n_mels))
    with FlopCounterMode(display=False) as counter:
        Tagger(network, 5, noisy_head=True, bands=n_mels)(x).sum().backward()
    assert 2 * sum(COUNTS["crop"](network, 5, length, n_mels)) == counter.get_total_flops()
