"""Decibels normalised by data set instead of clip by clip."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from trainers.checkpoints import snapshot_path
from trainers.clips import ClipBank, MemoryClips
from trainers.loop import TrainJob, train
from trainers.network import Tagger, decibel_statistics
from trainers.predict import predict
from trainers.settings import ResNetSettings, TrainSettings
from trainers.weights import load_snapshot, read_tensors, save_snapshot

MakeJob = Callable[..., TrainJob]
CPU = torch.device("cpu")
SMALL = ResNetSettings(depth=10, width=4, head_units=8)
DATASET = SMALL.model_copy(update={"normalise": "dataset"})
NETWORK = {"kind": "resnet", "depth": 10, "width": 4, "head_units": 8, "normalise": "dataset"}


def decibels(power: NDArray[np.float32]) -> NDArray[np.float64]:
    """librosa's power_to_db: ref 1, floor 1e-10, top_db 80."""
    db = 10 * np.log10(np.maximum(power.astype(np.float64), 1e-10))
    return np.maximum(db, db.max() - 80)


def clips() -> MemoryClips:
    rng = np.random.default_rng(0)
    arrays = [(10 ** rng.uniform(-14, 3, (n, 16))).astype(np.float32) for n in (5, 40, 1, 22, 9)]
    arrays[3][:] = 0
    return MemoryClips(arrays)


def test_statistics_are_over_all_values_of_the_chosen_clips() -> None:
    rows = np.array([0, 1, 3])
    values = np.concatenate([decibels(clips().array(row)).ravel() for row in rows])
    mean, deviation = decibel_statistics(clips(), rows)
    assert mean == pytest.approx(values.mean(), rel=1e-6)
    assert deviation == pytest.approx(values.std(), rel=1e-6)
    assert decibel_statistics(clips(), rows) == (mean, deviation)
    assert decibel_statistics(clips(), np.array([3])) == (-100.0, 0.0)


def test_decibels_are_normalised_by_the_networks_numbers() -> None:
    network = Tagger(DATASET, 7, noisy_head=False).eval()
    network.fit_normalisation(clips(), np.array([0, 1, 3]))
    values = np.concatenate([decibels(clips().array(row)).ravel() for row in (0, 1, 3)])
    seen: list[torch.Tensor] = []
    network.trunk.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for row in range(5):
        network(torch.from_numpy(clips().array(row))[None])
        wanted = (decibels(clips().array(row)) - values.mean()) / values.std()
        np.testing.assert_allclose(seen[row][0], wanted, atol=2e-5)


def test_silence_alone_gives_finite_scores() -> None:
    network = Tagger(DATASET, 7, noisy_head=False).eval()
    network.fit_normalisation(MemoryClips([np.zeros((9, 16), np.float32)]), np.array([0]))
    assert network(torch.zeros(2, 9, 16)).isfinite().all()


def test_a_network_by_clip_has_no_numbers_of_a_data_set(tmp_path: Path) -> None:
    network = Tagger(SMALL, 7, noisy_head=True)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.fit_normalisation(clips(), np.arange(5))
    assert not [name for name in before if "db_" in name]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    save_snapshot(tmp_path / "clip.safetensors", network, {})
    load_snapshot(tmp_path / "clip.safetensors", Tagger(SMALL, 7, noisy_head=True))


def test_a_job_takes_its_training_folds_plain_curated_clips(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job(network=NETWORK, cycles=2, epochs=1, multitask=True, precise_bn=True)
    train(job, tmp_path)
    values = np.concatenate([decibels(job.curated.shards.array(row)).ravel() for row in job.curated.train_rows])
    assert 0 < len(job.curated.train_rows) < len(job.curated.targets)
    for name in ("snapshot-1.safetensors", "snapshot-2.safetensors"):
        tensors, _ = read_tensors(tmp_path / name)
        assert float(tensors["db_mean"]) == pytest.approx(values.mean(), rel=1e-5)
        assert float(tensors["db_deviation"]) == pytest.approx(values.std(), rel=1e-5)
    checkpoint, _ = read_tensors(tmp_path / "checkpoint.safetensors")
    assert torch.equal(checkpoint["network.network.db_mean"], tensors["db_mean"])


def test_predictions_use_the_snapshots_numbers_and_warm_starts_their_own(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job(network=NETWORK, cycles=1, epochs=1)
    torch.manual_seed(0)
    network = Tagger(job.settings.network, job.classes, noisy_head=False)
    network.db_mean.fill_(-17.5)
    network.db_deviation.fill_(3.25)
    save_snapshot(tmp_path / "start.safetensors", network, {})
    read = Tagger(job.settings.network, job.classes, noisy_head=False)
    load_snapshot(tmp_path / "start.safetensors", read)
    bank, rows = ClipBank(job.curated.shards, CPU), np.arange(4)
    np.testing.assert_array_equal(predict([read], bank, rows, [0]), predict([network], bank, rows, [0]))
    read.db_mean.zero_()
    assert np.abs(predict([read], bank, rows, [0]) - predict([network], bank, rows, [0])).max() > 1e-3
    # What a training starts from may have been trained on other features.
    train(dataclasses.replace(job, start_from=tmp_path / "start.safetensors"), tmp_path / "job")
    tensors, _ = read_tensors(snapshot_path(tmp_path / "job", 1))
    mean, deviation = decibel_statistics(job.curated.shards, job.curated.train_rows)
    assert (float(tensors["db_mean"]), float(tensors["db_deviation"])) == pytest.approx((mean, deviation), rel=1e-6)
    assert abs(mean + 17.5) > 1


def test_it_is_a_switch_of_mel_networks() -> None:
    assert ResNetSettings().normalise == "clip"
    with pytest.raises(ValueError, match="normalise"):
        TrainSettings.model_validate({"network": {"kind": "resnet", "normalise": "global"}})
    with pytest.raises(ValueError, match=r"network\.envnet\.normalise\n  Extra inputs"):
        TrainSettings.model_validate({"network": {"kind": "envnet", "normalise": "clip"}, "crop": 30_000})
