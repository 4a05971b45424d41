"""Stacked weights, against scikit-learn on the clips themselves."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from orchestrator.blending.stacking import stack
from tests.fixtures.members import draw


def test_weights_are_those_of_non_negative_least_squares_on_each_resample() -> None:
    oof, truth, _ = draw(5, clips=300)  # more than one block of clips
    counts = np.random.default_rng(0).integers(0, 3, size=(4, 300)).astype(float)
    found = stack(oof, truth, counts, np.ones((4, 5), dtype=bool))
    for weights, count in zip(found, counts, strict=True):
        clips = np.repeat(np.arange(300), count.astype(int))
        model = LinearRegression(positive=True, fit_intercept=False)
        centred = oof[:, clips] - oof[:, clips].mean(axis=2, keepdims=True)
        model.fit(centred.reshape(5, -1).T.astype(float), truth[clips].ravel())
        assert weights == pytest.approx(model.coef_ / model.coef_.sum(), abs=1e-5)


def test_what_all_classes_of_a_clip_share_does_not_matter() -> None:
    oof, truth, _ = draw(5, clips=60)
    everything = np.ones((1, 60)), np.ones((1, 5), dtype=bool)
    shifted = oof + np.random.default_rng(0).random((5, 60, 1)).astype(np.float32)
    assert stack(shifted, truth, *everything)[0] == pytest.approx(stack(oof, truth, *everything)[0], abs=1e-4)


def test_only_allowed_members_have_a_weight() -> None:
    oof, truth, _ = draw(4, clips=60)
    allowed = np.array([[True, False, True, False], [False, False, False, True]])
    found = stack(oof, truth, np.ones((2, 60)), allowed)
    assert not found[~allowed].any()
    assert found.sum(axis=1) == pytest.approx([1, 1])
    assert found[0, [0, 2]] == pytest.approx(stack(oof[[0, 2]], truth, np.ones((1, 60)), np.ones((1, 2), bool))[0])


def test_equal_members_share_their_weight_and_useless_ones_have_equal_weights() -> None:
    oof, truth, _ = draw(1, clips=60)
    everything = np.ones((1, 60)), np.ones((1, 3), dtype=bool)
    assert stack(np.repeat(oof, 3, axis=0), truth, *everything)[0] == pytest.approx([1 / 3] * 3, abs=1e-4)
    assert stack(np.zeros((3, *truth.shape), np.float32), truth, *everything)[0] == pytest.approx([1 / 3] * 3)
