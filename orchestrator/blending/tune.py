"""Ensemble weights: how much of each member goes into the blend, and what that is honestly worth.

Three weightings are scored first: uniform, the paper's (if given) and a greedy one. Optuna's CMA-ES then searches
around the best of them. A weighting must beat the earlier ones to replace them, so on a tie the simpler one stays, and
the result is never below a seed that the budget allows. Because weights that were tuned and scored on the same
predictions flatter themselves, the whole procedure also runs once without each fold and is scored on that fold:
`oof_lwlrap_nested`.

A budget of K predictions allows K // folds members with a weight, since each takes a prediction a fold. The greedy
selection then stops to take in new ones at that number, and the search moves only the weights of those taken.

Why CMA-ES: on synthetic members it improved on the greedy weights within 100 trials, at 2 ms (6 members) to 9 ms (34) a
trial. TPE found next to nothing in as many trials of 5 to 37 ms, and GP needs some 0.3 s a trial.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, FloatDistribution

from orchestrator.blending.result import BlendResult
from orchestrator.blending.studies import Studies, open_studies
from orchestrator.grids.recipe import BlendSettings
from trainers.lwlrap import Lwlrap

__all__ = ["tune_blend"]

Floats = NDArray[np.float64]

GREEDY_ROUNDS = 50  # later rounds change a weight by less than 2 %, which the search around them covers
REACH = 0.1  # how far the search moves the root of a weight, where the largest is 1; wider found less in 200 trials


class Contest:
    """What lwlrap of a non-negative blend depends on, for the labels of some clips.

    A class outranks a true label when the blend of their differences in score is at least 0. Where all members agree on
    the sign, every blend does: those classes are counted once, and only the K contested ones are mixed.

    Args:
        oof: (M, N, C) predictions.
        truth: (N, C) bool.
        clips: (N,) bool, the clips that count.
    """

    def __init__(self, oof: NDArray[np.float32], truth: NDArray[np.bool_], clips: NDArray[np.bool_]) -> None:
        metric = Lwlrap(truth & clips[:, None])
        own = oof[:, metric.clips, metric.labels]  # (M, P)
        lowest = np.full((len(metric.clips), truth.shape[1]), np.inf, dtype=np.float32)  # (P, C)
        highest = -lowest  # (P, C)
        for member, member_own in zip(oof, own, strict=True):
            difference = member[metric.clips] - member_own[:, None]  # (P, C)
            np.minimum(lowest, difference, out=lowest)
            np.maximum(highest, difference, out=highest)
        always = lowest >= 0  # (P, C), the true label itself included
        self._pairs, classes = np.nonzero((highest >= 0) & ~always)  # (K,), (K,)
        rows = metric.clips[self._pairs]  # (K,)
        self.differences = np.stack(  # (M, K)
            [member[rows, classes] - member_own[self._pairs] for member, member_own in zip(oof, own, strict=True)]
        )
        positive = truth[metric.clips]  # (P, C)
        self._ranks = always.sum(axis=1)  # (P,)
        self._hits = (always & positive).sum(axis=1)  # (P,)
        self._true = np.flatnonzero(positive[self._pairs, classes])  # which of the K are true labels themselves

    def precisions(self, mixed: NDArray[np.float32]) -> Floats:
        """Return the precision at each true label, (P,), for one mix of the differences, (K,)."""
        above = mixed >= 0  # (K,)
        ranks = self._ranks + np.bincount(self._pairs[above], minlength=len(self._ranks))  # (P,)
        true = self._true[above[self._true]]
        hits = self._hits + np.bincount(self._pairs[true], minlength=len(self._hits))  # (P,)
        precisions: Floats = hits / ranks  # (P,)
        return precisions

    def mix(self, weights: Floats) -> NDArray[np.float32]:
        """Blend the differences, (K,), with weights (M,)."""
        mixed: NDArray[np.float32] = weights.astype(np.float32) @ self.differences
        return mixed

    def score(self, weights: Floats) -> float:
        """Return lwlrap of the blend with weights (M,)."""
        return float(self.precisions(self.mix(weights)).mean())

    def greedy(self, limit: int | None = None) -> Floats:
        """Return greedy weights (M,): add the member that helps most, again and again, and keep the best stage.

        With `limit` members in, only those are added again.

        Source: Caruana et al., "Ensemble selection from libraries of models", ICML 2004 (selection with replacement).
        """
        counts = np.zeros(len(self.differences))  # (M,)
        total = np.zeros_like(self.differences[0])  # (K,)
        best, best_score = counts, -1.0
        for _ in range(GREEDY_ROUNDS):
            full = np.count_nonzero(counts) == limit
            candidates = np.flatnonzero(counts) if full else np.arange(len(counts))
            scores = [float(self.precisions(total + self.differences[m]).mean()) for m in candidates]
            member, score = candidates[np.argmax(scores)], max(scores)
            counts[member] += 1
            total += self.differences[member]
            if score > best_score:
                best, best_score = counts.copy(), score
        greedy: Floats = best / best.sum()  # (M,)
        return greedy


def tune_blend(
    oof: NDArray[np.float32],
    truth: NDArray[np.bool_],
    folds: NDArray[np.integer],
    settings: BlendSettings,
    *,
    journal: Path,
    paper: Sequence[float] | None = None,
    database: str | None = None,
    study: str = "",
) -> BlendResult:
    """Tune ensemble weights on out-of-fold predictions and estimate what they are worth on clips they did not see.

    Equal inputs give equal results to the bit, wherever the trials are recorded. In a journal, a second call tries only
    what is missing; studies of other inputs in the same journal are left alone. In a database each call replaces the
    studies of its name: they are there to be looked at, and nothing is read from them.

    Args:
        oof: (M, N, C) finite out-of-fold predictions of M members.
        truth: (N, C) bool or numbers, true where > 0.
        folds: (N,) the fold of each clip; at least two folds have labelled clips.
        settings: how long to search.
        journal: Optuna journal file; it is made when missing, and without a database.
        paper: (M,) weights to try as well; their scale is free.
        database: SQLAlchemy URL of an Optuna storage that is used instead of the journal.
        study: how the studies in the database are named, before 'all folds' or 'without fold K'.

    Returns:
        The weights and their scores. The scores equal `lwlrap(truth, blend)` but for rounding in near-ties.

    Raises:
        ValueError: shapes do not fit, a value is not finite, weights are negative or all zero, labels are missing, or
            the budget does not pay for one member.
        InputError: the database's URL is wrong, or its driver is missing.
        StoreError: the database fails.
    """
    oof = np.asarray(oof, dtype=np.float32)  # (M, N, C)
    positive = np.asarray(truth) > 0  # (N, C)
    if oof.ndim != 3 or oof.shape[1:] != positive.shape or len(oof) == 0 or folds.shape != positive.shape[:1]:
        raise ValueError(
            f"oof {oof.shape}, truth {positive.shape} and folds {folds.shape} must have shapes (M, N, C), (N, C), (N,)."
        )
    if not np.isfinite(oof).all():
        member = int(np.argmin(np.isfinite(oof).all(axis=(1, 2))))
        raise ValueError(f"member {member} predicts NaN or infinite values; leave it out or train it again.")
    labelled_folds = np.unique(folds[positive.any(axis=1)])
    if len(labelled_folds) < 2:
        raise ValueError("fewer than two folds have labelled clips, so weights cannot be scored on clips held out.")
    n_folds = len(np.unique(folds))
    limit = len(oof) if settings.budget is None else min(settings.budget // n_folds, len(oof))
    if limit == 0:
        raise ValueError(f"budget {settings.budget} is less than one member takes: {n_folds} predictions, one a fold.")
    seeds = {"uniform": np.full(len(oof), 1 / len(oof))}
    if paper is not None:
        seeds["paper"] = _normalised(paper, members=len(oof))

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    inputs = _fingerprint(oof, positive, folds, *seeds.values(), np.array([settings.seed, limit]))
    everything = Contest(oof, positive, np.ones(len(folds), dtype=bool))
    held_out = []
    with open_studies(journal, inputs, database, study) as studies:
        weights, scores = _tune(everything, seeds, limit, settings, studies, "all folds")
        for fold in labelled_folds:
            others = Contest(oof, positive, folds != fold)
            fold_weights, _ = _tune(others, seeds, limit, settings, studies, f"without fold {fold}")
            contest = Contest(oof, positive, folds == fold)
            held_out.append(contest.precisions(contest.mix(fold_weights)))
    return BlendResult(
        weights=tuple(weights.tolist()),
        oof_lwlrap=everything.score(weights),
        oof_lwlrap_nested=float(np.concatenate(held_out).mean()),
        uniform_oof_lwlrap=scores["uniform"],
        paper_oof_lwlrap=scores.get("paper"),
        greedy_oof_lwlrap=scores["greedy"],
        predictions=int(np.count_nonzero(weights)) * n_folds,
    )


def _normalised(weights: Sequence[float], *, members: int) -> Floats:
    """Weights (M,) with sum 1; ValueError if they are not weights of these members."""
    array = np.asarray(weights, dtype=np.float64)  # (M,)
    if array.shape != (members,) or not np.isfinite(array).all() or (array < 0).any() or array.sum() == 0:
        raise ValueError(f"paper must hold {members} weights, one a member, none negative and not all 0: {weights}.")
    normalised: Floats = array / array.sum()
    return normalised


def _fingerprint(*arrays: NDArray[Any]) -> str:
    """Hash of arrays: the name under which the journal keeps what was tried on them."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


def _tune(
    contest: Contest, seeds: dict[str, Floats], limit: int, settings: BlendSettings, studies: Studies, name: str
) -> tuple[Floats, dict[str, float]]:
    """Return the best weights (M,) found, at most `limit` of them not 0, and the scores of all seeds, greedy ones too.

    A seed with more members than the limit is scored for comparison only.
    """
    seeds = seeds | {"greedy": contest.greedy(limit)}
    scores = {seed: contest.score(weights) for seed, weights in seeds.items()}
    allowed = [seed for seed, weights in seeds.items() if np.count_nonzero(weights) <= limit]
    best = max(allowed, key=lambda seed: scores[seed])  # the first of equals
    members = len(contest.differences)
    searched = np.arange(members) if limit == members else np.flatnonzero(seeds[best])
    if len(searched) == 1 or settings.trials == 0:
        return seeds[best], scores
    found, score = _search(contest, seeds[best], searched, settings, studies, name)
    return (found if score > scores[best] else seeds[best]), scores


def _search(
    contest: Contest,
    start: Floats,
    searched: NDArray[np.integer],
    settings: BlendSettings,
    studies: Studies,
    name: str,
) -> tuple[Floats, float]:
    """Return the best weights (M,) that CMA-ES finds around `start`, and their score; only those searched are moved.

    The search runs on roots of weights, which keeps weights from going negative and those at 0 near 0.
    """
    space: dict[str, BaseDistribution] = {f"member {m:03}": FloatDistribution(-1, 1) for m in searched}
    roots = np.sqrt(start / start.max())  # (M,)

    def weights_of(params: dict[str, float]) -> Floats:
        moved = roots.copy()  # (M,)
        moved[searched] += REACH * np.array([params[key] for key in space])
        normalised: Floats = moved**2 / (moved**2).sum()  # (M,)
        return normalised

    record = studies.open(name)
    tried = record.tried[: settings.trials]
    known = len(tried)
    if known < settings.trials:
        # The study that asks is kept in memory: in a journal each parameter of each trial would be a write of its own,
        # and CMA-ES would leave pickles there. After an interruption it is asked anew and told the recorded values, so
        # that it is in the state it was in. CMA-ES starts at the middle of the space, with a sixth of it as its spread.
        sampler = optuna.samplers.CmaEsSampler(seed=settings.seed, warn_independent_sampling=False)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        # CMA-ES learns the space from a finished trial.
        centre = dict.fromkeys(space, 0.0)
        study.add_trial(optuna.create_trial(params=centre, distributions=space, value=contest.score(start)))
        for number in range(settings.trials):
            trial = study.ask(space)
            params = trial.params
            value = tried[number][1] if number < known else contest.score(weights_of(params))
            study.tell(trial, value)
            if number >= known:
                record.add(params, space, value)
                tried.append((params, value))
    best = int(np.argmax([value for _, value in tried]))  # the first of equals
    weights = weights_of(tried[best][0])
    return weights, contest.score(weights)
