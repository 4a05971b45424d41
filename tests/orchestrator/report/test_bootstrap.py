"""Bootstrap intervals against a slow loop, and whether they hold what they promise."""

import numpy as np
import pytest
from numpy.typing import NDArray

from orchestrator.report.bootstrap import Bootstrap, interval
from orchestrator.report.scores import Scores
from trainers.lwlrap import lwlrap
from trainers.randomness import generator

Case = tuple[NDArray[np.float32], NDArray[np.float64]]


def draw(clips: int, *, noise: float = 1.0, classes: int = 6, seed: int = 0) -> Case:
    rng = np.random.default_rng(seed)
    truth = rng.random((clips, classes)) < 0.15
    truth[np.arange(clips), rng.integers(classes, size=clips)] = True
    return truth.astype(np.float32), truth + noise * rng.normal(size=truth.shape)


def test_draws_equal_lwlrap_of_the_drawn_clips() -> None:
    truth, scores = draw(30)
    found = Bootstrap(truth, draws=40, seed=7).draws(scores)
    rng = generator(7, "bootstrap")
    for value in found:
        clips = rng.integers(30, size=30)
        assert value == pytest.approx(lwlrap(truth[clips], scores[clips]), abs=1e-12)


def test_groups_are_drawn_whole() -> None:
    truth, scores = draw(30)
    groups = np.arange(30) // 3
    found = Bootstrap(truth, groups, draws=40, seed=7).draws(scores)
    rng = generator(7, "bootstrap")
    for value in found:
        clips = np.concatenate([np.flatnonzero(groups == group) for group in rng.integers(10, size=10)])
        assert value == pytest.approx(lwlrap(truth[clips], scores[clips]), abs=1e-12)
    alone = Bootstrap(truth, np.arange(30), draws=40, seed=7).draws(scores)
    assert np.array_equal(alone, Bootstrap(truth, draws=40, seed=7).draws(scores))


def test_intervals_are_wider_where_clips_of_a_group_are_alike() -> None:
    truth, scores = (np.repeat(part, 4, axis=0) for part in draw(60))
    alone = interval(Bootstrap(truth).draws(scores))
    together = interval(Bootstrap(truth, np.arange(240) // 4).draws(scores))
    assert together[1] - together[0] > 1.5 * (alone[1] - alone[0])


def test_clips_without_labels_change_nothing() -> None:
    truth, scores = draw(30)
    more = np.concatenate([truth[:10], np.zeros((5, 6), np.float32), truth[10:]])
    padded = np.concatenate([scores[:10], np.ones((5, 6)), scores[10:]])
    assert np.array_equal(Bootstrap(truth).draws(scores), Bootstrap(more).draws(padded))


def test_equal_predictions_differ_by_exactly_nothing() -> None:
    truth, scores = draw(50)
    found = Scores(truth, {"a": scores, "b": scores.copy(), "c": scores + 0.5 * draw(50, seed=3)[1]})
    assert found.difference("a", "b") == (0.0, (0.0, 0.0))
    difference, bounds = found.difference("a", "c")
    assert difference is not None
    assert bounds is not None
    assert bounds[0] < difference < bounds[1]
    back, reversed_bounds = found.difference("c", "a")
    assert back == -difference
    assert reversed_bounds == pytest.approx((-bounds[1], -bounds[0]))


def test_a_paired_interval_is_narrower_than_two_apart() -> None:
    """Two predictions that fail on the same clips differ by less than either may vary."""
    truth, scores = draw(200, noise=1.5)
    other = scores + 0.1 * np.random.default_rng(5).normal(size=scores.shape)
    found = Scores(truth, {"a": scores, "b": other})
    _, paired = found.difference("a", "b")
    alone = found.interval("a")
    assert paired is not None
    assert alone is not None
    assert paired[1] - paired[0] < 0.5 * (alone[1] - alone[0])


def test_missing_predictions_have_no_score() -> None:
    truth, scores = draw(20)
    found = Scores(truth, {"a": scores})
    assert found.lwlrap("b") is None
    assert found.interval("b") is None
    assert found.difference("a", "b") == (None, None)
    assert Scores(None, {"a": scores}).lwlrap("a") is None


def test_draws_are_seeded() -> None:
    truth, scores = draw(20)
    assert np.array_equal(Bootstrap(truth).draws(scores), Bootstrap(truth).draws(scores))
    assert not np.array_equal(Bootstrap(truth).draws(scores), Bootstrap(truth, seed=1).draws(scores))


def test_the_interval_holds_the_population_value_about_as_often_as_it_says() -> None:
    truth, scores = draw(20_000, seed=1)
    population = lwlrap(truth, scores)
    held = 0
    for study in range(100):
        part = slice(150 * study, 150 * (study + 1))
        low, high = interval(Bootstrap(truth[part], draws=300, seed=study).draws(scores[part]))
        held += low <= population <= high
    assert 87 <= held <= 99  # 95 expected; 3 standard deviations of 100 studies are 6.5


def test_intervals_of_classes_are_those_of_their_labels_alone() -> None:
    rng = np.random.default_rng(1)
    truth = np.zeros((60, 3), bool)
    truth[np.arange(60), rng.integers(0, 2, 60)] = True
    scores = rng.random((60, 3))
    low, high, nothing = Bootstrap(truth).class_intervals(scores)
    assert nothing is None, "no clip has the class"
    for label, bounds in ((0, low), (1, high)):
        assert bounds is not None
        own = truth[:, label]
        alone = interval(Bootstrap(truth[own], seed=3).draws(scores[own]))
        np.testing.assert_allclose(bounds, alone, atol=0.05)
