"""Held-out lwlrap of ways to weight members: `python -m benchmarks.blend [--draws N] [--run RUN ...]`.

Each draw tunes weights on some clips and scores them on others. Printed: the mean over draws of the difference to plain
greedy selection, its standard error, and CPU seconds per draw. Synthetic draws are independent. Halves of a run
overlap, so their errors are too small.
"""

import argparse
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks import blend_methods as methods
from benchmarks.blend_members import Setting, Split, run_halves, synthetic
from benchmarks.rows import Row
from benchmarks.rows import compare as compare_times
from trainers.lwlrap import lwlrap

SETTINGS = {
    "large, 34 members, 4970 clips": Setting((6, 6, 6, 6, 5, 5), (0.37, 0.37, 0.38, 0.40, 0.45, 0.60), 4_970, 80, 1.16),
    "small, 20 members, 134 clips, one weak": Setting((5, 5, 5, 5), (0.7, 0.72, 0.78, 1.1), 134, 10, 1.0),
    "small, 20 alike": Setting((5, 5, 5, 5), (0.75, 0.75, 0.75, 0.75), 134, 10, 1.0),
}
QUICK = {"tiny": Setting((2, 2), (0.8, 1.2), 40, 5, 1.2, held_out=100)}
METHODS: dict[str, Callable[[Split], NDArray[np.float64]]] = {
    "greedy": methods.greedy,
    "uniform": methods.uniform,
    "best single": methods.best_single,
    "bagged greedy": methods.bagged,
    "NNLS stacking": methods.stacking,
    "half NNLS, half uniform": methods.half_stacking,
    "pairwise logistic": methods.pairwise,
    "sonogrid, trials: 0": methods.sonogrid_without_search,
    "sonogrid": methods.sonogrid,
}


def compare(name: str, splits: Iterable[Split]) -> None:
    scores: dict[str, list[float]] = {method: [] for method in METHODS}
    seconds = dict.fromkeys(METHODS, 0.0)
    for split in splits:
        for method, weigh in METHODS.items():
            start = time.process_time()
            weights = weigh(split)
            seconds[method] += time.process_time() - start
            scores[method].append(lwlrap(split.held_out_truth, np.tensordot(weights, split.held_out, 1)))
    draws = len(scores["greedy"])
    print(f"{name}: {draws} draws, greedy {np.mean(scores['greedy']):.4f}")
    for method, values in scores.items():
        gains = np.array(values) - scores["greedy"]
        error = gains.std(ddof=1) / np.sqrt(draws) if draws > 1 else 0.0
        print(f"  {method:<28} {gains.mean():+.4f} ± {error:.4f}  {seconds[method] / draws:7.2f} s", flush=True)


def rows(quick: bool) -> list[Row]:
    """The time of tuning weights, against that of one greedy selection."""
    found = []
    for name, setting in (QUICK if quick else SETTINGS).items():
        (split,) = synthetic(setting, 1)
        found.append(
            compare_times(
                f"blend, {name}", "floor: one greedy selection", partial(methods.sonogrid, split),
                partial(methods.greedy, split), 1 if quick else 3,
            )
        )  # fmt: skip
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.blend", description=__doc__)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--run", type=Path, nargs="*", default=[], help="finished runs, halved by groups")
    parser.add_argument("--only", help="settings whose name begins so; 'none' for runs alone")
    options = parser.parse_args()
    for label, setting in SETTINGS.items():
        if options.only is None or label.startswith(options.only):
            compare(label, synthetic(setting, options.draws))
    for folder in options.run:
        compare(f"halves of {folder}", run_halves(folder, options.draws))


if __name__ == "__main__":
    main()
