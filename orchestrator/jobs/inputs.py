"""What a job reads: the manifest and the results of finished nodes, as local folders in which every file is checked."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from features.manifest import Manifest
from orchestrator.store.interfaces import MarkReader

if TYPE_CHECKING:
    from features.shards import ShardSet

__all__ = ["Inputs", "open_shards"]


class Inputs:
    """The inputs of a job.

    Args:
        manifest: name of the manifest's folder in the store.
        nodes: role -> names of the folders of finished nodes.
        store: where they are.
        progress: called after each input.

    Raises:
        DamagedInputError: an input is not done, or a file is not what its done-mark says.
    """

    def __init__(
        self,
        manifest: str,
        nodes: Mapping[str, Sequence[str]],
        store: MarkReader,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        self._manifest_folder = store.results_of(manifest)
        self.folders: dict[str, tuple[Path, ...]] = {}
        """By role."""
        for role, names in nodes.items():
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
