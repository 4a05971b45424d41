"""What scores mean: the probability of a class at a score, and the score from which on a class counts as present.

Both are fitted on out-of-fold scores of labelled clips. Few clips per class are usual, so both are shared by the
classes as far as a class has too few clips to differ (docs/experiments.md has the measurements behind the constants).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

__all__ = ["FEW_CLIPS", "Calibration", "Reliability", "fit_calibration", "reliability"]

Floats = NDArray[np.float64]
Labels = NDArray[np.bool_]

FEW_CLIPS = 10
"""Clips of a class at which its own threshold and the shared one have equal weight; below, a threshold is rough."""
RIDGE = 10.0
"""Penalty on half the squared distance of a class's slope and offset from the shared ones, in nats."""
BINS = 15
SMALLEST = 1e-6
"""Scores are kept this far from 0 and 1, whose logits are infinite."""


@dataclass(frozen=True)
class Reliability:
    """How far probabilities are from what happens, over all pairs of a clip and a class."""

    brier: float
    """Mean squared difference of probability and label (Brier 1950)."""
    calibration_error: float
    """Expected calibration error: mean difference of probability and share of true labels in 15 bins of equal width,
    weighted by the pairs in them (Naeini et al. 2015)."""


@dataclass(frozen=True)
class Calibration:
    """The meaning of a tagger's scores, class by class."""

    slopes: Floats
    """(C,) The probability of a score s is sigmoid(slope * logit(s) + offset) (Platt 1999)."""
    offsets: Floats
    """(C,)"""
    thresholds: Floats
    """(C,) Scores from which on classes count as present: best F1, drawn to that of all classes together."""
    clips: NDArray[np.int64]
    """(C,) Labelled clips of each class, on which this rests."""
    before: Reliability
    """Of the scores, taken for probabilities."""
    after: Reliability
    """Of the probabilities of each fold's clips, fitted on the other folds."""

    def probabilities(self, scores: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities (..., C) of scores (..., C)."""
        found: NDArray[np.float32] = expit(self.slopes * _logits(scores) + self.offsets).astype(np.float32)
        return found

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "slopes": self.slopes.tolist(),
            "offsets": self.offsets.tolist(),
            "thresholds": self.thresholds.tolist(),
            "clips": self.clips.tolist(),
            "before": vars(self.before),
            "after": vars(self.after),
        }

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """The calibration of a JSON form."""
        arrays = {name: np.array(values[name], np.float64) for name in ("slopes", "offsets", "thresholds")}
        clips = np.array(values["clips"], np.int64)
        return cls(**arrays, clips=clips, before=Reliability(**values["before"]), after=Reliability(**values["after"]))


def fit_calibration(truth: Labels, scores: NDArray[np.float32], folds: NDArray[np.int64]) -> Calibration:
    """Fit on out-of-fold scores.

    Args:
        truth: (N, C) whether a clip has a class.
        scores: (N, C), in [0, 1].
        folds: (N,) fold of each clip; clips of one group are in one fold.
    """
    slopes, offsets = _fit_logistic(truth, scores)
    held_out = np.zeros(scores.shape)
    for fold in np.unique(folds):
        inside = folds == fold
        slope, offset = _fit_logistic(truth[~inside], scores[~inside])
        held_out[inside] = expit(slope * _logits(scores[inside]) + offset)
    return Calibration(
        slopes, offsets, _thresholds(truth, scores), truth.sum(axis=0),
        before=reliability(truth, scores), after=reliability(truth, held_out),
    )  # fmt: skip


def reliability(truth: Labels, probabilities: NDArray[np.floating[Any]]) -> Reliability:
    """How reliable probabilities (N, C) are, given labels (N, C)."""
    true, expected = truth.ravel().astype(np.float64), probabilities.ravel().astype(np.float64)
    bins = np.minimum((expected * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(bins, expected - true, BINS)  # sums over the pairs of each bin
    return Reliability(float(np.square(expected - true).mean()), float(np.abs(gaps).sum() / len(true)))


def _fit_logistic(truth: Labels, scores: NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Slopes and offsets (C,) of the classes: a logistic regression on logits of scores.

    A class's slope and offset are the shared ones and a difference, which is penalised.
    """
    logits, true = _logits(scores), truth.astype(np.float64)
    n_classes = truth.shape[1]

    def loss(parameters: Floats) -> tuple[float, Floats]:
        shared, own = parameters[:2], parameters[2:].reshape(2, n_classes)
        slopes, offsets = shared[:, None] + own
        z = slopes * logits + offsets
        error = expit(z) - true
        gradient = np.stack([(error * logits).sum(axis=0), error.sum(axis=0)])  # (2, C)
        value = float((np.logaddexp(0, z) - true * z).sum() + RIDGE / 2 * np.square(own).sum())
        return value, np.concatenate([gradient.sum(axis=1), (gradient + RIDGE * own).ravel()])

    start = np.zeros(2 + 2 * n_classes)
    start[0] = 1.0
    # A higher score never makes a class less likely, whatever a few clips say.
    found = minimize(loss, start, jac=True, method="L-BFGS-B").x
    slopes, offsets = found[:2, None] + found[2:].reshape(2, n_classes)
    return np.maximum(slopes, 0.0), offsets


def _thresholds(truth: Labels, scores: NDArray[np.float32]) -> Floats:
    """Thresholds (C,): on the scale of logits, the mean of a class's own and the shared one, weighted by its clips."""
    shared = _best_threshold(truth.ravel(), scores.ravel())
    clips = truth.sum(axis=0)
    own = [_best_threshold(truth[:, c], scores[:, c]) if clips[c] else shared for c in range(truth.shape[1])]
    share = clips / (clips + FEW_CLIPS)
    thresholds: Floats = expit(share * _logits(np.array(own)) + (1 - share) * _logits(np.array(shared)))
    return thresholds


def _best_threshold(truth: Labels, scores: NDArray[np.float32]) -> float:
    """The threshold with the highest F1, half-way between two neighbouring scores (N,) on the scale of logits."""
    order = np.argsort(-scores, kind="stable")
    true, falling = truth[order], scores[order]
    found = np.cumsum(true)  # true clips among the first n
    f1 = 2 * found / (np.arange(1, len(true) + 1) + true.sum())
    lower = np.append(falling[1:], falling[-1])  # the score that stays below the threshold
    f1[:-1][lower[:-1] == falling[:-1]] = -1.0  # no threshold separates equal scores
    best = int(f1.argmax())
    return float(expit((_logits(falling[best]) + _logits(lower[best])) / 2))


def _logits(scores: NDArray[Any]) -> Floats:
    found: Floats = logit(np.clip(np.asarray(scores, np.float64), SMALLEST, 1 - SMALLEST))
    return found
