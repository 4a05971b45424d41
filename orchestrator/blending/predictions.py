"""The folder of one prediction: which clips its arrays hold, in which order; the only place that writes and reads them.

    curated.npy   (cycles, heads, pads, N, C) scores of the curated clips in the predicted folds
    noisy.npy     the same of all noisy clips, only in folders of teachers
    test.npy      the same of all test clips

Clips are in manifest order. Cycles, heads and pads are listed in the result of the done-mark.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from features.errors import StoreError
from features.files import load_npy, read_json, save_npy
from features.manifest import Manifest, Subset
from orchestrator.store.marks import DoneMark
from orchestrator.store.results import PredictResult

__all__ = ["Predictions"]


@dataclass(frozen=True)
class Predictions:
    """The scores of one prediction job.

    Attributes:
        folder: where the arrays are.
        manifest: the clips and classes.
        folds: those whose curated clips are predicted.
        axes: cycles, heads and pads.
    """

    folder: Path
    manifest: Manifest
    folds: tuple[int, ...]
    axes: PredictResult

    @classmethod
    def open(cls, folder: Path, manifest: Manifest, folds: tuple[int, ...] = ()) -> Self:
        """The predictions in the folder of a finished job.

        Raises:
            StoreError: its done-mark is damaged.
        """
        path = folder / DoneMark.FILE
        return cls(folder, manifest, folds, PredictResult.of(DoneMark.from_json(read_json(path), str(path))))

    def rows(self, subset: Subset) -> np.ndarray:
        """(N,) positions in the subset of the clips that are predicted, in the order of the scores."""
        by_clip = self.manifest.subset(subset)["fold"].to_numpy()  # (N,)
        return np.flatnonzero(np.isin(by_clip, self.folds)) if subset == "curated" else np.arange(len(by_clip))

    def shape(self, subset: Subset) -> tuple[int, int, int, int, int]:
        """(cycles, heads, pads, N, C) of a subset's scores."""
        axes, manifest = self.axes, self.manifest
        return (axes.cycles, len(axes.heads), len(axes.pads), len(self.rows(subset)), len(manifest.classes))

    def write(self, subset: Subset, scores: np.ndarray) -> None:
        """Write the scores of a subset, of `shape(subset)`."""
        if scores.shape != self.shape(subset):
            raise ValueError(f"scores of shape {scores.shape} are not {self.shape(subset)}")
        save_npy(self.folder / f"{subset}.npy", scores)

    def read(self, subset: Subset) -> np.ndarray:
        """The scores of a subset, of `shape(subset)`.

        Raises:
            StoreError: the file is missing or damaged, or is of other clips, classes or networks.
        """
        path = self.folder / f"{subset}.npy"
        scores = load_npy(path)
        if scores.shape != self.shape(subset):
            raise StoreError(f"{path} has shape {scores.shape}; remove {self.folder} and launch again")
        return scores
