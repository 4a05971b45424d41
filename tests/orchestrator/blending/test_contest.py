"""lwlrap of blends, against the plain function."""

import numpy as np
import pytest
from numpy.typing import NDArray

from orchestrator.blending.contest import Contest
from tests.fixtures.members import draw
from trainers.lwlrap import Lwlrap, lwlrap


def test_a_blend_has_the_score_of_the_plain_function() -> None:
    oof, truth, _ = draw()
    contest = Contest(oof, truth)
    assert [contest.score(one) for one in np.eye(5)] == pytest.approx([lwlrap(truth, one) for one in oof], abs=1e-12)


def test_contest_agrees_with_lwlrap_where_scores_tie() -> None:
    oof, truth, _ = draw()
    oof = np.round(oof * 4) / 4  # exact in float32, so ties stay ties in the blend
    contest = Contest(oof, truth)
    for weights in np.random.default_rng(0).integers(0, 3, size=(20, len(oof))):
        blended = np.tensordot(weights, oof, 1)
        assert contest.score(weights.astype(float)) == pytest.approx(lwlrap(truth, blended), abs=1e-12)


def added(oof: NDArray[np.float32], truth: NDArray[np.bool_], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Precisions (P, M) if each member is added to a blend, one blend after the other."""
    metric = Lwlrap(truth)
    return np.stack([metric.precisions(np.tensordot(weights, oof, 1) + member) for member in oof], axis=1)


@pytest.mark.parametrize("members", [1, 5, 8, 9])
def test_additions_are_the_precisions_of_each_blend_with_one_more(members: int) -> None:
    oof, truth, _ = draw(members)
    oof = np.round(oof * 16) / 16
    contest = Contest(oof, truth)
    rng = np.random.default_rng(0)
    for weights in (np.zeros(members), *rng.integers(0, 4, size=(5, members)).astype(float)):
        assert np.allclose(contest.additions(contest.mix(weights)), added(oof, truth, weights), atol=1e-12)


def test_additions_count_beyond_255_classes() -> None:
    rng = np.random.default_rng(0)
    truth = np.zeros((4, 700), dtype=bool)
    truth[:, :2] = True
    oof = rng.integers(0, 9, size=(3, 4, 700)).astype(np.float32)
    oof[0, :, :2] = -1  # the true labels are last for one member, so that all other classes outrank them
    contest = Contest(oof, truth)
    assert np.allclose(contest.additions(contest.mix(np.zeros(3))), added(oof, truth, np.zeros(3)), atol=1e-12)


def test_members_that_agree_leave_nothing_to_mix() -> None:
    oof, truth, _ = draw(1)
    contest = Contest(np.repeat(oof, 3, axis=0), truth)
    assert len(contest.pairs) == 0
    assert np.allclose(contest.additions(contest.mix(np.ones(3))).mean(axis=0), lwlrap(truth, oof[0]))
