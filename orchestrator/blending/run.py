"""The work of the blend's job: collect the members, tune their weights, write the blended predictions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.files import save_npy
from features.manifest import Manifest
from orchestrator.blending.members import Members, stitch
from orchestrator.blending.result import Blend
from orchestrator.blending.tune import Parts, tune_blend
from orchestrator.grids.ensembles import member_weights
from orchestrator.grids.recipe import BlendSettings
from orchestrator.studies.storage import database_url

__all__ = ["find_parts", "run_blend"]

Inputs = Mapping[str, Sequence[Path]]


def run_blend(
    inputs: Inputs,
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
    found = _stitched(inputs, manifest)
    folds = manifest.subset("curated")["fold"].to_numpy()
    result = tune_blend(
        found.oof,
        manifest.targets("curated"),
        folds,
        settings,
        journal=folder / "study.journal",
        groups=_groups(manifest),
        paper=_weights(found, paper),
        database=database_url(),
        study=study or folder.name,
        members=list(map(str, found.members)),
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


def find_parts(
    inputs: Inputs, manifest: Manifest, settings: BlendSettings, paper: Mapping[str, float] | None
) -> tuple[Members, Parts]:
    """The members of a blend, and the weights that are found on all clips and without each fold; see `run_blend`."""
    found = _stitched(inputs, manifest)
    folds = manifest.subset("curated")["fold"].to_numpy()
    truth, published = manifest.targets("curated"), _weights(found, paper)
    return found, Parts.of(found.oof, truth, folds, settings, groups=_groups(manifest), paper=published)


def _stitched(inputs: Inputs, manifest: Manifest) -> Members:
    # The node's signature holds no order of conditions, but the search depends on the order of members.
    return stitch(dict(sorted(inputs.items())), manifest)


def _groups(manifest: Manifest) -> NDArray[np.int64]:
    """(N,) the group of each curated clip, as a number."""
    groups: NDArray[np.int64] = np.unique(manifest.subset("curated")["group"].to_numpy(), return_inverse=True)[1]
    return groups


def _weights(found: Members, paper: Mapping[str, float] | None) -> list[float] | None:
    """(M,) published weights of the members, if there are any."""
    return None if paper is None else list(map(float, member_weights(found.members, paper)))
