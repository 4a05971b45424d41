"""Weights from bags of the clips."""

import numpy as np
import pytest

from orchestrator.blending.bagging import BAGS, Bagged, Mixture, bag_all, draw_bags
from orchestrator.blending.contest import Contest
from orchestrator.blending.selection import select
from tests.fixtures.members import draw
from trainers.lwlrap import Lwlrap, lwlrap


def bagged(members: int = 6, *, clips: int = 120, seed: int = 0, limit: int | None = None) -> Bagged:
    oof, truth, _ = draw(members, clips=clips, seed=seed)
    everything = np.ones((1, clips), dtype=bool)
    published = np.arange(1.0, members + 1)
    return bag_all(oof, truth, np.arange(clips), everything, seed=1, limit=limit, published=published)[0]


def test_groups_are_drawn_together_and_as_often_as_there_are_groups() -> None:
    groups = np.array([7, 7, 7, 2, 2, 9])
    found = draw_bags(groups, 50, np.random.default_rng(0))
    assert found.shape == (50, 6)
    assert (found[:, 0] == found[:, 1]).all()
    assert (found[:, 3] == found[:, 4]).all()
    assert (found[:, [0, 3, 5]].sum(axis=1) == 3).all()
    assert len(np.unique(found, axis=0)) > 5


def test_weights_are_the_mean_over_bags() -> None:
    found = bagged()
    weights = found.weights(Mixture())
    greedy, stacked = found.on_bags[14].mean(axis=0), found.stacked_on_bags.mean(axis=0)
    assert weights == pytest.approx((greedy + stacked) / 2)
    assert found.weights(Mixture(stacked=0.25)) == pytest.approx(0.75 * greedy + 0.25 * stacked)
    assert found.weights(Mixture(bags=1, stacked=0.0)) == pytest.approx(found.on_all[14])
    assert found.weights(Mixture(bags=1, stacked=1.0)) == pytest.approx(found.stacked_on_all)
    half = found.weights(Mixture(uniform=0.5))
    assert half == pytest.approx(0.5 * weights + 0.5 / 6)
    assert found.weights(Mixture(published=1.0)) == pytest.approx(np.arange(1, 7) / 21)


def test_a_clip_is_scored_by_weights_that_never_saw_it() -> None:
    oof, truth, _ = draw(6, clips=120)
    metric = Lwlrap(truth)
    found = bagged()
    mixture = Mixture(rounds=9, stacked=0.1, uniform=0.25)
    expected = []
    for pair, clip in enumerate(metric.clips):
        bags = np.flatnonzero(found.out[:, pair])
        if len(bags):
            by_bag = 0.9 * found.on_bags[8, bags] + 0.1 * found.stacked_on_bags[bags]
            weights = 0.75 * by_bag.mean(axis=0) + 0.25 / 6
            expected.append(metric.precisions(np.tensordot(weights, oof, 1))[pair])
            assert clip == found.contest.clips[pair]
    assert len(expected) > 0.95 * len(metric.clips)
    assert found.out_of_bag(mixture) == pytest.approx(expected, abs=1e-9)


def test_parts_do_not_see_each_other() -> None:
    """The weights of a part depend on no label outside it."""
    oof, truth, folds = draw(6, clips=120)
    parts = np.stack([np.ones(120, dtype=bool), folds != 0])
    first = bag_all(oof, truth, np.arange(120), parts, seed=1)[1].weights(Mixture())
    truth[folds == 0] = np.roll(truth[folds == 0], 1, axis=1)
    second = bag_all(oof, truth, np.arange(120), parts, seed=1)[1].weights(Mixture())
    assert first == pytest.approx(second, abs=1e-12)


def test_a_limit_holds_for_every_mixture() -> None:
    found = bagged(limit=2)
    for mixture in (Mixture(), Mixture(bags=1), Mixture(stacked=1.0), Mixture(uniform=0.5), Mixture(published=0.5)):
        assert np.count_nonzero(found.weights(mixture)) <= 2


def test_clips_without_labels_are_in_no_bag() -> None:
    oof, truth, _ = draw(3, clips=40)
    truth[3:] = False
    found = bag_all(oof, truth, np.zeros(40, dtype=int), np.ones((1, 40), dtype=bool), seed=1)[0]
    assert not found.scored.any(), "the one group is in every bag"
    assert found.weights(Mixture()).sum() == pytest.approx(1)


def test_bagged_weights_are_better_held_out_than_those_of_one_selection() -> None:
    """The reason for the bags: fewer clips than a selection needs, and others to score it on."""
    gains, beyond_uniform = [], []
    for seed in range(12):
        oof, truth, _ = draw(12, clips=1_100, seed=seed)
        contest = Contest(oof[:, :100], truth[:100])
        found = bag_all(oof[:, :100], truth[:100], np.arange(100), np.ones((1, 100), dtype=bool), seed=seed)[0]
        (one,) = select(contest, np.ones((1, len(contest.clips))), 50)[-1]
        held_out = [
            lwlrap(truth[100:], np.tensordot(weights, oof[:, 100:], 1))
            for weights in (found.weights(Mixture(stacked=0.0)), one, found.uniform)
        ]
        gains.append(held_out[0] - held_out[1])
        beyond_uniform.append(held_out[0] - held_out[2])
    assert np.mean(gains) > 2 * np.std(gains) / np.sqrt(len(gains))
    assert np.mean(beyond_uniform) > 0
    assert found.on_bags.shape[1] == BAGS
