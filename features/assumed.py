"""A manifest of FSDKaggle2019's size without the audio: the cost of a grid can be estimated before the data is there.

Counts, means and ranges are the dataset's (docs/paper.md, Data); the lengths themselves are drawn evenly from simple
distributions with those means: curated and test clips log-normal, noisy ones mostly of 15 s.
"""

from statistics import NormalDist

import numpy as np
import pandas as pd

from features.folds import kfold
from features.manifest import Manifest
from features.settings import DataSettings

__all__ = ["assumed_manifest"]

SAMPLE_RATE_HZ = 44_100
CLASSES = 80
LENGTHS_S = (0.3, 57.6)


def assumed_manifest(settings: DataSettings) -> Manifest:
    """4,970 curated clips (mean 7.65 s), 19,815 noisy ones (14.6 s) and 4,481 test ones (12.9 h in all), 80 classes.

    Names, labels and checksums are made up, so no finished work of any store belongs to it.
    """
    lengths_s = {"curated": _log_normal(4_970, 4.7), "noisy": _noisy(19_815), "test": _log_normal(4_481, 6.45)}
    frames = []
    for subset, seconds in lengths_s.items():
        n = len(seconds)
        names = [f"{subset}-{index:05d}" for index in range(n)]
        labels = [[] if subset == "test" else [f"class-{index % CLASSES:02d}"] for index in range(n)]
        folds = np.full(n, -1) if subset == "test" else kfold(n, settings.folds, settings.fold_seed)
        columns = {
            "clip": names, "subset": subset, "path": names, "labels": labels,
            "n_samples": np.rint(seconds * SAMPLE_RATE_HZ).astype(np.int64), "sample_rate_hz": SAMPLE_RATE_HZ,
            "channels": 1, "sha256": [f"assumed {name}" for name in names], "group": names, "fold": folds,
        }  # fmt: skip
        frames.append(pd.DataFrame(columns))
    classes = tuple(f"class-{index:02d}" for index in range(CLASSES))
    return Manifest(pd.concat(frames, ignore_index=True), classes, notes=("sizes of FSDKaggle2019 are assumed",))


def _log_normal(n: int, median_s: float) -> np.ndarray:
    """(n,) quantiles of a log-normal distribution whose spread yields the curated clips' median and mean."""
    normal = NormalDist(float(np.log(median_s)), 1.01)
    return np.exp([normal.inv_cdf((index + 0.5) / n) for index in range(n)]).clip(*LENGTHS_S)


def _noisy(n: int) -> np.ndarray:
    """(n,) 94 % of 15 s, the others evenly 1-16 s: mean 14.6 s."""
    others = round(0.06 * n)
    return np.concatenate([np.linspace(1.0, 16.0, others), np.full(n - others, 15.0)])
