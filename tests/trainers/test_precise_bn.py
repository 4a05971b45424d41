"""Snapshots with batch-norm statistics of their own."""

from pathlib import Path

import numpy as np
import torch

from trainers.checkpoints import snapshot_path
from trainers.clips import MemoryClips
from trainers.history import read_history
from trainers.loop import FoldClips, TrainJob, train
from trainers.settings import TrainSettings
from trainers.weights import read_tensors

SETTINGS = {
    "network": {"kind": "resnet", "depth": 10, "width": 4, "head_units": 8},
    "crop": 16,
    "batch_size": 4,
    "cycles": 2,
    "epochs": 1,
    "augment": {"mixup": {}},
    "multitask": True,
}


def job(scale: float, *, precise_bn: bool) -> TrainJob:
    """Curated clips of noise; noisy clips `scale` times as uneven."""
    rng = np.random.default_rng(0)

    def clips(spread: float) -> FoldClips:
        arrays = [np.exp(spread * rng.standard_normal((20, 16))).astype(np.float32) for _ in range(12)]
        targets = np.eye(3, dtype=np.float32)[np.arange(12) % 3]
        return FoldClips(MemoryClips(arrays), targets, np.arange(8), np.arange(8, 12))

    settings = TrainSettings.model_validate({**SETTINGS, "precise_bn": precise_bn})
    return TrainJob(settings, "0", 3, clips(1.0), clips(scale))


def test_only_the_statistics_of_snapshots_differ(tmp_path: Path) -> None:
    for name, precise in (("running", False), ("precise", True)):
        (tmp_path / name).mkdir()
        assert train(job(3.0, precise_bn=precise), tmp_path / name)
    first, second = (read_history(tmp_path / name) for name in ("running", "precise"))
    assert [r["loss_curated"] for r in first] == [r["loss_curated"] for r in second], "training goes on unchanged"
    assert [r["lwlrap"] for r in first] == [r["lwlrap"] for r in second]
    a, b = (read_tensors(snapshot_path(tmp_path / name, 2))[0] for name in ("running", "precise"))
    for key, value in a.items():
        differs = key.endswith(("running_mean", "running_var", "num_batches_tracked"))
        assert torch.equal(value, b[key]) != differs or key.endswith("num_batches_tracked"), key
    assert int(b["trunk.stem.1.num_batches_tracked"]) == 2, "one pass over eight curated clips, and no noisy one"
