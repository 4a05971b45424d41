"""Greedy selection, against a plain loop."""

import numpy as np
import pytest
from numpy.typing import NDArray

from orchestrator.blending.contest import Contest
from orchestrator.blending.selection import select
from tests.fixtures.members import draw
from trainers.lwlrap import Lwlrap, lwlrap


def loop(
    oof: NDArray[np.float32], truth: NDArray[np.bool_], share: NDArray[np.float64], rounds: int
) -> NDArray[np.float64]:
    """Greedy selection as its source describes it."""
    metric = Lwlrap(truth)
    counts = best = np.zeros(len(oof))
    best_score = 0.0
    for _ in range(rounds):
        tried = [counts + one for one in np.eye(len(oof))]
        scores = [
            float(np.average(metric.precisions(np.tensordot(one, oof, 1)), weights=share)).__round__(12)
            for one in tried
        ]
        counts = tried[int(np.argmax(scores))]
        if max(scores) > best_score:
            best, best_score = counts, max(scores)
    return best / best.sum()


def test_each_resample_is_selected_as_if_it_were_alone() -> None:
    oof, truth, _ = draw(6, clips=60)
    oof = np.round(oof * 64) / 64  # exact sums
    contest = Contest(oof, truth)
    shares = np.random.default_rng(0).integers(0, 3, size=(7, len(contest.clips))).astype(float)
    found = select(contest, shares, 12)
    assert found.shape == (12, 7, 6)
    for number, share in enumerate(shares):
        for rounds in (1, 5, 12):
            assert found[rounds - 1, number] == pytest.approx(loop(oof, truth, share, rounds), abs=1e-12)


def test_greedy_beats_the_best_single_member() -> None:
    oof, truth, _ = draw()
    contest = Contest(oof, truth)
    (weights,) = select(contest, np.ones((1, len(contest.clips))), 50)[-1]
    assert contest.score(weights) > max(lwlrap(truth, member) for member in oof)


def test_weights_keep_to_a_limit() -> None:
    oof, truth, _ = draw(8)
    contest = Contest(oof, truth)
    share = np.ones((1, len(contest.clips)))
    for limit in (1, 2, 5):
        (weights,) = select(contest, share, 50, limit=limit)[-1]
        assert np.count_nonzero(weights) <= limit
        assert weights.sum() == pytest.approx(1)
    assert select(contest, share, 50, limit=1)[-1, 0].tolist() == np.eye(8)[0].tolist(), "the first member is the best"


def test_only_allowed_members_are_taken() -> None:
    oof, truth, _ = draw(5)
    contest = Contest(oof, truth)
    allowed = np.array([[False, True, True, False, False], [True, False, False, False, False]])
    found = select(contest, np.ones((2, len(contest.clips))), 10, allowed=allowed)
    assert not found[:, ~allowed].any()
    assert np.allclose(found.sum(axis=2), 1)
