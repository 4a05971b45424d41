"""Members of an ensemble: one (condition, cycle, head, pad) each, stitched from the folds' predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.manifest import Manifest
from orchestrator.blending.predictions import Predictions
from orchestrator.grids.ensembles import Member

__all__ = ["Members", "stitch"]


@dataclass(frozen=True)
class Members:
    """Predictions of M members."""

    members: tuple[Member, ...]
    oof: np.ndarray
    """(M, N, C) scores of the curated clips by the fold that did not train on them."""
    test: np.ndarray
    """(M, T, C) scores of the test clips, mean of the folds."""


def stitch(folders: Mapping[str, Sequence[Path]], manifest: Manifest) -> Members:
    """Collect the members of several conditions.

    Args:
        folders: condition -> folders of its finished predictions, one per fold, fold 0 first.
        manifest: the clips.
    """
    folds = manifest.subset("curated")["fold"].to_numpy()
    members: list[Member] = []
    oof, test = [], []
    for condition, by_fold in folders.items():
        parts = [Predictions.open(folder, manifest, (fold,)) for fold, folder in enumerate(by_fold)]
        about = parts[0].axes
        shape = (about.cycles, len(about.heads), len(about.pads))
        stitched = np.zeros((*shape, len(folds), len(manifest.classes)), dtype=np.float32)
        for part in parts:
            stitched[:, :, :, part.rows("curated")] = part.read("curated")  # (cycles, heads, pads, n, C)
        mean = np.mean([part.read("test") for part in parts], axis=0)  # (cycles, heads, pads, T, C)
        members += [
            Member(condition, cycle + 1, head, pad)
            for cycle in range(about.cycles)
            for head in about.heads
            for pad in about.pads
        ]
        # The size is given as a number, since -1 is undefined for arrays without test clips.
        oof.append(stitched.reshape(int(np.prod(shape)), *stitched.shape[3:]))
        test.append(mean.reshape(int(np.prod(shape)), *mean.shape[3:]))
    return Members(tuple(members), np.concatenate(oof), np.concatenate(test))
