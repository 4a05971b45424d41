"""Soft pseudo labels of the noisy clips (paper section 3.3; docs/paper.md, Training)."""

import numpy as np

__all__ = ["soft_labels"]


def soft_labels(predictions: np.ndarray, temperature: float) -> np.ndarray:
    """Mean over a teacher's predictions, sharpened: mean^T / sum over classes of mean^T.

    Args:
        predictions: (K, N, C) scores of K models (folds, snapshots).
        temperature: T, the exponent; 2 in the paper.

    Returns:
        (N, C) float32, each row summing to 1 (a row of zeros stays zeros).
    """
    sharpened = predictions.astype(np.float64).mean(axis=0) ** temperature  # (N, C)
    total = sharpened.sum(axis=1, keepdims=True)
    labels: np.ndarray = (sharpened / np.where(total > 0, total, 1.0)).astype(np.float32)
    return labels
