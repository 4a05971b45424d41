import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import label_ranking_average_precision_score

from trainers.lwlrap import Lwlrap, Ties, lwlrap, lwlrap_per_class

Floats = NDArray[np.floating]


def reference(truth: NDArray[np.bool_], scores: Floats) -> tuple[float, Floats, Floats]:
    """Google's definition as a slow loop: sort, walk down, note the share of hits at each true label."""
    total = np.zeros(truth.shape[1])
    for labels, row in zip(truth, scores, strict=True):
        hits = 0
        for rank, label in enumerate(np.argsort(row)[::-1], start=1):
            if labels[label]:
                hits += 1
                total[label] += hits / rank
    count = truth.sum(axis=0)
    per_class, weight = total / np.maximum(1, count), count / count.sum()
    return float((per_class * weight).sum()), per_class, weight


def sklearn_lwlrap(truth: NDArray[np.bool_], scores: Floats) -> float:
    labels = truth.sum(axis=1)
    keep = labels > 0
    return float(label_ranking_average_precision_score(truth[keep], scores[keep], sample_weight=labels[keep]))


def draw(seed: int, *, levels: int | None, clips: int = 300, classes: int = 80) -> tuple[NDArray[np.bool_], Floats]:
    rng = np.random.default_rng(seed)
    truth = rng.random((clips, classes)) < 0.02  # about a fifth of the clips have no label
    scores = rng.random((clips, classes)).astype(np.float32)
    return truth, scores if levels is None else np.floor(scores * levels) / levels


@pytest.mark.parametrize("levels", [None, 1, 2, 20, 1000])
def test_against_agrees_with_scikit_learn(levels: int | None) -> None:
    for seed in range(2):
        truth, scores = draw(seed, levels=levels)
        assert lwlrap(truth, scores) == pytest.approx(sklearn_lwlrap(truth, scores), abs=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("levels", [None, 1, 2, 20, 1000])
@pytest.mark.parametrize("classes", [3, 16, 17, 80, 300])
def test_order_agrees_with_the_reference_loop(levels: int | None, classes: int, dtype: type) -> None:
    truth, scores = draw(classes, levels=levels, clips=100, classes=classes)
    scores = scores.astype(dtype)
    assert lwlrap(truth, scores, ties="order") == pytest.approx(reference(truth, scores)[0], abs=1e-12)


def test_ties_on_a_case_worked_by_hand() -> None:
    truth, scores = [[1, 0, 0]], [[0.5, 0.5, 0.1]]
    assert lwlrap(truth, scores) == pytest.approx(1 / 2)  # the tied class ranks above
    # np.argsort(row)[::-1] puts the later of two tied classes first (short rows are sorted stably).
    assert lwlrap(truth, scores, ties="order") == pytest.approx(1 / 2)
    assert lwlrap([[0, 1, 0]], scores, ties="order") == pytest.approx(1.0)


def test_many_labels_by_hand() -> None:
    # Ranking 2, 0, 1, 3 with labels 0 and 3: precision 1/2 at label 0, 2/4 at label 3.
    assert lwlrap([[1, 0, 0, 1], [0, 0, 0, 0]], [[3, 2, 4, 1], [9, 8, 7, 6]]) == pytest.approx(0.5)


def test_per_class_agrees_with_the_reference_and_adds_up() -> None:
    truth, scores = draw(1, levels=None, clips=1_500)
    truth[:, 7] = False
    per_class, weight = lwlrap_per_class(truth, scores)
    _, expected, expected_weight = reference(truth, scores)
    assert np.isnan(per_class[7])
    assert weight[7] == 0
    others = np.arange(80) != 7
    np.testing.assert_allclose(per_class[others], expected[others], atol=1e-12)
    np.testing.assert_allclose(weight, expected_weight, atol=1e-12)
    assert np.nansum(per_class * weight) == pytest.approx(lwlrap(truth, scores), abs=1e-12)


def test_clips_without_labels_carry_no_weight() -> None:
    truth, scores = draw(2, levels=20)
    labelled = truth.any(axis=1)
    assert not labelled.all()
    for ties in ("against", "order"):
        assert lwlrap(truth, scores, ties=ties) == lwlrap(truth[labelled], scores[labelled], ties=ties)


def test_one_object_serves_many_scores() -> None:
    truth, scores = draw(3, levels=None)
    metric = Lwlrap(truth)
    assert metric(scores) == lwlrap(truth, scores)
    assert metric(truth) == 1.0
    assert metric(scores) == lwlrap(truth, scores)


@pytest.mark.parametrize("ties", ["against", "order"])
def test_scores_are_left_as_they_were(ties: Ties) -> None:
    truth, scores = draw(4, levels=5)
    before = scores.copy()
    lwlrap(truth, scores, ties=ties)
    np.testing.assert_array_equal(scores, before)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_cannot_be_ranked_are_refused(bad: float) -> None:
    truth, scores = draw(5, levels=None)
    scores[0, 0] = bad
    with pytest.raises(ValueError, match="NaN or infinite"):
        lwlrap(truth, scores)


def test_wrong_shapes_ties_and_empty_truth_are_refused() -> None:
    truth, scores = draw(6, levels=None)
    with pytest.raises(ValueError, match="shape"):
        lwlrap(truth, scores[:-1])
    with pytest.raises(ValueError, match="two dimensions"):
        lwlrap(truth[0], scores[0])
    with pytest.raises(ValueError, match="no positive label"):
        lwlrap(np.zeros_like(truth), scores)
    with pytest.raises(ValueError, match="ties"):
        lwlrap(truth, scores, ties="random")  # type: ignore[arg-type]
