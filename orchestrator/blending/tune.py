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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.blending.bagging import Bagged, Mixture, bag_all
from orchestrator.blending.contest import Floats
from orchestrator.blending.result import BlendResult
from orchestrator.blending.search import choose
from orchestrator.grids.recipe import BlendSettings
from orchestrator.studies.record import open_studies

__all__ = ["Parts", "tune_blend"]


@dataclass(frozen=True)
class Parts:
    """The sets of clips on which weights are found: all clips, and all but those of each fold.

    Attributes:
        names: 'all folds' and 'without fold K', of the studies.
        bagged: the weights found on each set.
        folds: (N,) the fold of each clip.
        groups: (N,) the group of each clip.
        uniform: (M,) equal weights.
        published: (M,) published weights, or None.
        inputs: hash of all that the weights depend on.
    """

    names: tuple[str, ...]
    bagged: tuple[Bagged, ...]
    folds: NDArray[np.integer]
    groups: NDArray[np.int64]
    uniform: Floats
    published: Floats | None
    inputs: str

    @classmethod
    def of(
        cls,
        oof: NDArray[np.float32],
        truth: NDArray[np.bool_],
        folds: NDArray[np.integer],
        settings: BlendSettings,
        *,
        groups: NDArray[np.int64] | None = None,
        paper: Sequence[float] | None = None,
    ) -> "Parts":
        """Find weights on all sets of clips; see `tune_blend`."""
        oof = np.asarray(oof, dtype=np.float32)  # (M, N, C)
        positive = np.asarray(truth) > 0  # (N, C)
        _check(oof, positive, folds)
        limit = _limit(settings.budget, len(oof), len(np.unique(folds)))
        groups = np.arange(len(folds)) if groups is None else groups
        published = None if paper is None else _normalised(paper, members=len(oof))
        more = () if published is None else (published,)
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
        return cls(
            names=("all folds", *(f"without fold {fold}" for fold in labelled)),
            bagged=tuple(found),
            folds=folds,
            groups=groups,
            uniform=np.full(len(oof), 1 / len(oof)),
            published=published,
            inputs=_fingerprint(oof, positive, folds, groups, *more, np.array([settings.seed, limit])),
        )

    def result(self, mixtures: Sequence[Mixture]) -> BlendResult:
        """The weights by a mixture for each set of clips, and their scores."""
        contest = self.bagged[0].contest
        names = np.unique(self.folds)
        weights, *others = (bagged.weights(mixture) for bagged, mixture in zip(self.bagged, mixtures, strict=True))
        without = {int(name.rpartition(" ")[2]): other for name, other in zip(self.names[1:], others, strict=True)}
        held_out = [
            contest.precisions(contest.mix(without[fold]))[self.folds[contest.clips] == fold] for fold in without
        ]
        return BlendResult(
            weights=tuple(weights.tolist()),
            oof_lwlrap=contest.score(weights),
            oof_lwlrap_nested=float(np.concatenate(held_out).mean()),
            uniform_oof_lwlrap=contest.score(self.uniform),
            paper_oof_lwlrap=None if self.published is None else contest.score(self.published),
            greedy_oof_lwlrap=contest.score(self.bagged[0].on_all[-1]),
            predictions=int(np.count_nonzero(weights)) * len(names),
            mixture=asdict(mixtures[0]),
            fold_weights=tuple(tuple(without.get(fold, weights).tolist()) for fold in names.tolist()),
        )


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
    members: Sequence[str] = (),
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
        members: (M,) names; trials then have their weights by name.

    Returns:
        The weights and their scores. The scores equal `lwlrap(truth, blend)` except for rounding in near-ties.

    Raises:
        ValueError: shapes do not fit, a value is not finite, weights are negative or all zero, labels are missing, or
            the budget does not allow one member.
        InputError: the URL of the database is wrong, or its driver is missing.
        StoreError: the database fails.
    """
    parts = Parts.of(oof, truth, folds, settings, groups=groups, paper=paper)
    with open_studies(journal, parts.inputs, database, study) as studies:
        chosen = [
            choose(bagged, parts.groups, settings, studies, name, members)
            for name, bagged in zip(parts.names, parts.bagged, strict=True)
        ]
    return parts.result(chosen)


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
