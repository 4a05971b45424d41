"""Batch norm in training: every stream goes through the trunk on its own and leaves its own statistics."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import trainers.loop
from trainers.checkpoints import snapshot_path
from trainers.loop import TrainJob, train
from trainers.network import Tagger
from trainers.randomness import seed_of
from trainers.streams import Stream
from trainers.weights import read_tensors

MakeJob = Callable[..., TrainJob]


def test_a_step_sees_each_stream_separately(make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job(batch_size=8, cycles=1, epochs=1, multitask=True, pseudo={"teacher": "A"})  # one step
    batches: dict[str, torch.Tensor] = {}
    batch = Stream.batch

    def kept(stream: Stream, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        x, y = batch(stream, step)
        assert step == 0
        batches[stream.name] = x
        return x, y

    seen: list[tuple[torch.Tensor, bool]] = []

    class Watched(Tagger):
        def embed(self, x: torch.Tensor) -> torch.Tensor:
            seen.append((x, self.training))
            return super().embed(x)

    monkeypatch.setattr(Stream, "batch", kept)
    monkeypatch.setattr(trainers.loop, "Tagger", Watched)
    assert train(job, tmp_path)
    assert list(batches) == ["curated", "noisy", "pseudo"]
    in_training = [x for x, training in seen if training]
    assert len(in_training) == 3
    assert all(torch.equal(x, wanted) for x, wanted in zip(in_training, batches.values(), strict=True))

    # The stem's running statistics, by the formula: each stream's mean and unbiased variance at a tenth, in turn.
    torch.manual_seed(seed_of(job.settings.seed, f"weights/{job.split}"))
    network = Tagger(job.settings.network, job.classes, noisy_head=True)
    stem = network.trunk.stem[0]  # type: ignore[union-attr, index]
    assert isinstance(stem, nn.Conv2d)
    mean, variance = np.zeros(4), np.ones(4)
    for x in batches.values():
        db = 10 * np.log10(np.maximum(x.numpy().astype(np.float64), 1e-10))
        db = np.maximum(db, db.max(axis=(1, 2), keepdims=True) - 80)
        scaled = (db - db.mean(axis=(1, 2), keepdims=True)) / (db.std(axis=(1, 2), keepdims=True) + 1e-7)
        image = torch.from_numpy(scaled).transpose(1, 2)[:, None]
        maps = F.conv2d(image, stem.weight.detach().double(), stride=2, padding=3).numpy()
        mean = 0.9 * mean + 0.1 * maps.mean(axis=(0, 2, 3))
        variance = 0.9 * variance + 0.1 * maps.var(axis=(0, 2, 3), ddof=1)
    tensors, _ = read_tensors(snapshot_path(tmp_path, 1))
    np.testing.assert_allclose(tensors["trunk.stem.1.running_mean"], mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(tensors["trunk.stem.1.running_var"], variance, rtol=1e-4)
    assert int(tensors["trunk.stem.1.num_batches_tracked"]) == 3
