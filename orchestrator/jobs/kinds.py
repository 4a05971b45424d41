"""What a node does, in whatever process it runs: reads its inputs' folders, computes, writes its own folder.

`run_job` is the only entry. It knows neither the scheduler nor Ray: the inline executor calls it in the driver, the Ray
executor in a worker, a developer in a debugger.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from features.errors import (
    JobError,
)  # fmt: skip
from features.files import load_npy, save_npy
from features.manifest import Manifest
from features.shards import ShardSet, build_shard
from orchestrator.grids.condition import ConditionSettings
from orchestrator.jobs.attempt import Attempt
from orchestrator.jobs.spec import JobSpec
from orchestrator.store.interfaces import WorkerStore
from orchestrator.store.node import Kind, split_name
from orchestrator.store.results import PredictResult, TrainResult

__all__ = []


class _Inputs:
    """What a job reads: local folders, every file checked."""

    def __init__(self, spec: JobSpec, store: WorkerStore, progress: Callable[[], None] = lambda: None) -> None:
        self.spec = spec
        self.manifest_folder = store.results_of(spec.manifest)
        self.folders: dict[str, tuple[Path, ...]] = {}
        for role, names in spec.inputs.items():
            found = []
            for name in names:
                found.append(store.results_of(name))
                progress()
            self.folders[role] = tuple(found)

    def manifest(self) -> Manifest:
        """The clips."""
        return Manifest.read(self.manifest_folder)


def _shard(inputs: _Inputs, attempt: Attempt) -> dict[str, Any]:
    import torch

    spec = inputs.spec
    assert spec.shard is not None
    torch.set_num_threads(1)  # one shard a core: more threads only wait for each other
    built = build_shard(spec.shard, spec.data_root, spec.settings, attempt.folder, attempt.progress)  # type: ignore[arg-type]
    return dict(built)


def _train(inputs: _Inputs, attempt: Attempt) -> Mapping[str, Any] | None:
    from trainers.checkpoints import snapshot_path
    from trainers.history import read_history
    from trainers.loop import train

    spec = inputs.spec
    unrescued = attempt.store.earlier(spec.unrescued, 0) if spec.unrescued else ()
    with _group(spec) as group:
        if not train(_train_job(inputs, attempt.earlier(), unrescued), attempt.folder, attempt, group):
            return None
    assert spec.condition is not None
    history = read_history(attempt.folder)
    return TrainResult(
        best_lwlrap=max(record["lwlrap"] for record in history),
        last_lwlrap=history[-1]["lwlrap"],
        snapshots=tuple(snapshot_path(attempt.folder, c + 1).name for c in range(spec.condition.train.cycles)),
    ).to_json()


def _group(spec: JobSpec) -> Any:
    """The workers that share a training job."""
    from trainers.parallel import Group, Workers

    return Workers(_device(spec)) if spec.workers > 1 else Group()


def _train_job(inputs: _Inputs, earlier: Sequence[Path] = (), unrescued: Sequence[Path] = ()) -> Any:
    from trainers.loop import FoldClips, TrainJob

    spec = inputs.spec
    assert spec.condition is not None
    settings = spec.condition.train
    manifest = inputs.manifest()

    def clips(subset: str) -> FoldClips | None:
        if subset not in inputs.folders:
            return None
        fold = manifest.subset(subset)["fold"].to_numpy()
        return FoldClips(
            _shards(inputs, manifest, subset),
            manifest.targets(subset),
            np.flatnonzero(~np.isin(fold, spec.held_out)),
            np.flatnonzero(np.isin(fold, spec.held_out)),
        )

    curated = clips("curated")
    assert curated is not None
    start = None
    if "init" in inputs.folders:
        folder = inputs.folders["init"][0]
        start = max(folder.glob("snapshot-*.safetensors"), key=lambda p: int(p.stem.split("-")[1]))
    return TrainJob(
        settings,
        split_name(spec.held_out),
        len(manifest.classes),
        curated,
        clips("noisy"),
        load_npy(inputs.folders["pseudo"][0] / "soft_labels.npy") if "pseudo" in inputs.folders else None,
        start,
        _device(spec),
        _resident_bytes(spec),
        spec.checkpoint_steps,
        earlier,
        unrescued,
    )


def _predict(inputs: _Inputs, attempt: Attempt) -> Mapping[str, Any]:
    import torch

    from trainers.clips import ClipBank
    from trainers.predict import predict

    spec = inputs.spec
    assert spec.condition is not None
    torch.set_num_threads(spec.condition.train.threads)
    manifest = inputs.manifest()
    device = _device(spec)
    networks = load_networks(inputs.folders["train"][0], spec.condition, len(manifest.classes), device)
    pads, heads = spec.condition.predict.pads, spec.condition.predict.heads
    shape = (len(networks), len(heads), len(pads), 0, len(manifest.classes))
    for subset in ("curated", "noisy", "test"):
        folds = manifest.subset(subset)["fold"].to_numpy()
        rows = np.flatnonzero(np.isin(folds, spec.held_out)) if subset == "curated" else np.arange(len(folds))
        scores = np.zeros(shape, dtype=np.float32)
        if len(rows):
            bank = ClipBank(_shards(inputs, manifest, subset), device, resident_bytes=_resident_bytes(spec))
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
                padding = spec.condition.train.padding
                scores = predict(  # (cycles, heads, pads, N, C)
                    networks, bank, rows, pads, heads=heads, padding=padding, progress=attempt.progress
                )
        if not np.isfinite(scores).all():
            raise JobError(f"{spec.name}: a score of the {subset} clips is not finite")
        save_npy(attempt.folder / f"{subset}.npy", scores)
    return PredictResult(len(networks), tuple(heads), tuple(pads), tuple(spec.extra["labels_seen"])).to_json()


def load_networks(folder: Path, condition: ConditionSettings, classes: int, device: Any) -> list[Any]:
    """The taggers of a finished training job, one a snapshot, cycle 1 first."""
    from trainers.checkpoints import snapshot_path
    from trainers.network import Tagger
    from trainers.weights import load_snapshot

    networks = []
    for cycle in range(1, condition.train.cycles + 1):
        network = Tagger(condition.train.network, classes, noisy_head=condition.train.multitask)
        load_snapshot(snapshot_path(folder, cycle), network)
        networks.append(network.to(device))
    return networks


def _pseudo(inputs: _Inputs, attempt: Attempt) -> dict[str, Any]:
    from trainers.pseudo import soft_labels

    # A teacher's snapshots and pads count alike; its noisy head has learnt the wrong labels too and is left out.
    teachers = inputs.folders["teacher"]
    curated = [load_npy(folder / "noisy.npy")[:, 0] for folder in teachers]  # (cycles, pads, N, C) each
    stacked = np.concatenate([scores.reshape(-1, *scores.shape[2:]) for scores in curated])
    save_npy(attempt.folder / "soft_labels.npy", soft_labels(stacked, float(inputs.spec.extra["temperature"])))
    return {"models": len(stacked)}


def _blend(inputs: _Inputs, attempt: Attempt) -> dict[str, Any]:
    from orchestrator.blending.members import run_blend

    spec = inputs.spec
    paper = spec.extra["paper_weights"]
    return run_blend(inputs.folders, inputs.manifest(), spec.settings, paper, attempt.folder, spec.node)


def _shards(inputs: _Inputs, manifest: Manifest, subset: str) -> ShardSet:
    return open_shards(inputs.folders[subset], manifest, subset)


def open_shards(folders: Sequence[Path], manifest: Manifest, subset: str) -> ShardSet:
    """The features of a subset, clips in manifest order."""
    return ShardSet.open(folders).select(manifest.subset(subset)["clip"].tolist())


def _resident_bytes(spec: JobSpec) -> int:
    """Only a GPU gains from a copy: on a CPU the mapped pages are shared by all jobs of the machine."""
    return spec.resident_bytes if _device(spec).type == "cuda" else 0


def _device(spec: JobSpec) -> Any:
    import torch

    return torch.device("cuda" if spec.gpus > 0 and torch.cuda.is_available() else "cpu")


JOBS: dict[Kind, Callable[[_Inputs, Attempt], Mapping[str, Any] | None]] = {
    "shard": _shard,
    "train": _train,
    "predict": _predict,
    "pseudo": _pseudo,
    "blend": _blend,
}
