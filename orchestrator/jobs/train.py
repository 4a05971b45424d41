"""A training job: one condition without its held-out folds, by one worker or by several that share its batches."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from typing_extensions import override

from features.files import load_npy
from orchestrator.grids.condition import ConditionSettings
from orchestrator.jobs.execution import JobExecution, device_of, resident_bytes
from orchestrator.jobs.inputs import Inputs
from orchestrator.jobs.spec import Binding, JobSpec, Work
from orchestrator.store.node import Node, split_name
from orchestrator.store.results import TrainResult

if TYPE_CHECKING:
    from orchestrator.jobs.attempt import Attempt
    from trainers.loop import FoldClips, TrainJob
    from trainers.parallel import Group

__all__ = ["TrainSpec"]


@dataclass(frozen=True)
class TrainSpec(Work):
    """What is trained, on which folds."""

    condition: ConditionSettings
    held_out: tuple[int, ...]
    """Folds whose clips the job does not train on."""
    unrescued: str | None = None
    """Folder in the store of the same job without its rescue, from whose checkpoints it may start."""

    @override
    @classmethod
    def of(cls, node: Node, binding: Binding) -> Self:
        unrescued = binding.folder_of(node.unrescued) if node.unrescued else None
        return cls(binding.condition_of(node), node.held_out, unrescued)

    @override
    def do(self, spec: JobSpec, inputs: Inputs, attempt: "Attempt") -> Mapping[str, Any] | None:
        from trainers.checkpoints import snapshot_path
        from trainers.history import read_history
        from trainers.loop import train

        unrescued = attempt.store.earlier(self.unrescued) if self.unrescued else ()
        with _group(spec.execution) as group:
            job = self._job(spec.execution, inputs, attempt.earlier(), unrescued)
            if not train(job, attempt.folder, attempt, group):
                return None
        history = read_history(attempt.folder)
        return TrainResult(
            best_lwlrap=max(record["lwlrap"] for record in history),
            last_lwlrap=history[-1]["lwlrap"],
            snapshots=tuple(snapshot_path(attempt.folder, c + 1).name for c in range(self.condition.train.cycles)),
        ).to_json()

    def share(self, spec: JobSpec, inputs: Inputs) -> None:
        """Train as a further worker of the job, which writes nothing."""
        from trainers.loop import train

        with _group(spec.execution) as group, tempfile.TemporaryDirectory() as nowhere:
            train(self._job(spec.execution, inputs), Path(nowhere), group=group)

    def _job(
        self,
        execution: JobExecution,
        inputs: Inputs,
        earlier: Sequence[Path] = (),
        unrescued: Sequence[Path] = (),
    ) -> "TrainJob":
        from trainers.loop import TrainJob

        curated = self._clips(inputs, "curated")
        assert curated is not None
        folders = inputs.folders
        return TrainJob(
            settings=self.condition.train,
            split=split_name(self.held_out),
            classes=len(inputs.manifest.classes),
            curated=curated,
            noisy=self._clips(inputs, "noisy"),
            soft_labels=self._labels(folders, "noisy"),
            curated_labels=self._labels(folders, "curated"),
            start_from=_last_snapshot(folders["init"][0]) if "init" in folders else None,
            device=device_of(execution),
            resident_bytes=resident_bytes(execution),
            checkpoint_steps=execution.checkpoint_steps,
            earlier=earlier,
            unrescued=unrescued,
        )

    def _labels(self, folders: Mapping[str, Sequence[Path]], subset: str) -> np.ndarray | None:
        """(N, C) labels of a subset by teachers; None if there are none."""
        if "distill" in folders and (subset == "curated" or "pseudo" in self.condition.train.streams):
            return load_npy(folders["distill"][0] / f"{subset}.npy")
        return load_npy(folders["pseudo"][0] / "labels.npy") if "pseudo" in folders and subset == "noisy" else None

    def _clips(self, inputs: Inputs, subset: str) -> "FoldClips | None":
        """The clips of a subset, split by the held-out folds; None if the job does not use the subset."""
        from trainers.loop import FoldClips

        if subset not in inputs.folders:
            return None
        held_out = np.isin(inputs.manifest.subset(subset)["fold"].to_numpy(), self.held_out)  # (N,)
        return FoldClips(
            inputs.shards(subset), inputs.manifest.targets(subset), np.flatnonzero(~held_out), np.flatnonzero(held_out)
        )


def _group(execution: JobExecution) -> "Group":
    """The workers that share a training job."""
    from trainers.parallel import Group, Workers

    return Workers(device_of(execution)) if execution.workers > 1 else Group()


def _last_snapshot(folder: Path) -> Path:
    return max(folder.glob("snapshot-*.safetensors"), key=lambda path: int(path.stem.split("-")[1]))
