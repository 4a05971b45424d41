"""What a job reads: the manifest and the results of finished nodes, as local folders in which every file is checked."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from features.manifest import Manifest
from orchestrator.jobs.spec import JobExecution, JobSpec
from orchestrator.store.interfaces import MarkReader

if TYPE_CHECKING:
    import torch

    from features.shards import ShardSet

__all__ = ["Inputs", "device_of", "open_shards", "resident_bytes"]


class Inputs:
    """The inputs of a job.

    Args:
        spec: the job.
        store: where its inputs are.
        progress: called after each input.

    Raises:
        DamagedInputError: a file is not what its done-mark says.
        StoreError: an input is not done.
    """

    def __init__(self, spec: JobSpec, store: MarkReader, progress: Callable[[], None] = lambda: None) -> None:
        self._manifest_folder = store.results_of(spec.manifest)
        self.folders: dict[str, tuple[Path, ...]] = {}
        """By role."""
        for role, names in spec.inputs.items():
            found = []
            for name in names:
                found.append(store.results_of(name))
                progress()
            self.folders[role] = tuple(found)

    @cached_property
    def manifest(self) -> Manifest:
        """The clips."""
        return Manifest.read(self._manifest_folder)

    def shards(self, subset: str) -> "ShardSet":
        """The features of a subset, clips in manifest order."""
        return open_shards(self.folders[subset], self.manifest, subset)


def open_shards(folders: Sequence[Path], manifest: Manifest, subset: str) -> "ShardSet":
    """The features of a subset in some folders, clips in manifest order."""
    from features.shards import ShardSet

    return ShardSet.open(folders).select(manifest.subset(subset)["clip"].tolist())


def device_of(execution: JobExecution) -> "torch.device":
    """Where a job's networks are: the GPU that it was given, or the CPU."""
    import torch

    return torch.device("cuda" if execution.gpus > 0 and torch.cuda.is_available() else "cpu")


def resident_bytes(execution: JobExecution) -> int:
    """`JobExecution.resident_bytes`, or 0 on a CPU, where all jobs of a machine share the mapped pages."""
    return execution.resident_bytes if device_of(execution).type == "cuda" else 0
