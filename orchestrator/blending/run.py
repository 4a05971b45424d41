"""The work of the blend's job: collect the members, tune their weights, write the blended predictions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from features.files import save_npy
from features.manifest import Manifest
from orchestrator.blending.members import stitch
from orchestrator.blending.result import Blend
from orchestrator.blending.studies import database_url
from orchestrator.blending.tune import tune_blend
from orchestrator.grids.ensembles import member_weights
from orchestrator.grids.recipe import BlendSettings

__all__ = ["run_blend"]


def run_blend(
    inputs: Mapping[str, Sequence[Path]],
    manifest: Manifest,
    settings: BlendSettings,
    paper: Mapping[str, float] | None,
    folder: Path,
    study: str | None = None,
) -> dict[str, Any]:
    """Tune the weights of all members; writes `blend.json` and scores to a folder.

    `oof.npy` (N, C) and `test.npy` (T, C) are scores by the weights, `nested.npy` (N, C) those of each fold by weights
    that were tuned without it.

    Args:
        inputs: condition -> folders of its finished predictions, one per fold, fold 0 first.
        manifest: the clips.
        settings: how to search.
        paper: published weights by condition, tried as well.
        folder: where to write. Trials go to its `study.journal`, or to the database that the environment names.
        study: name of the studies in the database; by default the folder's name, which holds the node's signature.

    Returns:
        The facts for the done-mark.
    """
    # The node's signature holds no order of conditions, but the search depends on the order of members.
    found = stitch(dict(sorted(inputs.items())), manifest)
    clips = manifest.subset("curated")
    folds = clips["fold"].to_numpy()
    result = tune_blend(
        found.oof,
        manifest.targets("curated"),
        folds,
        settings,
        journal=folder / "study.journal",
        groups=np.unique(clips["group"].to_numpy(), return_inverse=True)[1],
        paper=None if paper is None else member_weights(found.members, paper).tolist(),
        database=database_url(),
        study=study or folder.name,
    )
    weights = np.array(result.weights)
    nested = np.empty(found.oof.shape[1:], dtype=np.float32)
    for fold, others in zip(np.unique(folds), result.fold_weights, strict=True):
        nested[folds == fold] = np.tensordot(np.array(others), found.oof[:, folds == fold], 1)
    save_npy(folder / "oof.npy", np.tensordot(weights, found.oof, 1).astype(np.float32))
    save_npy(folder / "nested.npy", nested)
    save_npy(folder / "test.npy", np.tensordot(weights, found.test, 1).astype(np.float32))
    Blend(found.members, result).write(folder)
    return {
        "members": len(found.members),
        "predictions": result.predictions,
        "oof_lwlrap": result.oof_lwlrap,
        "oof_lwlrap_nested": result.oof_lwlrap_nested,
    }
