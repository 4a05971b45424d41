"""How often a class is there, given the score that it got: scores taken for probabilities."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BINS", "ReliabilityBin", "reliability_bins"]

BINS = 10
"""Of equal width."""


@dataclass(frozen=True)
class ReliabilityBin:
    """Pairs of a clip and a class whose scores lie in a range."""

    low: float
    high: float
    pairs: int
    score: float
    """Mean of their scores."""
    true: float
    """Share of them in which the clip has the class."""
    interval: tuple[float, float]
    """95 % interval of that share (Wilson 1927), as if pairs were independent."""


def reliability_bins(truth: NDArray[np.floating], scores: NDArray[np.floating]) -> tuple[ReliabilityBin, ...]:
    """The bins that have pairs, the lowest scores first. Labels and scores are (N, C), scores in [0, 1]."""
    labels, found = (truth > 0).ravel(), scores.ravel().astype(np.float64)
    index = np.clip((found * BINS).astype(np.int64), 0, BINS - 1)
    pairs, true = np.bincount(index, minlength=BINS), np.bincount(index, labels, BINS)
    sums = np.bincount(index, found, BINS)
    return tuple(
        ReliabilityBin(
            place / BINS, (place + 1) / BINS, int(pairs[place]), float(sums[place] / pairs[place]),
            float(true[place] / pairs[place]), _wilson(float(true[place]), int(pairs[place])),
        )
        for place in np.flatnonzero(pairs).tolist()
    )  # fmt: skip


def _wilson(true: float, pairs: int) -> tuple[float, float]:
    z = 1.959964
    share = true / pairs
    middle = (share + z * z / (2 * pairs)) / (1 + z * z / pairs)
    half = z / (1 + z * z / pairs) * np.sqrt(share * (1 - share) / pairs + z * z / (4 * pairs * pairs))
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))
