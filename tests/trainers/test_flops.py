"""Counted operations against sums by hand, and against what training and prediction really run."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from trainers.clips import ClipBank, MemoryClips
from trainers.flops import (
    Clips,
    checkpoint_bytes,
    clip_flops,
    crop_flops,
    prediction_flops,
    snapshot_bytes,
    training_flops,
)
from trainers.loop import TrainJob, train
from trainers.network import Tagger
from trainers.predict import predict
from trainers.settings import EnvNetSettings, NetworkSettings, ResNetSettings
from trainers.weights import save_checkpoint, save_snapshot

TINY = ResNetSettings(depth=10, width=4, head_units=8)
FULL = [
    (ResNetSettings(), 128, (100, 129, 333, 601, 979, 1_921, 7_373)),
    (EnvNetSettings(), None, (13_230, 44_100, 661_500, 2_540_160)),
]


@pytest.mark.parametrize(("network", "n_mels", "lengths"), FULL)
def test_whole_clips_are_interpolated_within_two_percent(
    network: NetworkSettings, n_mels: int | None, lengths: tuple[int, ...]
) -> None:
    with torch.device("meta"):
        tagger = Tagger(network, 1, noisy_head=False).eval()
    direct = []
    for length in (max(length, tagger.min_length) for length in lengths):
        x = torch.empty((1, length) if n_mels is None else (1, length, n_mels), device="meta")
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            tagger.embed(x)
        direct.append(counter.get_total_flops())
    counted = clip_flops(network, n_mels, np.array(lengths))
    # Below two seconds or so, strides round a length up by several percent; what such clips cost hardly matters.
    assert counted[2:] == pytest.approx(direct[2:], rel=0.02)
    assert counted[:2] == pytest.approx(direct[:2], rel=0.1)
    assert counted.sum() == pytest.approx(sum(direct), rel=0.01)


def test_backward_of_full_networks_is_about_twice_forward() -> None:
    for network, n_mels, crop in [(ResNetSettings(), 128, 512), (EnvNetSettings(), None, 133_300)]:
        counted = crop_flops(network, 80, crop, n_mels)
        assert 1.9 < counted.backward / counted.forward < 2.0


def test_prediction_is_counted_as_it_runs() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(100, 900, 12)
    bank = ClipBank(
        MemoryClips([rng.random((n, 16), dtype=np.float32) for n in lengths]), torch.device("cpu"), resident_bytes=0
    )
    networks = [Tagger(TINY, 5, noisy_head=True) for _ in range(2)]
    with FlopCounterMode(display=False) as counter:
        predict(networks, bank, np.arange(12), [4, 32], heads=["curated", "noisy"])
    counted = 2 * prediction_flops(TINY, 5, 16, Clips(lengths), (4, 32), heads=2)
    assert counted == pytest.approx(counter.get_total_flops(), rel=0.02)
    assert prediction_flops(TINY, 5, 16, Clips(lengths[:0]), (4,)) == 0


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("resnet", {"precise_bn": True}),
        ("resnet", {"multitask": True, "pseudo": {"teacher": "A"}, "cycles": 1}),
        ("envnet", {"multitask": True, "noisy": "folds", "validate_noisy": True, "cycles": 1}),
    ],
)
def test_training_is_counted_as_it_runs(
    make_job: Callable[..., TrainJob], tmp_path: Path, kind: str, changes: dict[str, object]
) -> None:
    job = make_job(kind, **changes)
    with FlopCounterMode(display=False) as counter:
        assert train(job, tmp_path)
    subsets = [job.curated] + ([job.noisy] if job.noisy is not None and job.settings.validate_noisy else [])
    valid = [Clips(np.asarray(subset.shards.lengths)[subset.valid_rows]) for subset in subsets]
    n_mels = job.curated.shards.n_mels
    counted = training_flops(job.settings, job.classes, n_mels, len(job.curated.train_rows), valid)
    # These clips are as short as the rounding of strides, where lengths are interpolated least well.
    assert counted == pytest.approx(counter.get_total_flops(), rel=0.05)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_bytes_are_those_of_the_files(tmp_path: Path, optimizer: str) -> None:
    network = Tagger(TINY, 5, noisy_head=True)
    save_snapshot(tmp_path / "snapshot", network, {})
    states = {
        "adam": torch.optim.Adam(network.parameters()),
        "sgd": torch.optim.SGD(network.parameters(), momentum=0.9),
    }
    network(torch.rand(2, 32, 16)).sum().backward()
    for parameter in network.heads["noisy"].parameters():
        parameter.grad = torch.zeros_like(parameter)
    states[optimizer].step()
    save_checkpoint(tmp_path / "checkpoint", network, states[optimizer], {})
    files = {
        tmp_path / "snapshot": snapshot_bytes(TINY, 5, 16, noisy_head=True),
        tmp_path / "checkpoint": checkpoint_bytes(TINY, 5, 16, noisy_head=True, optimizer=optimizer),
    }
    for path, counted in files.items():
        header = 8 + int.from_bytes(path.read_bytes()[:8], "little")  # safetensors: a length and a JSON header
        assert path.stat().st_size - header == pytest.approx(counted, abs=1000)
