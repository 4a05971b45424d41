"""lwlrap against scikit-learn, on any labels and scores, ties included."""

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import label_ranking_average_precision_score

from trainers.lwlrap import Lwlrap, lwlrap, lwlrap_per_class

SHAPES = st.tuples(st.integers(1, 20), st.integers(2, 8))
FEW = st.integers(0, 3)
"""So few values that ties are everywhere."""


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores (N, C)."""
    shape = draw(SHAPES)
    truth = draw(arrays(np.bool_, shape))
    values = draw(st.sampled_from([FEW, st.floats(-1e6, 1e6, width=32)]))
    scores = draw(arrays(np.float32, shape, elements=values))
    assume(truth.any())
    return truth, scores


@given(cases())
def test_it_is_scikit_learns_score_weighted_by_labels(case: tuple[np.ndarray, np.ndarray]) -> None:
    truth, scores = case
    labels = truth.sum(axis=1)
    theirs = label_ranking_average_precision_score(truth, scores, sample_weight=labels)
    assert np.isclose(lwlrap(truth, scores), theirs, rtol=0, atol=1e-12)


@given(cases())
def test_it_is_the_weighted_mean_of_its_classes(case: tuple[np.ndarray, np.ndarray]) -> None:
    truth, scores = case
    per_class, weight = lwlrap_per_class(truth, scores)
    assert np.isclose(weight.sum(), 1)
    assert np.isclose(np.nansum(per_class * weight), lwlrap(truth, scores), rtol=0, atol=1e-12)
    assert np.isnan(per_class).tolist() == (~truth.any(axis=0)).tolist()


@given(cases(), st.randoms(use_true_random=False))
def test_only_the_ranks_count_and_the_order_of_clips_and_classes_does_not(
    case: tuple[np.ndarray, np.ndarray], random: np.random.RandomState
) -> None:
    truth, scores = case
    clips, classes = list(range(truth.shape[0])), list(range(truth.shape[1]))
    random.shuffle(clips)
    random.shuffle(classes)
    value = lwlrap(truth, scores)
    assert 0 < value <= 1
    ranks = np.unique(scores, return_inverse=True)[1].reshape(scores.shape)
    assert lwlrap(truth, ranks) == value
    shuffled = lwlrap(truth[clips][:, classes], scores[clips][:, classes])
    assert np.isclose(shuffled, value, rtol=0, atol=1e-12)


@given(cases())
def test_scores_without_ties_have_one_value_however_ties_are_broken(case: tuple[np.ndarray, np.ndarray]) -> None:
    truth, scores = case
    metric = Lwlrap(truth)
    places = np.argsort(np.argsort(scores, axis=1), axis=1)  # no two equal in a row
    assert metric(places, ties="order") == metric(places)
    assert metric(scores, ties="order") == metric(places)


@given(cases())
def test_the_truth_itself_is_a_perfect_score(case: tuple[np.ndarray, np.ndarray]) -> None:
    truth, _ = case
    assert lwlrap(truth, truth.astype(np.float32)) == 1
