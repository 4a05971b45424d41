"""Members of an ensemble: one (condition, cycle, head, pad) each, stitched from the folds' predictions."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from features.files import save_npy
from features.manifest import Manifest
from orchestrator.blending.predictions import Predictions
from orchestrator.blending.result import Blend
from orchestrator.blending.studies import OPTUNA_STORAGE
from orchestrator.blending.tune import tune_blend
from orchestrator.grids.ensembles import Member, member_weights
from orchestrator.grids.recipe import BlendSettings

__all__ = ["Members", "run_blend", "stitch"]


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
        folders: condition -> folders of its finished predictions, one a fold, fold 0 first.
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
        # By its number, as -1 is undefined where there are no test clips.
        oof.append(stitched.reshape(int(np.prod(shape)), *stitched.shape[3:]))
        test.append(mean.reshape(int(np.prod(shape)), *mean.shape[3:]))
    return Members(tuple(members), np.concatenate(oof), np.concatenate(test))


def run_blend(
    inputs: Mapping[str, Sequence[Path]],
    manifest: Manifest,
    settings: BlendSettings,
    paper: Mapping[str, float] | None,
    folder: Path,
    study: str | None = None,
) -> dict[str, Any]:
    """Tune the weights of all members; writes `blend.json`, `oof.npy` (N, C), `test.npy` (T, C) to the folder.

    The trials go to the folder's `study.journal`, or to the database that `SONOGRID_OPTUNA_STORAGE` names, under the
    name `study`: by default the folder's, which holds the node's signature.
    """
    found = stitch(inputs, manifest)
    result = tune_blend(
        found.oof,
        manifest.targets("curated"),
        manifest.subset("curated")["fold"].to_numpy(),
        settings,
        journal=folder / "study.journal",
        paper=None if paper is None else member_weights(found.members, paper).tolist(),
        database=os.environ.get(OPTUNA_STORAGE) or None,
        study=study or folder.name,
    )
    save_npy(folder / "oof.npy", np.tensordot(np.array(result.weights), found.oof, 1).astype(np.float32))
    save_npy(folder / "test.npy", np.tensordot(np.array(result.weights), found.test, 1).astype(np.float32))
    Blend(found.members, result).write(folder)
    return {
        "members": len(found.members),
        "predictions": result.predictions,
        "oof_lwlrap": result.oof_lwlrap,
        "oof_lwlrap_nested": result.oof_lwlrap_nested,
    }
