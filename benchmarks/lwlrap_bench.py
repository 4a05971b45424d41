"""Speed-up of lwlrap over a loop over clips, on 4,970 clips and 80 classes: `python -m benchmarks.lwlrap_bench`."""

import time
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

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


def best_ms(function: Callable[[], float], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1_000 * min(times)


def main(quick: bool = False) -> None:
    slow_repeats, fast_repeats = (1, 1) if quick else (5, 30)
    rng = np.random.default_rng(0)
    truth = np.zeros((CLIPS, CLASSES), dtype=bool)
    truth[np.arange(CLIPS), rng.integers(CLASSES, size=CLIPS)] = True
    free = np.flatnonzero(~truth)
    truth.flat[rng.choice(free, size=LABELS - CLIPS, replace=False)] = True
    distinct = rng.random((CLIPS, CLASSES)).astype(np.float32)
    levels: np.ndarray = np.round(distinct * 20) / 20
    for name, scores in (("no ties", distinct), ("20 levels", levels)):
        slow = best_ms(partial(loop, truth, scores), slow_repeats)
        against = best_ms(partial(lwlrap, truth, scores), fast_repeats)
        order = best_ms(partial(lwlrap, truth, scores, ties="order"), fast_repeats)
        print(
            f"{name:>9}: loop {slow:.1f} ms; against {against:.2f} ms ({slow / against:.0f} x); "
            f"order {order:.2f} ms ({slow / order:.0f} x)"
        )


if __name__ == "__main__":
    main()
