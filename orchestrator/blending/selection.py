"""Greedy selection of members, on many resamples of the clips at once.

Source: Caruana et al., "Ensemble selection from libraries of models", ICML 2004 (selection with replacement).
"""

import numpy as np
from numpy.typing import NDArray

from orchestrator.blending.contest import Contest, Floats

__all__ = ["select"]


def select(
    contest: Contest,
    shares: Floats,
    rounds: int,
    *,
    limit: int | None = None,
    allowed: NDArray[np.bool_] | None = None,
) -> Floats:
    """Greedy selection with replacement, of B resamples at once: weights (rounds, B, M), with sum 1.

    Entry r is the best stage of the first r + 1 rounds: the one with the highest lwlrap on the resample, the earliest
    of equals. Resamples that took the same members so far share the scores of what could be added.

    Args:
        contest: the members.
        shares: (B, P) how often each (clip, true label) pair counts in each resample; no row is all 0.
        rounds: how many members to add, counted with repetition.
        limit: number of different members that may be in; once they are, only those can be added again.
        allowed: (B, M) members that may be added; None: all. Each row has one.
    """
    shares = shares / shares.sum(axis=1, keepdims=True)  # (B, P)
    rows = np.arange(len(shares))
    counts = np.zeros((len(shares), contest.differences.shape[1]), dtype=np.int64)  # (B, M)
    best, best_scores = counts.copy(), np.full(len(shares), -1.0)
    stages = []
    for _ in range(rounds):
        scores = np.empty(counts.shape)  # (B, M)
        taken, which = np.unique(counts, axis=0, return_inverse=True)  # (U, M), (B,)
        for number, members in enumerate(taken):
            same = which == number
            scores[same] = shares[same] @ contest.additions(contest.mix(members.astype(np.float64)))
        # Rounded, since equal scores may differ in the last bit, and the first of equals is to be taken.
        scores = np.round(scores, 12)
        if allowed is not None:
            scores[~allowed] = -1.0
        if limit is not None:
            full = np.count_nonzero(counts, axis=1) >= limit  # (B,)
            scores[full[:, None] & (counts == 0)] = -1.0
        added = scores.argmax(axis=1)  # (B,)
        counts[rows, added] += 1
        better = scores[rows, added] > best_scores
        best[better] = counts[better]
        best_scores[better] = scores[better, added[better]]
        stages.append(best / best.sum(axis=1, keepdims=True))
    return np.stack(stages)
