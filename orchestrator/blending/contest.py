"""lwlrap of many blends of the same members: what a search for weights evaluates thousands of times."""

import numpy as np
from numpy.typing import NDArray

from trainers.lwlrap import Lwlrap

__all__ = ["Contest", "Floats"]

Floats = NDArray[np.float64]


class Contest:
    """Computes lwlrap of non-negative blends of M members quickly, on the labels of some clips.

    A class outranks a true label if the blend of their differences in score is at least 0. Where all members agree on
    the sign, every blend does too: those classes are counted once, and only the K contested ones are mixed.

    Args:
        oof: (M, N, C) predictions.
        truth: (N, C) bool.

    Attributes:
        clips: (P,) the clip of each (clip, true label) pair, ascending.
        is_true: (K,) whether a contested class is a true label too.
        differences: (K, M) score of a contested class minus that of the true label, by member.
        pairs: (K,) the pair that each contested class belongs to, ascending.
    """

    def __init__(self, oof: NDArray[np.float32], truth: NDArray[np.bool_]) -> None:
        metric = Lwlrap(truth)
        self.clips = metric.clips
        own = oof[:, metric.clips, metric.labels]  # (M, P)
        lowest = np.full((len(metric.clips), truth.shape[1]), np.inf, dtype=np.float32)  # (P, C)
        highest = -lowest  # (P, C)
        for member, member_own in zip(oof, own, strict=True):
            difference = member[metric.clips] - member_own[:, None]  # (P, C)
            np.minimum(lowest, difference, out=lowest)
            np.maximum(highest, difference, out=highest)
        always = lowest >= 0  # (P, C), includes the true label itself
        self.pairs, classes = np.nonzero((highest >= 0) & ~always)  # (K,), (K,)
        rows = metric.clips[self.pairs]  # (K,)
        self._by_member = np.stack(  # (M, K)
            [member[rows, classes] - member_own[self.pairs] for member, member_own in zip(oof, own, strict=True)]
        )
        self.differences = np.ascontiguousarray(self._by_member.T)
        self._lowest, self._highest = lowest[self.pairs, classes], highest[self.pairs, classes]  # (K,), (K,)
        positive = truth[metric.clips]  # (P, C)
        self._classes = truth.shape[1]
        self._ranks = always.sum(axis=1)  # (P,)
        self._hits = (always & positive).sum(axis=1)  # (P,)
        self.is_true = positive[self.pairs, classes]  # (K,) which of the K are true labels themselves

    def mix(self, weights: Floats) -> NDArray[np.float32]:
        """The differences, (K,), blended with weights (M,)."""
        mixed = np.zeros(len(self.pairs), dtype=np.float32)
        for member in np.flatnonzero(weights):  # few have a weight
            mixed += np.float32(weights[member]) * self._by_member[member]
        return mixed

    def precisions(self, mixed: NDArray[np.float32]) -> Floats:
        """Precision at each true label, (P,), for one mix of the differences, (K,)."""
        above = mixed >= 0  # (K,)
        precisions: Floats = self._counted(self._hits, above & self.is_true) / self._counted(self._ranks, above)  # (P,)
        return precisions

    def additions(self, mixed: NDArray[np.float32]) -> Floats:
        """Precision at each true label, (P, M), if one more member were added with weight 1 to a mix (K,).

        Only classes whose place depends on the added member are compared with each of the M.
        """
        always = mixed + self._lowest >= 0  # (K,)
        ranks, hits = self._counted(self._ranks, always), self._counted(self._hits, always & self.is_true)  # (P,), (P,)
        rows = np.flatnonzero(~always & (mixed + self._highest >= 0))  # (k,)
        above = self.differences.take(rows, axis=0) >= -mixed[rows, None]  # (k, M)
        true = self.is_true[rows]  # (k,)
        more = self._sums(above, rows)  # (P, M)
        more_hits = self._sums(above[true], rows[true])  # (P, M)
        precisions: Floats = (hits[:, None] + more_hits) / (ranks[:, None] + more)  # (P, M)
        return precisions

    def score(self, weights: Floats) -> float:
        """lwlrap of the blend with weights (M,)."""
        return float(self.precisions(self.mix(weights)).mean())

    def _counted(self, start: NDArray[np.int64], chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Counts (P,) and one more for each chosen one of the K."""
        return start + np.bincount(self.pairs[chosen], minlength=len(start))

    def _sums(self, above: NDArray[np.bool_], rows: NDArray[np.int64]) -> NDArray[np.unsignedinteger]:
        """Number of true values of each pair and member, (P, M), from (k, M) of some rows of the K."""
        # Several members are added as the parts of one 64-bit word: no sum exceeds the number of classes.
        word = np.dtype(np.uint8 if self._classes <= 255 else np.uint16)
        members = above.shape[1]
        padded = np.zeros((len(rows), -(-members // 8) * 8), dtype=word)
        padded[:, :members] = above
        sums = np.zeros((len(self._ranks), padded.shape[1]), dtype=word)  # (P, M padded)
        if len(rows):
            pairs = self.pairs[rows]
            starts = np.flatnonzero(np.diff(pairs, prepend=-1))
            sums.view(np.uint64)[pairs[starts]] = np.add.reduceat(padded.view(np.uint64), starts, axis=0)
        return sums[:, :members]
