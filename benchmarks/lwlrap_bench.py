"""Speed-up of lwlrap over a loop over clips, on 4,970 clips and 80 classes."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks.rows import Row, compare
from trainers.lwlrap import lwlrap

CLIPS, CLASSES, LABELS = 4_970, 80, 5_752


def loop(truth: NDArray[np.bool_], scores: NDArray[np.float32]) -> float:
    """One NumPy ranking per clip, as in the reference implementation."""
    total = 0.0
    for labels, row in zip(truth, scores, strict=True):
        ranking = np.empty(len(row), dtype=int)  # (C,)
        ranking[np.argsort(row)[::-1]] = np.arange(len(row))
        true = np.zeros(len(row), dtype=bool)  # (C,), by rank
        ranks = ranking[np.flatnonzero(labels)]
        true[ranks] = True
        total += float((np.cumsum(true)[ranks] / (1 + ranks)).sum())
    return total / int(truth.sum())


def rows(quick: bool) -> list[Row]:
    rng = np.random.default_rng(0)
    truth = np.zeros((CLIPS, CLASSES), dtype=bool)
    truth[np.arange(CLIPS), rng.integers(CLASSES, size=CLIPS)] = True
    free = np.flatnonzero(~truth)
    truth.flat[rng.choice(free, size=LABELS - CLIPS, replace=False)] = True
    distinct = rng.random((CLIPS, CLASSES)).astype(np.float32)
    levels: np.ndarray = np.round(distinct * 20) / 20
    rounds = 1 if quick else 7
    return [
        compare(
            f"lwlrap, {CLIPS:,} x {CLASSES}, {name}", "peer: loop over clips", partial(lwlrap, truth, scores),
            partial(loop, truth, scores), rounds,
        )
        for name, scores in (("no ties", distinct), ("20 levels", levels))
    ] + [
        compare(
            f"lwlrap, {CLIPS:,} x {CLASSES}, no ties", "floor: sort the rows", partial(lwlrap, truth, distinct),
            partial(np.argsort, distinct, axis=1), rounds, repeat=5,
        )
    ]  # fmt: skip
