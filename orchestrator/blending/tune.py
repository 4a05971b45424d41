"""Weights of an ensemble, and the score of the blend on clips that the weights were not tuned on.

Weights are means over 20 bags of the clips, half from greedy selection, half from stacking; or from selection alone
where clips that the weights never saw show that this is better. Of all that was tried, this generalises best, on few
clips and on many (docs/experiments.md). Optuna then looks for a better mixture (`search`).

Scores of weights on the predictions they were tuned on are too high. The whole procedure therefore also runs once
without each fold and is scored on that fold: `oof_lwlrap_nested`.

A budget of K predictions allows K // folds members with a weight, since each member takes one prediction per fold. One
greedy selection on all clips chooses them; the bags weight them.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.blending.bagging import bag_all
from orchestrator.blending.contest import Floats
from orchestrator.blending.result import BlendResult
from orchestrator.blending.search import choose
from orchestrator.blending.studies import open_studies
from orchestrator.grids.recipe import BlendSettings

__all__ = ["tune_blend"]


def tune_blend(
    oof: NDArray[np.float32],
    truth: NDArray[np.bool_],
    folds: NDArray[np.integer],
    settings: BlendSettings,
    *,
    journal: Path,
    groups: NDArray[np.int64] | None = None,
    paper: Sequence[float] | None = None,
    database: str | None = None,
    study: str = "",
) -> BlendResult:
    """Tune ensemble weights on out-of-fold predictions and estimate their score on clips they were not tuned on.

    Equal inputs give equal results to the bit, wherever the trials are recorded. With a journal, a second call runs
    only the missing trials; studies of other inputs in it are left alone. With a database, each call replaces the
    studies of its name: they are for people to look at and are never read.

    Args:
        oof: (M, N, C) finite out-of-fold predictions of M members.
        truth: (N, C) bool or numbers, true where > 0.
        folds: (N,) the fold of each clip; at least two folds have labelled clips.
        settings: how long to search.
        journal: Optuna journal file, created if missing; not used with a database.
        groups: (N,) whole numbers; clips of one group are resampled together. None: each clip alone.
        paper: (M,) published weights, on any scale.
        database: SQLAlchemy URL of an Optuna storage to use instead of the journal.
        study: name of the studies in the database, before 'all folds' or 'without fold K'.

    Returns:
        The weights and their scores. The scores equal `lwlrap(truth, blend)` except for rounding in near-ties.

    Raises:
        ValueError: shapes do not fit, a value is not finite, weights are negative or all zero, labels are missing, or
            the budget does not allow one member.
        InputError: the URL of the database is wrong, or its driver is missing.
        StoreError: the database fails.
    """
    oof = np.asarray(oof, dtype=np.float32)  # (M, N, C)
    positive = np.asarray(truth) > 0  # (N, C)
    _check(oof, positive, folds)
    names = np.unique(folds)
    n_folds = len(names)
    limit = _limit(settings.budget, len(oof), n_folds)
    groups = np.arange(len(folds)) if groups is None else groups
    uniform = np.full(len(oof), 1 / len(oof))
    published = None if paper is None else _normalised(paper, members=len(oof))

    more = () if published is None else (published,)
    inputs = _fingerprint(oof, positive, folds, groups, *more, np.array([settings.seed, limit]))
    labelled = _labelled(positive, folds)
    parts = np.stack([np.ones(len(folds), dtype=bool), *(folds != fold for fold in labelled)])  # (S, N)
    found = bag_all(
        oof,
        positive,
        groups,
        parts,
        seed=settings.seed,
        limit=None if limit == len(oof) else limit,
        published=published,
    )
    contest = found[0].contest
    with open_studies(journal, inputs, database, study) as studies:
        studied = [choose(found[0], groups, settings, studies, "all folds")]
        for fold, bagged in zip(labelled, found[1:], strict=True):
            studied.append(choose(bagged, groups, settings, studies, f"without fold {fold}"))
    weights, *others = (bagged.weights(mixture) for bagged, mixture in zip(found, studied, strict=True))
    without = dict(zip(labelled.tolist(), others, strict=True))
    held_out = [contest.precisions(contest.mix(without[fold]))[folds[contest.clips] == fold] for fold in without]
    return BlendResult(
        weights=tuple(weights.tolist()),
        oof_lwlrap=contest.score(weights),
        oof_lwlrap_nested=float(np.concatenate(held_out).mean()),
        uniform_oof_lwlrap=contest.score(uniform),
        paper_oof_lwlrap=None if published is None else contest.score(published),
        greedy_oof_lwlrap=contest.score(found[0].on_all[-1]),
        predictions=int(np.count_nonzero(weights)) * n_folds,
        mixture=asdict(studied[0]),
        fold_weights=tuple(tuple(without.get(fold, weights).tolist()) for fold in names.tolist()),
    )


def _check(oof: NDArray[np.float32], truth: NDArray[np.bool_], folds: NDArray[np.integer]) -> None:
    """Refuse inputs that do not fit each other or cannot be scored."""
    if oof.ndim != 3 or oof.shape[1:] != truth.shape or len(oof) == 0 or folds.shape != truth.shape[:1]:
        raise ValueError(
            f"oof {oof.shape}, truth {truth.shape} and folds {folds.shape} must have shapes (M, N, C), (N, C), (N,)."
        )
    if not np.isfinite(oof).all():
        member = int(np.argmin(np.isfinite(oof).all(axis=(1, 2))))
        raise ValueError(f"member {member} predicts NaN or infinite values; leave it out or train it again.")
    if len(_labelled(truth, folds)) < 2:
        raise ValueError("fewer than two folds have labelled clips, so weights cannot be scored on clips held out.")


def _labelled(truth: NDArray[np.bool_], folds: NDArray[np.integer]) -> NDArray[np.integer]:
    """The folds that have labelled clips."""
    return np.unique(folds[truth.any(axis=1)])


def _limit(budget: int | None, members: int, folds: int) -> int:
    """The number of members that may have a weight."""
    limit = members if budget is None else min(budget // folds, members)
    if limit == 0:
        raise ValueError(f"budget {budget} is less than one member takes: {folds} predictions, one per fold.")
    return limit


def _normalised(weights: Sequence[float], *, members: int) -> Floats:
    """Weights (M,) scaled to sum 1."""
    array = np.asarray(weights, dtype=np.float64)  # (M,)
    if array.shape != (members,) or not np.isfinite(array).all() or (array < 0).any() or array.sum() == 0:
        raise ValueError(f"paper must hold {members} weights, one per member, none negative and not all 0: {weights}.")
    normalised: Floats = array / array.sum()
    return normalised


def _fingerprint(*arrays: NDArray[Any]) -> str:
    """Hash of arrays: the name of their studies in the journal."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]
