"""The out-of-fold scores of single classes and clips: which classes are hard, which are taken for which, and where."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from features.manifest import Manifest
from orchestrator.report.bootstrap import Bootstrap
from orchestrator.report.types import ClassReport, Confusion, WorstClip
from trainers.lwlrap import Lwlrap, lwlrap_per_class

__all__ = ["class_reports", "confusions", "worst_clips"]

MOST = 20
"""Confusions and clips that a report lists."""

Scores = NDArray[np.floating]


def class_reports(
    manifest: Manifest, scores: Scores, best: Scores | None, test: tuple[Scores, Scores] | None
) -> tuple[ClassReport, ...]:
    """lwlrap of each class, in the order of the classes.

    Args:
        manifest: the dataset.
        scores: (N, C) out-of-fold scores of the curated clips.
        best: (N, C) those of the best condition.
        test: labels (T, C) and scores (T, C) of the test clips, if both are known.
    """
    truth, noisy = manifest.targets("curated"), manifest.targets("noisy")
    intervals = Bootstrap(truth, manifest.subset("curated")["group"].to_numpy()).class_intervals(scores)
    found = [_per_class(truth, scores), _per_class(truth, best), _per_class(*(test or (truth, None)))]
    counts = zip((truth > 0).sum(axis=0), (noisy > 0).sum(axis=0), strict=True)
    return tuple(
        ClassReport(name, int(curated), int(of_noisy), own, bounds, of_best, on_test)
        for name, (curated, of_noisy), own, of_best, on_test, bounds in zip(
            manifest.classes, counts, *found, intervals, strict=True
        )
    )


def _per_class(truth: Scores, scores: Scores | None) -> list[float | None]:
    if scores is None:
        return [None] * truth.shape[1]
    values, _ = lwlrap_per_class(truth, scores)
    return [None if np.isnan(value) else float(value) for value in values]


def confusions(classes: Sequence[str], truth: Scores, scores: Scores) -> tuple[Confusion, ...]:
    """How often a class that a clip does not have is ranked first above one that it has; the most frequent ones.

    Args:
        classes: names of the C classes.
        truth: (N, C) labels.
        scores: (N, C)
    """
    clips, labels = np.nonzero(truth > 0)  # (P,), (P,)
    wrong = np.where(truth > 0, -np.inf, scores)[clips]  # (P, C)
    first = wrong.argmax(axis=1)  # (P,)
    missed = wrong[np.arange(len(clips)), first] >= scores[clips, labels]
    counts = Counter(zip(labels[missed].tolist(), first[missed].tolist(), strict=True))
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST]
    total = (truth > 0).sum(axis=0)
    return tuple(Confusion(classes[a], classes[b], number, int(total[a])) for (a, b), number in ordered)


def worst_clips(manifest: Manifest, scores: Scores) -> tuple[WorstClip, ...]:
    """The curated clips whose labels are ranked lowest: either hard, or labelled wrong. Scores are (N, C)."""
    truth = manifest.targets("curated")
    metric = Lwlrap(truth)
    number = np.bincount(metric.clips, minlength=len(truth))  # (N,)
    precision = np.full(len(truth), np.inf)  # (N,)
    sums = np.bincount(metric.clips, weights=metric.precisions(scores), minlength=len(truth))
    np.divide(sums, number, out=precision, where=number > 0)
    confidence = np.where(truth > 0, scores, np.inf).min(axis=1)  # (N,) of the label with the lowest score
    frame = manifest.subset("curated")
    found = []
    for row in np.lexsort((confidence, precision))[:MOST]:
        if precision[row] >= 1:
            break
        first = int(scores[row].argmax())
        found.append(
            WorstClip(
                clip=str(frame["clip"].iloc[row]),
                labels=tuple(frame["labels"].iloc[row]),
                first=manifest.classes[first],
                score=float(scores[row, first]),
                precision=float(precision[row]),
            )
        )
    return tuple(found)
