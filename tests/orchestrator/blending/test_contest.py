"""lwlrap of blends, against the plain function."""

import numpy as np
import pytest

from orchestrator.blending.contest import Contest
from tests.fixtures.members import draw
from trainers.lwlrap import lwlrap


def test_greedy_beats_the_best_single_member() -> None:
    oof, truth, _ = draw()
    contest = Contest(oof, truth, np.ones(len(truth), dtype=bool))
    singles = [contest.score(one) for one in np.eye(len(oof))]
    assert singles == pytest.approx([lwlrap(truth, member) for member in oof], abs=1e-12)
    assert contest.score(contest.greedy()) > max(singles)


def test_contest_agrees_with_lwlrap_where_scores_tie() -> None:
    oof, truth, folds = draw()
    oof = np.round(oof * 4) / 4  # exact in float32, so ties stay ties in the blend
    clips = folds != 1
    contest = Contest(oof, truth, clips)
    for weights in np.random.default_rng(0).integers(0, 3, size=(20, len(oof))):
        blended = np.tensordot(weights, oof, 1)
        assert contest.score(weights.astype(float)) == pytest.approx(lwlrap(truth[clips], blended[clips]), abs=1e-12)


def test_greedy_weights_keep_to_a_limit() -> None:
    oof, truth, _ = draw(8)
    contest = Contest(oof, truth, np.ones(len(truth), dtype=bool))
    for limit in (1, 2, 5):
        weights = contest.greedy(limit)
        assert np.count_nonzero(weights) <= limit
        assert weights.sum() == pytest.approx(1)
    assert contest.greedy(1).tolist() == np.eye(8)[0].tolist(), "the first member is the best"
