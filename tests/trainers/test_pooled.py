"""Statistics over time: against numpy, whatever surrounds a clip; standardised on a fold's training clips."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from trainers.checkpoints import snapshot_path
from trainers.clips import ClipBank, MemoryClips
from trainers.history import read_history
from trainers.loop import FoldClips, TrainJob, train
from trainers.lwlrap import lwlrap
from trainers.network import Tagger
from trainers.network_settings import STATISTICS, PooledSettings, ResNetSettings, Statistic
from trainers.pooled import PooledTrunk, frames_with_power, statistics_over_time
from trainers.predict import predict
from trainers.settings import TrainSettings
from trainers.supervisor import Stop, Supervisor
from trainers.weights import load_snapshot, read_tensors

MakeJob = Callable[..., TrainJob]
CPU = torch.device("cpu")
POOLED: dict[str, Any] = {"network": {"kind": "pooled"}, "crop": 96, "augment": {}}


def decibels(power: NDArray[np.float32]) -> NDArray[np.float64]:
    """librosa's power_to_db: ref 1, floor 1e-10, top_db 80."""
    db = 10 * np.log10(np.maximum(power.astype(np.float64), 1e-10))
    return np.maximum(db, db.max() - 80)


def by_hand(power: NDArray[np.float32], names: Sequence[Statistic] = STATISTICS) -> NDArray[np.float64]:
    """Statistics of a clip without silent frames."""
    db = decibels(power)
    found = {"mean": db.mean(axis=0), "deviation": db.std(axis=0), "maximum": db.max(axis=0)}
    for name, lag in (("difference", 1), ("difference_2", 2), ("difference_4", 4), ("difference_8", 8)):
        steps = db[lag:] - db[:-lag]
        found[name] = np.sqrt(np.square(steps).mean(axis=0)) if len(steps) else np.zeros(db.shape[1])
    return np.concatenate([found[name] for name in names])


def clips(*lengths: int, bands: int = 16, seed: int = 0) -> MemoryClips:
    rng = np.random.default_rng(seed)
    return MemoryClips([(10 ** rng.uniform(-3, 3, (n, bands))).astype(np.float32) for n in lengths])


def test_statistics_are_numpys() -> None:
    for power in clips(1, 2, 8, 40).arrays:
        x = torch.from_numpy(power)[None]
        db = torch.from_numpy(decibels(power)).float()[None]
        every = statistics_over_time(db, frames_with_power(x), get_args(Statistic))
        np.testing.assert_allclose(every[0], by_hand(power, get_args(Statistic)), atol=1e-3)
        two = statistics_over_time(db, frames_with_power(x), ("maximum", "mean"))
        assert torch.equal(two, torch.cat([every[:, 32:48], every[:, :16]], dim=1)), "in the order of the names"


def test_what_surrounds_a_clip_does_not_count() -> None:
    network = Tagger(PooledSettings(), 7, noisy_head=False, bands=16)
    for power in clips(1, 30).arrays:
        padded = np.pad(power, ((9, 4), (0, 0)))
        for x in (power, padded):
            np.testing.assert_allclose(network.embed(torch.from_numpy(x)[None])[0].clamp(-9, 9),
                                       by_hand(power).clip(-9, 9), atol=1e-3)  # fmt: skip
    # A gap counts neither as frames nor as two steps into and out of silence.
    halves = clips(20, 20)
    gap = np.concatenate([halves.arrays[0], np.zeros((5, 16), np.float32), halves.arrays[1]])
    joined = network.embed(torch.from_numpy(np.concatenate(halves.arrays))[None])
    with_gap = network.embed(torch.from_numpy(gap)[None])
    assert torch.allclose(with_gap[:, :48], joined[:, :48], atol=1e-4)


def test_silence_has_finite_statistics() -> None:
    network = Tagger(PooledSettings(), 7, noisy_head=True, bands=16)
    silent = MemoryClips([np.zeros((9, 16), np.float32)])
    network.fit_normalisation(silent, np.array([0]))
    assert torch.equal(network.embed(torch.zeros(2, 9, 16)), torch.zeros(2, 64))
    assert network.embed(torch.from_numpy(clips(9).arrays[0])[None]).abs().max() <= 10


def test_standardised_on_the_chosen_clips() -> None:
    every, rows = clips(5, 40, 17, 22, 9), np.array([0, 1, 3])
    network = Tagger(PooledSettings(), 7, noisy_head=False, bands=16)
    network.fit_normalisation(every, rows)
    raw = np.stack([by_hand(every.arrays[row]) for row in rows])
    assert isinstance(network.trunk, PooledTrunk)
    np.testing.assert_allclose(network.trunk.mean, raw.mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(network.trunk.deviation, raw.std(axis=0), atol=1e-3)
    seen = torch.cat([network.embed(torch.from_numpy(every.arrays[row])[None]) for row in rows])
    torch.testing.assert_close(seen.mean(dim=0), torch.zeros(64), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen.std(dim=0, correction=0), torch.ones(64), atol=1e-3, rtol=0)


def test_heads() -> None:
    linear = Tagger(PooledSettings(), 7, noisy_head=True, bands=16)
    assert sorted(name for name, _ in linear.named_parameters()) == [
        "heads.curated.bias", "heads.curated.weight", "heads.noisy.bias", "heads.noisy.weight",
    ]  # fmt: skip
    assert not any(value.any() for value in linear.parameters())
    deep = Tagger(PooledSettings(head_units=8), 7, noisy_head=False, bands=16)
    assert len(list(deep.parameters())) == 6
    assert deep(torch.rand(3, 20, 16)).shape == (3, 7)


def test_a_sigmoid_starts_at_the_shares_of_the_classes(make_job: MakeJob, tmp_path: Path) -> None:
    targets = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0]], np.float32)
    for settings, expected in (
        (PooledSettings(), [3.5 / 4, 1.5 / 4, 0.5 / 4]),
        (PooledSettings(activation="softmax"), [1 / 3, 1 / 3, 1 / 3]),
    ):
        network = Tagger(settings, 3, noisy_head=True, bands=16)
        network.start_at_shares(targets)
        for head in ("curated", "noisy"):
            scores = network.scores(torch.zeros(1, 9, 16), head)[0]
            np.testing.assert_allclose(scores.detach(), expected, rtol=1e-5)
    deep = Tagger(PooledSettings(head_units=8), 3, noisy_head=False, bands=16)
    before = {name: value.clone() for name, value in deep.state_dict().items()}
    deep.start_at_shares(targets)
    assert all(torch.equal(value, before[name]) for name, value in deep.state_dict().items())
    # Few small steps: a job that starts at 0.5 stays there, and scores of its clips can't be compared.
    job = make_job(**POOLED, cycles=1, epochs=1, lr_max=1e-4)
    train(job, tmp_path)
    trained = Tagger(job.settings.network, job.classes, noisy_head=False, bands=16)
    load_snapshot(snapshot_path(tmp_path, 1), trained)
    scores = predict([trained], ClipBank(job.curated.shards, CPU), job.curated.valid_rows, [0])
    shares = job.curated.targets[job.curated.train_rows].mean()
    assert abs(scores.mean() - shares) < 0.1 < 0.5 - shares


def test_a_trunk_gets_statistics_beside_its_features() -> None:
    torch.manual_seed(0)
    settings = ResNetSettings(depth=10, width=4, head_units=8, statistics=("mean", "difference"))
    network = Tagger(settings, 7, noisy_head=False, bands=16).eval()
    x = torch.from_numpy(clips(70).arrays[0])[None]
    features = network.embed(x)
    assert features.shape == (1, 8 * 4 + 2 * 16)
    alone = Tagger(settings.model_copy(update={"statistics": ()}), 7, noisy_head=False)
    alone.load_state_dict({k: v for k, v in network.state_dict().items() if k.startswith("trunk")}, strict=False)
    assert torch.equal(features[:, :32], alone.eval().embed(x))
    wanted = by_hand(x[0].numpy())[np.r_[:16, 48:64]] / np.sqrt(1 + 1e-5)  # fresh running statistics: 0 and 1
    np.testing.assert_allclose(features[0, 32:].detach(), wanted, atol=1e-3)
    batch = torch.from_numpy(np.stack(clips(*[50] * 6).arrays))
    normal = network.train().embed(batch)[:, 32:]
    torch.testing.assert_close(normal.mean(dim=0), torch.zeros(32), atol=1e-4, rtol=0)


def test_a_job_measures_its_training_folds_curated_clips(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job(**POOLED, multitask=True, optimizer="adamw", weight_decay=0.1)
    assert train(job, tmp_path)
    raw = np.stack([by_hand(np.array(job.curated.shards.array(row))) for row in job.curated.train_rows])
    assert 0 < len(job.curated.train_rows) < len(job.curated.targets)
    for cycle in (1, 2):
        tensors, _ = read_tensors(snapshot_path(tmp_path, cycle))
        np.testing.assert_allclose(tensors["trunk.mean"], raw.mean(axis=0), atol=1e-3)
        assert tensors["heads.curated.weight"].any()
        assert tensors["heads.noisy.weight"].any()


class StopAfter(Supervisor):
    """Asks to stop at a step."""

    def __init__(self, step: int) -> None:
        self.left = step

    def stop(self) -> Stop:
        self.left -= 1
        return "now" if self.left == 0 else "no"


def test_a_stopped_job_has_the_bits_of_one_that_was_not(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job(**POOLED, optimizer="adamw", weight_decay=0.1)
    assert train(job, tmp_path / "whole")
    assert not train(job, tmp_path / "stopped", StopAfter(2))
    assert train(job, tmp_path / "stopped")
    whole, stopped = (read_tensors(snapshot_path(tmp_path / name, 2))[0] for name in ("whole", "stopped"))
    assert all(torch.equal(value, stopped[name]) for name, value in whole.items())


def test_predictions_take_the_standardisation_of_the_snapshot(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job(**POOLED, cycles=1)
    train(job, tmp_path)
    network = Tagger(job.settings.network, job.classes, noisy_head=False, bands=16)
    load_snapshot(snapshot_path(tmp_path, 1), network)
    bank = ClipBank(job.curated.shards, CPU)
    scores = predict([network], bank, job.curated.valid_rows, [0, 7])[0, 0]
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-5)  # pads do not count
    score = lwlrap(job.curated.targets[job.curated.valid_rows], scores[0])
    assert score == pytest.approx(read_history(tmp_path)[-1]["lwlrap"], abs=1e-6)


def test_it_learns_what_a_line_can_tell_apart(tmp_path: Path) -> None:
    """Three classes, each with its own loud band, and clips of other lengths: all right."""
    rng = np.random.default_rng(1)
    which = np.arange(60) % 3
    arrays = [np.exp(rng.standard_normal((int(rng.integers(15, 30)), 16))).astype(np.float32) for _ in which]
    for array, label in zip(arrays, which, strict=True):
        array[:, 4 * label + 2] *= 30
    split = FoldClips(MemoryClips(arrays), np.eye(3, dtype=np.float32)[which], np.arange(40), np.arange(40, 60))
    grid = {**POOLED, "batch_size": 8, "cycles": 1, "epochs": 10, "optimizer": "adamw", "lr_max": 0.1}
    job = TrainJob(TrainSettings.model_validate(grid), "0", 3, split)
    train(job, tmp_path)
    record = read_history(tmp_path)[-1]
    assert record["lwlrap"] > 0.95
    assert record["valid_loss"] < 0.3  # a constant guess: 0.637
    # Without the loud bands in training there is nothing to learn.
    shuffled = dataclasses.replace(split, targets=np.eye(3, dtype=np.float32)[rng.permutation(which)])
    (tmp_path / "shuffled").mkdir()
    train(dataclasses.replace(job, curated=shuffled), tmp_path / "shuffled")
    assert read_history(tmp_path / "shuffled")[-1]["lwlrap"] < 0.9
