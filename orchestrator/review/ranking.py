"""cleanlab's ranking of clips by how likely their labels are right.

A label's quality is the score of its class, that of a class without label 1 less its score (self-confidence). A clip's
quality is an exponential moving average of those of all classes, from the highest to the lowest. Labels that are likely
wrong or missing are found by confident learning, class by class.

Sources: Kuan & Mueller, "Model-agnostic label quality scoring to detect real-world label errors", 2022; Thyagarajan et
al., "Identifying Incorrect Annotations in Multi-Label Classification Data", 2022; Northcutt et al., "Confident
Learning", 2021.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.manifest import Manifest, Subset

__all__ = ["Suspect", "rank"]

SHOWN = 3
"""Classes with the highest scores that a suspect lists."""


@dataclass(frozen=True)
class Suspect:
    """A clip with its labels and what the predictions say of them."""

    subset: Subset
    clip: str
    path: str
    """Below the dataset's root."""
    labels: tuple[str, ...]
    wrong: tuple[str, ...]
    """Labels that are likely wrong."""
    missing: tuple[str, ...]
    """Classes that are likely there."""
    quality: float
    """0 to 1; low: the labels are likely wrong."""
    scores: tuple[tuple[str, float], ...]
    """Classes with their scores: the highest ones, and those of the labels."""

    @property
    def suggested(self) -> tuple[str, ...]:
        """The labels without those that are likely wrong, and with those that are likely missing."""
        return (*(label for label in self.labels if label not in self.wrong), *self.missing)


def rank(manifest: Manifest, subset: Subset, scores: NDArray[np.floating]) -> list[Suspect]:
    """All clips of a subset, the most suspicious one first.

    Args:
        manifest: the dataset.
        subset: curated or noisy.
        scores: (N, C) by networks that have not seen the labels.
    """
    from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class
    from cleanlab.multilabel_classification.rank import get_label_quality_scores

    frame, truth = manifest.subset(subset), manifest.targets(subset) > 0  # (N, C)
    labels = [np.flatnonzero(row).tolist() for row in truth]
    probabilities = np.clip(scores.astype(np.float64), 0, 1)  # (N, C)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on classes with few clips, which are common
        quality = get_label_quality_scores(labels, probabilities)  # (N,)
        issues = np.array(find_multilabel_issues_per_class(labels, probabilities, n_jobs=1), dtype=bool)
    issues = issues.reshape(truth.shape)  # (N, C)
    names = np.array(manifest.classes, dtype=object)
    suspects = []
    for row in np.argsort(quality, kind="stable"):
        order = np.argsort(-probabilities[row], kind="stable")
        shown = [index for place, index in enumerate(order) if place < SHOWN or truth[row, index]]
        missing = issues[row] & ~truth[row]
        wrong = issues[row] & truth[row]
        if (truth[row] & ~wrong | missing).sum() == 0:  # a clip keeps a label: the class with the highest score
            missing[order[0]] = not truth[row, order[0]]
            wrong[order[0]] = False
        suspects.append(
            Suspect(
                subset=subset,
                clip=str(frame["clip"].iloc[row]),
                path=str(frame["path"].iloc[row]),
                labels=tuple(frame["labels"].iloc[row]),
                wrong=tuple(names[wrong]),
                missing=tuple(names[missing]),
                quality=float(quality[row]),
                scores=tuple((str(names[index]), float(probabilities[row, index])) for index in shown),
            )
        )
    return suspects
