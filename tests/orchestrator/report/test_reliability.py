"""How often a class is there, given its score."""

import numpy as np
import pytest

from orchestrator.report.reliability import reliability_bins


def test_bins_hold_all_pairs_and_their_shares() -> None:
    scores = np.array([[0.05, 0.95], [0.02, 0.91], [1.0, 0.04]])
    truth = np.array([[0, 1], [0, 0], [1, 1]])
    low, high = reliability_bins(truth, scores)
    assert (low.low, low.high, low.pairs, low.true) == (0.0, 0.1, 3, pytest.approx(1 / 3))
    assert low.score == pytest.approx(0.11 / 3)
    assert (high.low, high.high, high.pairs, high.true) == (0.9, 1.0, 3, pytest.approx(2 / 3)), "1.0 is in the last bin"


def test_the_interval_is_wilsons() -> None:
    (found,) = reliability_bins(np.array([[1.0] + [0.0] * 9]), np.full((1, 10), 0.25))
    assert found.interval == (pytest.approx(0.0179, abs=1e-4), pytest.approx(0.4042, abs=1e-4))


def test_true_probabilities_lie_on_the_diagonal() -> None:
    rng = np.random.default_rng(1)
    scores = rng.random((2_000, 10))
    for one in reliability_bins(rng.random(scores.shape) < scores, scores):
        assert one.true == pytest.approx(one.score, abs=0.05)
        assert one.interval[0] < one.true < one.interval[1]
