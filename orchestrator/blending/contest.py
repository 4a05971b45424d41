"""lwlrap of many blends of the same members: what a search for weights evaluates thousands of times."""

import numpy as np
from numpy.typing import NDArray

from trainers.lwlrap import Lwlrap

__all__ = ["Contest", "Floats"]

Floats = NDArray[np.float64]

GREEDY_ROUNDS = 50  # later rounds change a weight by less than 2 %, which the search around them covers


class Contest:
    """Computes lwlrap of non-negative blends of M members quickly, on the labels of some clips.

    A class outranks a true label if the blend of their differences in score is at least 0. Where all members agree on
    the sign, every blend does too: those classes are counted once, and only the K contested ones are mixed.

    Args:
        oof: (M, N, C) predictions.
        truth: (N, C) bool.
        clips: (N,) bool, the clips to score.
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
        always = lowest >= 0  # (P, C), includes the true label itself
        self._pairs, classes = np.nonzero((highest >= 0) & ~always)  # (K,), (K,)
        rows = metric.clips[self._pairs]  # (K,)
        self.differences = np.stack(  # (M, K)
            [member[rows, classes] - member_own[self._pairs] for member, member_own in zip(oof, own, strict=True)]
        )
        positive = truth[metric.clips]  # (P, C)
        self._ranks = always.sum(axis=1)  # (P,)
        self._hits = (always & positive).sum(axis=1)  # (P,)
        self._true = np.flatnonzero(positive[self._pairs, classes])  # indices of those of the K that are true labels

    def precisions(self, mixed: NDArray[np.float32]) -> Floats:
        """Precision at each true label, (P,), for one mix of the differences, (K,)."""
        above = mixed >= 0  # (K,)
        ranks = self._ranks + np.bincount(self._pairs[above], minlength=len(self._ranks))  # (P,)
        true = self._true[above[self._true]]
        hits = self._hits + np.bincount(self._pairs[true], minlength=len(self._hits))  # (P,)
        precisions: Floats = hits / ranks  # (P,)
        return precisions

    def mix(self, weights: Floats) -> NDArray[np.float32]:
        """The differences, (K,), blended with weights (M,)."""
        mixed: NDArray[np.float32] = weights.astype(np.float32) @ self.differences
        return mixed

    def score(self, weights: Floats) -> float:
        """lwlrap of the blend with weights (M,)."""
        return float(self.precisions(self.mix(weights)).mean())

    def greedy(self, limit: int | None = None) -> Floats:
        """Greedy weights (M,): add the member that helps most, again and again, and keep the best stage.

        Once `limit` different members are in, only those can be added again.

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
