"""Fixtures: a generated dataset as toy shards, jobs made of them, and registries that forget what a test adds."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from features.manifest import Manifest, build_manifest
from features.settings import DataSettings, MelSettings, WaveformSettings
from features.shard_plan import plan_shards
from features.shards import ShardSet, build_shard
from features.synthetic import generate
from trainers import augment, losses
from trainers.loop import FoldClips, TrainJob
from trainers.pseudo import soft_labels
from trainers.registry import AUGMENTATIONS, LOSSES
from trainers.settings import TrainSettings

FOLDS = 3
FEATURES: dict[str, MelSettings | WaveformSettings] = {
    "mel": MelSettings(sample_rate_hz=16_000, n_mels=16, n_fft_samples=512, hop_samples=800, fmax_hz=8_000.0),
    "waveform": WaveformSettings(sample_rate_hz=16_000),
}
RESNET = {
    "network": {"kind": "resnet", "depth": 10, "width": 4, "head_units": 8},
    "crop": 16,
    "batch_size": 4,
    "cycles": 2,
    "epochs": 2,
    "lr_max": 1e-2,
    "augment": {"additional_crop": {}, "mixup": {}, "frequency_mask": {"low": 1, "high": 4}, "gain": {}},
}
ENVNET = {
    "network": {"kind": "envnet", "width": 4, "head_units": 8},
    "crop": 20_600,
    "batch_size": 4,
    "cycles": 2,
    "epochs": 1,
    "optimizer": "sgd",
    "lr_max": 1e-2,
    "augment": {"scale": {}, "bc_mix": {}, "gain_db": {}},
}


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Numbers depend on the number of threads, and tests share the machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    root = tmp_path_factory.mktemp("data") / "toy"
    generate(root, seed=3, curated=12, noisy=12, test=2)
    return root, build_manifest(root, DataSettings(folds=FOLDS))


@pytest.fixture(scope="session")
def shards(
    manifest: tuple[Path, Manifest], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], ShardSet]:
    """Shard sets by feature kind ('mel', 'waveform') and subset: clips of 11-81 frames, 8,000-64,000 samples."""
    root, clips = manifest
    store = tmp_path_factory.mktemp("store")
    sets = {}
    for kind, settings in FEATURES.items():
        folders: dict[str, list[Path]] = {}
        for plan in plan_shards(clips, settings):
            build_shard(plan, root, settings, store / kind / plan.name)
            folders.setdefault(plan.subset, []).append(store / kind / plan.name)
        for subset, built in folders.items():
            sets[kind, subset] = ShardSet.open(built).select(clips.subset(subset)["clip"].tolist())
    return sets


@pytest.fixture(scope="session")
def make_job(manifest: tuple[Path, Manifest], shards: dict[tuple[str, str], ShardSet]) -> Callable[..., TrainJob]:
    """A tiny job of the 'resnet' or 'envnet' kind; keyword arguments change its settings."""
    _, clips = manifest

    def make(kind: str = "resnet", fold: int = 0, job: dict[str, Any] | None = None, **changes: Any) -> TrainJob:
        settings = TrainSettings.model_validate({**(RESNET if kind == "resnet" else ENVNET), **changes})

        def split(subset: str) -> FoldClips:
            folds = clips.subset(subset)["fold"].to_numpy()
            return FoldClips(
                shards[settings.feature_kind, subset],
                clips.targets(subset),
                np.flatnonzero(folds != fold),
                np.flatnonzero(folds == fold),
            )

        noisy = split("noisy") if settings.multitask or settings.pseudo or settings.semi else None
        soft = None
        if settings.pseudo is not None:
            teacher = np.random.default_rng(1).random((2, 12, len(clips.classes)))
            soft = soft_labels(teacher, settings.pseudo.temperature)
        return TrainJob(
            settings, str(fold), len(clips.classes), split("curated"), noisy=noisy, soft_labels=soft, **(job or {})
        )

    return make


@pytest.fixture
def registry() -> Iterator[None]:
    """Forget after the test what it declares."""
    tables: list[dict[str, Any]] = [AUGMENTATIONS, augment.FUNCTIONS, LOSSES, losses.FUNCTIONS]
    before = [dict(table) for table in tables]
    yield
    for table, entries in zip(tables, before, strict=True):
        table.clear()
        table.update(entries)
