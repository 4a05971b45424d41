"""Stacked weights: non-negative least squares of the labels on the members' scores, for many resamples at once.

Scores are taken less the mean of their clip, since lwlrap compares scores within a clip only.

Source: Breiman, "Stacked regressions", Machine Learning 24, 1996 (weights that are not negative).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from orchestrator.blending.contest import Floats

__all__ = ["stack"]

CLIPS = 256
"""Clips whose products of members are in memory at once."""
RIDGE = 1e-8
"""Part of the mean square of a score that is added to each, so that members that are alike share their weight."""


def stack(oof: NDArray[np.float32], truth: NDArray[np.bool_], counts: Floats, allowed: NDArray[np.bool_]) -> Floats:
    """Weights (B, M), at least 0, with sum 1, that up to their scale minimise the blend's squared error.

    Args:
        oof: (M, N, C) predictions.
        truth: (N, C) labels.
        counts: (B, N) how often each clip counts in each resample.
        allowed: (B, M) members that may have a weight. Each row has one.
    """
    members = len(oof)
    grams = np.zeros((len(counts), members * members))
    products = np.zeros((len(counts), members))
    for start in range(0, len(truth), CLIPS):
        clips = slice(start, start + CLIPS)
        scores = oof[:, clips].transpose(1, 0, 2).astype(np.float64)  # (n, M, C)
        scores -= scores.mean(axis=2, keepdims=True)
        grams += counts[:, clips] @ (scores @ scores.transpose(0, 2, 1)).reshape(len(scores), -1)
        products += counts[:, clips] @ (scores @ truth[clips, :, None].astype(np.float64))[:, :, 0]
    problems = zip(grams.reshape(-1, members, members), products, allowed, strict=True)
    return np.stack([_solved(*one) for one in problems])


def _solved(gram: Floats, product: Floats, allowed: NDArray[np.bool_]) -> Floats:
    """Weights (M,) with the smallest squared error, from the members' products with each other and the labels."""
    gram, product = gram[np.ix_(allowed, allowed)], product[allowed]
    size = len(gram)
    # The Cholesky factor poses the same problem with M rows instead of N x C.
    root = np.linalg.cholesky(gram + (RIDGE * np.trace(gram) / size + np.finfo(float).tiny) * np.eye(size))
    found, _ = nnls(root.T, np.linalg.solve(root, product), maxiter=100 * size)
    weights = np.zeros(len(allowed))
    weights[allowed] = found if found.any() else 1.0  # no member is of use
    scaled: Floats = weights / weights.sum()
    return scaled
