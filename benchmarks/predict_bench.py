"""Prediction on one core against the usual loop: clip by clip, network by network, pad by pad.

Both have the same small networks, three snapshots, with weights in the layout that a job loads them in, and give the
same scores.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from benchmarks.rows import Row, compare
from trainers.clips import ClipBank, MemoryClips
from trainers.network import Tagger
from trainers.predict import predict
from trainers.settings import NetworkSettings, PooledSettings, ReadSettings, ResNetSettings

NETWORKS: dict[str, NetworkSettings] = {
    "ResNet-10, width 8": ResNetSettings(depth=10, width=8, head_units=64),
    "statistics over time": PooledSettings(),
}
CLIPS, SNAPSHOTS, CLASSES, BANDS, PADS = 400, 3, 10, 64, (4, 16)
SECONDS = {"0.3 to 4 s": (0.3, 4.0), "2 s": (2.0, 2.0)}
"""Shortest and longest clip: few have one length, or all."""
FRAMES_PER_S = 50


@torch.inference_mode()
def clip_by_clip(networks: list[Tagger], clips: list[np.ndarray]) -> np.ndarray:
    """(networks, 1, pads, N, C) scores."""
    return np.stack(
        [
            [[torch.cat([network.scores(_padded(clip, pad)) for clip in clips]).numpy() for pad in PADS]]
            for network in networks
        ]
    )


def _padded(clip: np.ndarray, pad: int) -> torch.Tensor:
    return torch.nn.functional.pad(torch.from_numpy(clip), (0, 0, pad, pad))[None]


def rows(quick: bool) -> list[Row]:
    count = 6 if quick else CLIPS
    rng = np.random.default_rng(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found = []
    try:
        for lengths, between in SECONDS.items():
            frames = (FRAMES_PER_S * rng.uniform(*between, count)).astype(int)
            clips = [rng.random((length, BANDS), dtype=np.float32) for length in frames]
            for name, settings in NETWORKS.items():
                found.append(_row(f"{name}, clips of {lengths}", settings, clips, 1 if quick else 3))
    finally:
        torch.set_num_threads(threads)
    return found


def _row(name: str, settings: NetworkSettings, clips: list[np.ndarray], rounds: int) -> Row:
    torch.manual_seed(0)
    networks = [Tagger(settings, CLASSES, noisy_head=False, bands=BANDS).eval() for _ in range(SNAPSHOTS)]
    for network in networks:
        network.to(memory_format=torch.channels_last)
    bank = ClipBank(MemoryClips(clips), torch.device("cpu"))
    exact = ReadSettings(patience=0.0)
    ours: Callable[[ReadSettings], np.ndarray] = partial(_predict, networks, bank)
    np.testing.assert_allclose(ours(exact), clip_by_clip(networks, clips), atol=1e-4)
    return compare(
        f"prediction, one core: {name}", "peer: clip by clip", partial(ours, ReadSettings()),
        lambda: clip_by_clip(networks, clips), rounds,
    )  # fmt: skip


def _predict(networks: list[Tagger], bank: ClipBank, read: ReadSettings) -> np.ndarray:
    return predict(networks, bank, np.arange(len(bank.lengths)), PADS, read=read)
