"""Labels of a student: the mean score of several conditions (Hinton et al. 2015; sonogrid's own, not the paper's)."""

from collections.abc import Sequence

import numpy as np

__all__ = ["curated_labels", "mean_of_teachers", "noisy_labels"]


def mean_of_teachers(predictions: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of several conditions, each of which is the mean of its own predictions.

    Args:
        predictions: per condition (cycles, heads, pads, N, C) scores.

    Returns:
        (N, C) float64 in [0, 1].
    """
    each = [scores.reshape(-1, *scores.shape[3:]).mean(axis=0, dtype=np.float64) for scores in predictions]
    mean: np.ndarray = np.mean(each, axis=0)
    return mean


def curated_labels(targets: np.ndarray, scores: np.ndarray, share: float) -> np.ndarray:
    """(N, C) float32 labels of curated clips: (1 - share) x their own (N, C) + share x the teachers' scores (N, C)."""
    labels: np.ndarray = ((1 - share) * targets + share * scores).astype(np.float32)
    return labels


def noisy_labels(scores: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """The teachers' scores of noisy clips, with the labels that the clips came with as evidence.

    Args:
        scores: (N, C) in [0, 1].
        factors: (N, C) by which the odds of each class are multiplied, as `trainers.pseudo.own_label_factors` returns.

    Returns:
        (N, C) float32 in [0, 1]: p f / (1 - p + p f).
    """
    labels: np.ndarray = (scores * factors / (1 - scores + scores * factors)).astype(np.float32)
    return labels
