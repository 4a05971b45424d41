import numpy as np
import pytest

from trainers.pseudo import hard_labels, own_label_factors, soft_labels

PREDICTIONS = np.random.default_rng(0).random((5, 30, 8)).astype(np.float32)


@pytest.mark.parametrize("temperature", [1.0, 1.5, 2.0])
def test_labels_are_the_slow_ones(temperature: float) -> None:
    labels = soft_labels(PREDICTIONS, temperature)
    assert labels.dtype == np.float32
    for clip in range(30):
        mean = [sum(float(PREDICTIONS[k, clip, c]) for k in range(5)) / 5 for c in range(8)]
        total = sum(m**temperature for m in mean)
        np.testing.assert_allclose(labels[clip], [m**temperature / total for m in mean], rtol=1e-6)
    np.testing.assert_allclose(labels.sum(axis=1), 1.0, rtol=1e-6)


def test_temperature_one_keeps_proportions() -> None:
    mean = PREDICTIONS.mean(axis=0)
    labels = soft_labels(PREDICTIONS, 1.0)
    np.testing.assert_allclose(labels / labels[:, :1], mean / mean[:, :1], rtol=1e-5)


def test_two_sharpens() -> None:
    np.testing.assert_allclose(soft_labels(np.array([[[0.8, 0.4]]]), 2.0), [[0.8, 0.2]], rtol=1e-6)
    plain, sharp = soft_labels(PREDICTIONS, 1.0), soft_labels(PREDICTIONS, 2.0)
    assert (sharp.max(axis=1) > plain.max(axis=1)).all()
    np.testing.assert_array_equal(sharp.argsort(axis=1), plain.argsort(axis=1))


def test_the_mean_is_taken_before_sharpening() -> None:
    one_sided = np.array([[[1.0, 0.0]], [[0.0, 0.5]]])
    np.testing.assert_allclose(soft_labels(one_sided, 2.0), [[0.8, 0.2]], rtol=1e-6)


def test_a_row_of_zeros_stays_zeros() -> None:
    predictions = PREDICTIONS.copy()
    predictions[:, 3] = 0
    labels = soft_labels(predictions, 2.0)
    assert not labels[3].any()
    assert np.isfinite(labels).all()


def test_tiny_scores_are_not_lost() -> None:
    np.testing.assert_allclose(soft_labels(np.full((2, 1, 4), 1e-30, np.float32), 2.0), [[0.25] * 4])


def test_a_high_temperature_does_not_underflow() -> None:
    """0.9^1000 is 1.7e-46 and 0.1^1000 is no double; their ratio is what counts."""
    scores = np.array([[[0.9, 0.899, 0.1], [0.02, 0.01, 0.01]]])
    labels = soft_labels(scores, 1_000.0)
    ratio = (0.899 / 0.9) ** 1_000
    np.testing.assert_allclose(labels, [[1 / (1 + ratio), ratio / (1 + ratio), 0], [1, 0, 0]], rtol=1e-6)
    np.testing.assert_allclose(labels.sum(axis=1), 1.0)


def test_hard_labels_are_the_limit_of_soft_ones() -> None:
    labels = hard_labels(PREDICTIONS)
    assert labels.dtype == np.float32
    for clip in range(30):
        mean = [sum(float(PREDICTIONS[k, clip, c]) for k in range(5)) / 5 for c in range(8)]
        assert labels[clip].tolist() == [float(c == mean.index(max(mean))) for c in range(8)]
    np.testing.assert_array_equal(labels, soft_labels(PREDICTIONS, 1e9).round())
    silent = PREDICTIONS.copy()
    silent[:, 3] = 0
    assert not hard_labels(silent)[3].any()


def test_a_clips_own_label_counts_as_bayes_rule_says() -> None:
    """Of four classes, 0.4 of the labels wrong: P(label | class) is 0.6 for its class and 0.4 / 3 for others."""
    prior, label, wrong = np.array([0.1, 0.2, 0.3, 0.4]), 1, 0.4
    likelihood = np.full(4, wrong / 3)
    likelihood[label] = 1 - wrong
    posterior = prior * likelihood / (prior * likelihood).sum()
    factors = own_label_factors(np.eye(4)[[label]], (1 - wrong) * 3 / wrong)
    np.testing.assert_allclose(soft_labels(prior[None, None], 1.0, factors), [posterior], rtol=1e-6)
    assert hard_labels(prior[None, None], factors).tolist() == [[0, 1, 0, 0]]
    np.testing.assert_array_equal(own_label_factors(np.eye(4), 1.0), np.ones((4, 4)))
