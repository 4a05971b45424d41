"""lwlrap, the metric of FSDKaggle2019: label-weighted label-ranking average precision.

For every clip and every true label of it: the share of true labels among the classes ranked at or above that label; the
mean over all (clip, true label) pairs. Only the true labels are ranked, by comparing each with its own row of scores,
so nothing is sorted. With 1.16 labels per clip that is far cheaper than ranking all classes.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Lwlrap", "Ties", "lwlrap", "lwlrap_per_class"]

Ties = Literal["against", "order"]


class Lwlrap:
    """lwlrap against one fixed truth; what depends only on the truth is computed once.

    Args:
        truth: (N, C) bool or numbers, true where > 0. A clip without labels has no weight.

    Attributes:
        clips: (P,) int, the clip of each (clip, true label) pair, ascending.
        labels: (P,) int, the class of each pair.

    Raises:
        ValueError: `truth` is not two-dimensional or has no true label.
    """

    def __init__(self, truth: ArrayLike) -> None:
        positive = np.asarray(truth) > 0  # (N, C)
        if positive.ndim != 2:
            raise ValueError(f"truth must have two dimensions (clips, classes), but its shape is {positive.shape}.")
        if not positive.any():
            raise ValueError("truth has no positive label, so lwlrap is undefined; give at least one labelled clip.")
        self.shape = positive.shape
        self.clips, self.labels = np.nonzero(positive)  # (P,), (P,)
        self._positive = positive[self.clips]  # (P, C)

    def __call__(self, scores: ArrayLike, *, ties: Ties = "against") -> float:
        """Return lwlrap of scores (N, C); arguments and errors as for `precisions`."""
        return float(self.precisions(scores, ties=ties).mean())

    def precisions(self, scores: ArrayLike, *, ties: Ties = "against") -> NDArray[np.float64]:
        """Return the precision at each true label's rank, (P,), in the order of `clips` and `labels`.

        Args:
            scores: (N, C) finite numbers, higher is likelier.
            ties: "against": a class tied with the true label ranks above it, as in scikit-learn's
                `label_ranking_average_precision_score`. "order": ties are broken as in Google's reference
                implementation, by the order of `np.argsort(row)[::-1]`, which NumPy's default sort does not specify.

        Raises:
            ValueError: the shape is not the truth's, a score is NaN or infinite, or `ties` is unknown.
        """
        array = np.asarray(scores)  # (N, C)
        if array.shape != self.shape:
            raise ValueError(f"scores have shape {array.shape}, but truth has {self.shape}; they must be equal.")
        if not np.isfinite(array).all():
            raise ValueError("scores contain NaN or infinite values, which have no rank; look for a diverged model.")
        if ties not in {"against", "order"}:
            raise ValueError(f'ties must be "against" or "order", not {ties!r}.')
        rows, own = self._rows(array)  # (P, C), (P, 1)
        if ties == "order":
            tied = self.clips[np.count_nonzero(rows == own, axis=1) > 1]
            if tied.size:
                rows, own = self._rows(_break_ties(array, np.unique(tied)))
        above = rows >= own  # (P, C): at or above the true label, itself included
        hits = np.count_nonzero(above & self._positive, axis=1)  # (P,)
        precisions: NDArray[np.float64] = hits / np.count_nonzero(above, axis=1)  # (P,)
        return precisions

    def _rows(self, scores: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Each pair's row of scores (P, C) and its true label's score (P, 1)."""
        return scores[self.clips], scores[self.clips, self.labels][:, None]


def _break_ties(scores: NDArray[Any], clips: NDArray[np.intp]) -> NDArray[np.float64]:
    """Replace the scores (N, C) of some clips by their places in NumPy's ascending sort, which has no ties."""
    places = np.empty((len(clips), scores.shape[1]))  # (len(clips), C)
    # The default sort as in the reference, not a stable one: they order ties differently.
    np.put_along_axis(places, np.argsort(scores[clips], axis=1), np.arange(scores.shape[1])[None], axis=1)
    broken = scores.astype(np.float64)  # (N, C)
    broken[clips] = places
    return broken


def lwlrap(truth: ArrayLike, scores: ArrayLike, *, ties: Ties = "against") -> float:
    """Mean over all (clip, true label) pairs of the precision at that label's rank.

    Args:
        truth: (N, C) bool or numbers, true where > 0.
        scores: (N, C) finite numbers, higher is likelier.
        ties: see `Lwlrap.precisions`. With "against" the value equals scikit-learn's
            `label_ranking_average_precision_score` with the number of labels per clip as weights.

    Raises:
        ValueError: shapes differ, a score is NaN or infinite, there is no true label, or `ties` is unknown.
    """
    return Lwlrap(truth)(scores, ties=ties)


def lwlrap_per_class(truth: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean precision of each class and the class's share of all labels, ties counted against.

    Their product, summed over the classes that have labels, is lwlrap.

    Args:
        truth: (N, C) bool or numbers, true where > 0.
        scores: (N, C) finite numbers, higher is likelier.

    Returns:
        per_class: (C,), NaN for a class without true labels.
        weight: (C,), sums to 1.

    Raises:
        ValueError: shapes differ, a score is NaN or infinite, or there is no true label.
    """
    metric = Lwlrap(truth)
    classes = metric.shape[1]
    count = np.bincount(metric.labels, minlength=classes)  # (C,)
    total = np.bincount(metric.labels, weights=metric.precisions(scores), minlength=classes)  # (C,)
    per_class = np.full(classes, np.nan)  # (C,)
    np.divide(total, count, out=per_class, where=count > 0)
    return per_class, count / count.sum()
