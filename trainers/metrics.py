"""Scores beside lwlrap: mean average precision, area under the ROC curve, accuracy; and what chance reaches."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Metrics", "accuracy", "average_precision", "chance_lwlrap", "metrics_of", "roc_auc"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Metrics:
    """Scores of one prediction; None where a score is not defined."""

    mean_average_precision: float | None = None
    """Mean over classes of `average_precision`; classes without a true clip are left out."""
    roc_auc: float | None = None
    """Mean over classes of `roc_auc`; classes that no clip or every clip has are left out."""
    accuracy: float | None = None
    """See `accuracy`; None unless every labelled clip has one label."""


def metrics_of(truth: ArrayLike, scores: ArrayLike) -> Metrics:
    """All scores of predictions (N, C) against labels (N, C), true where > 0; clips without labels are left out.

    Raises:
        ValueError: shapes differ.
    """
    labels, predicted = np.asarray(truth) > 0, np.asarray(scores)  # (N, C), (N, C)
    if labels.shape != predicted.shape:
        raise ValueError(f"scores have shape {predicted.shape}, but truth has {labels.shape}; they must be equal.")
    labelled = labels.any(axis=1)
    labels, predicted = labels[labelled], predicted[labelled]
    return Metrics(
        _mean(average_precision(labels, predicted)), _mean(roc_auc(labels, predicted)), accuracy(labels, predicted)
    )


def average_precision(truth: NDArray[np.bool_], scores: ArrayLike) -> Floats:
    """Average precision of each class, (C,), NaN for a class without a true clip.

    The sum over thresholds n of (R_n - R_(n-1)) P_n, R recall and P precision of the clips at or above the threshold.
    Clips of equal score share a threshold. Equals scikit-learn's `average_precision_score`.

    Args:
        truth: (N, C).
        scores: (N, C), higher is likelier.
    """
    order = np.argsort(-np.asarray(scores), axis=0, kind="stable")  # (N, C)
    true = np.take_along_axis(truth, order, axis=0)  # (N, C), likeliest clip first
    _, last = _ties(np.take_along_axis(np.asarray(scores), order, axis=0))
    found = np.take_along_axis(np.cumsum(true, axis=0), last, axis=0)  # (N, C) true clips at or above the threshold
    return _ratio((true * found / (last + 1)).sum(axis=0), true.sum(axis=0))


def roc_auc(truth: NDArray[np.bool_], scores: ArrayLike) -> Floats:
    """Area under the ROC curve of each class, (C,), NaN for a class that no clip or every clip has.

    The probability that a clip with the label has a higher score than one without it; equal scores count one half
    (Mann-Whitney). Equals scikit-learn's `roc_auc_score`.

    Args:
        truth: (N, C).
        scores: (N, C), higher is likelier.
    """
    order = np.argsort(np.asarray(scores), axis=0, kind="stable")  # (N, C)
    true = np.take_along_axis(truth, order, axis=0)  # (N, C), least likely clip first
    first, last = _ties(np.take_along_axis(np.asarray(scores), order, axis=0))
    positive = true.sum(axis=0)  # (C,)
    ranks = (true * (1 + (first + last) / 2)).sum(axis=0)  # (C,) sum of the mean ranks of true clips
    return _ratio(ranks - positive * (positive + 1) / 2, positive * (len(true) - positive))


def accuracy(truth: NDArray[np.bool_], scores: ArrayLike) -> float | None:
    """Share of clips whose true label has the highest score; None unless each clip has exactly one label.

    A class that ties with the true label counts as higher, as in lwlrap.

    Args:
        truth: (N, C).
        scores: (N, C), higher is likelier.
    """
    if len(truth) == 0 or not (truth.sum(axis=1) == 1).all():
        return None
    predicted = np.asarray(scores)
    return float(((predicted >= predicted[truth][:, None]).sum(axis=1) == 1).mean())


def chance_lwlrap(truth: ArrayLike) -> float:
    """The lwlrap that random scores have on average, on these labels (N, C), true where > 0.

    A true label has each of the C ranks r with the same probability. Of the other n - 1 true labels of its clip,
    (n - 1)(r - 1) / (C - 1) are above it on average. So its precision is (H + (n - 1)(C - H) / (C - 1)) / C on average,
    where H = 1 + 1/2 + ... + 1/C.

    Raises:
        ValueError: there is no label.
    """
    positive = np.asarray(truth) > 0  # (N, C)
    if not positive.any():
        raise ValueError("truth has no positive label, so lwlrap is undefined; give at least one labelled clip.")
    classes = positive.shape[1]
    harmonic = (1 / np.arange(1, classes + 1)).sum()
    labels = positive.sum(axis=1)  # (N,)
    others = (labels - 1) * (classes - harmonic) / max(classes - 1, 1)  # (N,)
    return float(np.average((harmonic + others) / classes, weights=labels))


def _ties(ordered: NDArray[np.floating]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last place, (N, C), of the run of equal scores that each place of ordered scores (N, C) is in."""
    places = np.broadcast_to(np.arange(len(ordered))[:, None], ordered.shape)
    differs = ordered[1:] != ordered[:-1]  # (N - 1, C)
    edge = np.ones((1, ordered.shape[1]), dtype=bool)
    starts, ends = np.concatenate([edge, differs]), np.concatenate([differs, edge])
    first = np.maximum.accumulate(np.where(starts, places, 0), axis=0)
    last = np.minimum.accumulate(np.where(ends, places, len(ordered))[::-1], axis=0)[::-1]
    return first, last


def _ratio(values: NDArray[np.floating], counts: NDArray[np.integer]) -> Floats:
    """values / counts, (C,), NaN where the count is 0."""
    ratio = np.full(len(values), np.nan)
    np.divide(values, counts, out=ratio, where=counts > 0)
    return ratio


def _mean(values: Floats) -> float | None:
    """The mean of the values (C,) that are not NaN; None if all are."""
    return None if np.isnan(values).all() else float(np.nanmean(values))
