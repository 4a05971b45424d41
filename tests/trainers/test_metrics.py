"""Scores beside lwlrap, against scikit-learn and against many random draws."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from trainers.lwlrap import lwlrap
from trainers.metrics import Metrics, accuracy, average_precision, chance_lwlrap, metrics_of, roc_auc


def case(levels: int | None, *, seed: int = 0) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    truth = rng.random((60, 7)) < 0.2
    truth[~truth.any(axis=1), 0] = True
    scores = truth + rng.normal(scale=0.8, size=truth.shape)
    return truth, scores if levels is None else np.round(scores * levels) / levels


@pytest.mark.parametrize("levels", [None, 2, 1])
def test_scores_of_classes_equal_scikit_learns_with_ties_too(levels: int | None) -> None:
    truth, scores = case(levels)
    assert average_precision(truth, scores) == pytest.approx(average_precision_score(truth, scores, average=None))
    assert roc_auc(truth, scores) == pytest.approx(roc_auc_score(truth, scores, average=None))
    found = metrics_of(truth, scores)
    assert found.mean_average_precision == pytest.approx(average_precision_score(truth, scores, average="macro"))
    assert found.roc_auc == pytest.approx(roc_auc_score(truth, scores, average="macro"))


def test_classes_without_true_clips_are_left_out() -> None:
    truth, scores = case(None)
    truth[:, 3] = False
    truth[:, 5] = True
    others = [0, 1, 2, 4, 6]
    assert np.isnan(average_precision(truth, scores)[3])
    assert np.isnan(roc_auc(truth, scores)[[3, 5]]).all(), "every clip has class 5"
    found = metrics_of(truth, scores)
    assert found.roc_auc == pytest.approx(roc_auc_score(truth[:, others], scores[:, others]))
    assert found.mean_average_precision == pytest.approx(
        average_precision_score(truth[:, [*others, 5]], scores[:, [*others, 5]])
    )


def test_clips_without_labels_are_left_out() -> None:
    truth, scores = case(2)
    more = np.concatenate([truth, np.zeros((9, 7), dtype=bool)])
    assert metrics_of(more, np.concatenate([scores, np.ones((9, 7))])) == metrics_of(truth, scores)
    assert metrics_of(np.zeros((3, 2)), np.ones((3, 2))) == Metrics()


def test_accuracy_is_of_single_labels_and_counts_ties_against() -> None:
    truth = np.eye(3, dtype=bool)
    assert accuracy(truth, np.array([[3, 2, 1], [3, 2, 1], [1, 2, 2.0]])) == pytest.approx(1 / 3)
    assert accuracy(truth, np.eye(3)) == 1.0
    assert accuracy(truth | np.eye(3, k=1, dtype=bool), np.eye(3)) is None
    assert accuracy(np.zeros((0, 3), dtype=bool), np.zeros((0, 3))) is None


@pytest.mark.parametrize("classes", [1, 2, 9])
def test_chance_is_the_mean_lwlrap_of_random_scores(classes: int) -> None:
    rng = np.random.default_rng(classes)
    truth = rng.random((40, classes)) < 0.3
    truth[:, 0] |= ~truth.any(axis=1)
    truth = np.concatenate([truth, np.zeros((3, classes), dtype=bool)])
    drawn = [lwlrap(truth, rng.random(truth.shape)) for _ in range(400)]
    error = np.std(drawn) / np.sqrt(400)
    assert chance_lwlrap(truth) == pytest.approx(np.mean(drawn), abs=4 * error + 1e-12)


def test_wrong_inputs_are_refused() -> None:
    with pytest.raises(ValueError, match="must be equal"):
        metrics_of(np.eye(3), np.eye(4))
    with pytest.raises(ValueError, match="no positive label"):
        chance_lwlrap(np.zeros((3, 2)))
