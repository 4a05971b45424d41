"""Probabilities and thresholds that out-of-fold scores stand for."""

import json

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, f1_score

from orchestrator.tagger.calibration import Calibration, fit_calibration, reliability

RNG = np.random.default_rng(0)


def draw(clips: int, classes: int = 4, slope: float = 2.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels (N, C), scores whose logits are 1 / slope of the true ones, and folds."""
    logits = RNG.normal(-1.0, 2.0, (clips, classes))
    truth = RNG.uniform(size=logits.shape) < expit(logits)
    return truth, expit(logits / slope).astype(np.float32), np.arange(clips) % 5


def test_probabilities_are_those_that_made_the_labels() -> None:
    truth, scores, folds = draw(20_000)
    found = fit_calibration(truth, scores, folds)
    np.testing.assert_allclose(found.slopes, 2.0, atol=0.1)
    np.testing.assert_allclose(found.offsets, 0.0, atol=0.1)
    np.testing.assert_allclose(found.probabilities(scores), expit(2 * logit(scores)), atol=0.02)
    assert found.after.calibration_error < 0.01 < found.before.calibration_error
    assert found.after.brier < found.before.brier


def test_one_class_is_calibrated_as_by_a_logistic_regression() -> None:
    truth, scores, folds = draw(500, classes=1)
    found = fit_calibration(truth, scores, folds)
    wanted = LogisticRegression(C=np.inf, tol=1e-8).fit(logit(scores), truth[:, 0])
    np.testing.assert_allclose(
        [found.slopes[0], found.offsets[0]], [wanted.coef_[0, 0], wanted.intercept_[0]], atol=1e-3
    )


def test_a_class_with_few_clips_is_like_the_others() -> None:
    truth, scores, folds = draw(400)
    truth[20:, 0] = False
    scores[20:, 0] = 1e-6  # most clips say nothing about this class
    truth[:, 3] = False  # no clip at all
    found = fit_calibration(truth, scores, folds)
    alone = fit_calibration(truth[:, :1], scores[:, :1], folds)
    assert found.clips.tolist() == truth.sum(axis=0).tolist()
    shared = float(np.median(found.thresholds[1:3]))
    assert abs(found.thresholds[0] - shared) <= abs(alone.thresholds[0] - shared)
    rising = found.probabilities(np.linspace(0, 1, 50, dtype=np.float32)[:, None])  # (50, C)
    assert (np.diff(rising, axis=0) >= 0).all()
    assert (rising[5:, 3] < rising[5:, 1]).all()


def test_thresholds_have_the_best_f1_where_there_are_clips() -> None:
    truth, scores, folds = draw(4_000)
    found = fit_calibration(truth, scores, folds)
    for c, threshold in enumerate(found.thresholds):
        best = max(
            f1_score(truth[:, c], scores[:, c] >= cut) for cut in np.quantile(scores[:, c], np.linspace(0, 1, 99))
        )
        assert f1_score(truth[:, c], scores[:, c] >= threshold) > best - 0.005


@pytest.mark.parametrize("constant", [0.0, 0.3, 1.0])
def test_equal_scores_have_a_threshold(constant: float) -> None:
    truth = np.arange(12).reshape(6, 2) % 3 == 0
    found = fit_calibration(truth, np.full(truth.shape, constant, np.float32), np.arange(6) % 2)
    assert np.isfinite(found.thresholds).all()
    assert np.isfinite(found.after.brier)


def test_reliability_by_hand_and_by_scikit_learn() -> None:
    truth, scores = np.array([[True, False], [False, True]]), np.array([[0.9, 0.2], [0.2, 0.7]])
    found = reliability(truth, scores)
    assert found.brier == pytest.approx(brier_score_loss(truth.ravel(), scores.ravel()))
    assert found.calibration_error == pytest.approx((0.1 + 0.4 + 0.3) / 4)  # the two scores of 0.2 share a bin


def test_the_json_form_is_read_back() -> None:
    found = fit_calibration(*draw(50))
    again = Calibration.of(json.loads(json.dumps(found.as_dict())))
    assert again.as_dict() == found.as_dict()
    scores = np.array([[0.0, 0.1, 0.9, 1.0]], np.float32)
    np.testing.assert_array_equal(again.probabilities(scores), found.probabilities(scores))
