"""Bootstrap intervals: how much a score depends on the choice of clips.

Resamples draw groups of clips with replacement, such as the cuts of one recording, since these are not independent. A
group enters lwlrap with the sum of its precisions and its number of labels, so these are computed once and a resample
is a weighted mean. All scores of one `Bootstrap` share the same resamples, so the difference of two scores is paired,
and the difference of two equal scores is exactly 0.

Source: Efron & Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13 (percentile intervals).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orchestrator.report.types import Interval
from trainers.lwlrap import Lwlrap
from trainers.randomness import generator

__all__ = ["Bootstrap", "interval"]

DRAWS = 1_000
SEED = 0
LEVEL = 0.95

Floats = NDArray[np.float64]


class Bootstrap:
    """Resamples of the clips of one truth.

    Args:
        truth: (N, C) bool or numbers, true where > 0; clips without labels have no weight and are not drawn.
        groups: (N,) whole numbers or text; clips of one group are drawn together. None: each clip is drawn alone.

    Raises:
        ValueError: there is no label.
    """

    def __init__(
        self, truth: ArrayLike, groups: ArrayLike | None = None, *, draws: int = DRAWS, seed: int = SEED
    ) -> None:
        self._metric = Lwlrap(truth)
        drawn = self._metric.clips if groups is None else np.asarray(groups)[self._metric.clips]  # (P,)
        names, self._row = np.unique(drawn, return_inverse=True)  # (n,), (P,): n groups with labelled clips
        rng = generator(seed, "bootstrap")
        self._counts = np.stack(  # (draws, n) how often each group is drawn
            [np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names)) for _ in range(draws)]
        ).astype(np.float64)
        self._labels = self._counts @ np.bincount(self._row)  # (draws,)

    def score(self, scores: ArrayLike) -> float:
        """lwlrap of scores (N, C) on all clips."""
        return self._metric(scores)

    def draws(self, scores: ArrayLike) -> Floats:
        """lwlrap of scores (N, C) on every resample, (draws,)."""
        sums = np.bincount(self._row, weights=self._metric.precisions(scores))  # (n,)
        drawn: Floats = self._counts @ sums / self._labels  # (draws,)
        return drawn

    def class_intervals(self, scores: ArrayLike) -> list[Interval | None]:
        """The 95 % interval of lwlrap on each class; None where fewer than two groups have the class."""
        shape = (self._counts.shape[1], self._metric.shape[1])  # (n, C)
        place = self._row * shape[1] + self._metric.labels  # (P,)
        sums = np.bincount(place, weights=self._metric.precisions(scores), minlength=shape[0] * shape[1]).reshape(shape)
        labels = np.bincount(place, minlength=shape[0] * shape[1]).reshape(shape)
        drawn = self._counts @ labels  # (draws, C)
        values = np.full_like(drawn, np.nan)
        np.divide(self._counts @ sums, drawn, out=values, where=drawn > 0)
        return [
            interval(column[~np.isnan(column)]) if groups > 1 else None
            for column, groups in zip(values.T, (labels > 0).sum(axis=0), strict=True)
        ]


def interval(draws: Floats) -> Interval:
    """The central 95 % of values (draws,): (low, high)."""
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
