"""Pseudo labels of the noisy clips by a teacher (paper sections 2.2 and 3.3; docs/paper.md, Training)."""

import numpy as np

__all__ = ["hard_labels", "own_label_factors", "soft_labels"]


def own_label_factors(targets: np.ndarray, factor: float) -> np.ndarray:
    """Factors by which the labels that noisy clips came with change a teacher's opinion, by Bayes' rule.

    Say a share e of the labels is wrong, each other class equally often. A label is then (1 - e) (C - 1) / e times as
    probable if the clip is of its class as if it is of a given other one.

    Args:
        targets: (N, C) labels of the noisy clips, > 0 where given.
        factor: that ratio; 1 ignores the labels.

    Returns:
        (N, C) float64, 1 or the factor.
    """
    return np.where(targets > 0, float(factor), 1.0)


def soft_labels(predictions: np.ndarray, temperature: float, factors: np.ndarray | float = 1.0) -> np.ndarray:
    """Mean of a teacher's predictions, sharpened: mean^T / sum over classes of mean^T.

    Args:
        predictions: (K, N, C) scores of K models (folds, snapshots, pads).
        temperature: T, the exponent; 2 in the paper.
        factors: (N, C), multiply the mean before it is sharpened, see `own_label_factors`.

    Returns:
        (N, C) float32, each row summing to 1 (a row of zeros stays zeros).
    """
    mean = predictions.astype(np.float64).mean(axis=0) * factors  # (N, C)
    best = mean.max(axis=1, keepdims=True)
    # Relative to the best class, so that no power of all classes underflows to 0.
    sharpened = np.where(best > 0, mean / np.where(best > 0, best, 1.0), 0.0) ** temperature
    total = sharpened.sum(axis=1, keepdims=True)
    labels: np.ndarray = (sharpened / np.where(total > 0, total, 1.0)).astype(np.float32)
    return labels


def hard_labels(predictions: np.ndarray, factors: np.ndarray | float = 1.0) -> np.ndarray:
    """The most likely class of the mean of a teacher's predictions: the limit of `soft_labels` for a large T.

    Args:
        predictions: (K, N, C) scores of K models.
        factors: (N, C), multiply the mean, see `own_label_factors`.

    Returns:
        (N, C) float32 with one 1 per row (a row of zeros stays zeros).
    """
    mean = predictions.astype(np.float64).mean(axis=0) * factors  # (N, C)
    labels = np.zeros(mean.shape, dtype=np.float32)
    labels[np.arange(len(mean)), mean.argmax(axis=1)] = 1.0
    labels[mean.max(axis=1) <= 0] = 0.0
    return labels
