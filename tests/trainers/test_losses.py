import numpy as np
import pytest
import torch

from trainers.losses import FUNCTIONS, activate, smooth
from trainers.registry import LOSSES, Activation

BOTH = pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 3, (9, 6))
LABELS = (RNG.random((9, 6)) < 0.3).astype(np.float64)
LABELS[0] = 0
LABELS[1] = 1
SOFT = RNG.random((9, 6))


def scores_of(logits: np.ndarray, activation: Activation) -> np.ndarray:
    if activation == "sigmoid":
        return np.asarray(1 / (1 + np.exp(-logits)))
    return np.asarray(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))


def value(name: str, targets: np.ndarray, activation: Activation, logits: np.ndarray = LOGITS) -> float:
    return float(FUNCTIONS[name](torch.from_numpy(logits), torch.from_numpy(targets), activation))


def test_every_declared_loss_has_its_function() -> None:
    assert FUNCTIONS.keys() == LOSSES.keys()
    assert all(function.__name__ == name for name, function in FUNCTIONS.items())


@BOTH
def test_activations(activation: Activation) -> None:
    np.testing.assert_allclose(activate(torch.from_numpy(LOGITS), activation), scores_of(LOGITS, activation))


@BOTH
@pytest.mark.parametrize("targets", [LABELS, SOFT], ids=["hard", "soft"])
def test_bce(activation: Activation, targets: np.ndarray) -> None:
    scores = scores_of(LOGITS, activation)
    wanted = -(targets * np.log(scores) + (1 - targets) * np.log(1 - scores)).mean()
    assert value("bce", targets, activation) == pytest.approx(wanted)


def test_bce_of_certain_sigmoids_is_on_the_logits() -> None:
    """On the scores, 1 - 1 would cost a wrong and certain answer no more than 100."""
    assert value("bce", np.zeros((1, 2)), "sigmoid", np.array([[1_000.0, -1_000.0]])) == pytest.approx(500.0)


@pytest.mark.parametrize("targets", [LABELS, SOFT], ids=["hard", "soft"])
def test_bce_twice_takes_scores_for_logits(targets: np.ndarray) -> None:
    twice = scores_of(scores_of(LOGITS, "sigmoid"), "sigmoid")
    wanted = -(targets * np.log(twice) + (1 - targets) * np.log(1 - twice)).mean()
    assert value("bce_twice", targets, "sigmoid") == pytest.approx(wanted)


def test_bce_twice_by_hand() -> None:
    """Logit 0: score 1/2, and sigmoid(1/2) = 0.62246; right and certain: sigmoid(1) = 0.73106, sigmoid(0) = 1/2."""
    assert value("bce_twice", np.array([[1.0, 0.0]]), "sigmoid", np.zeros((1, 2))) == pytest.approx(
        -(np.log(0.622459331) + np.log(1 - 0.622459331)) / 2
    )
    certain, truth = np.array([[1_000.0, -1_000.0]]), np.array([[1.0, 0.0]])
    assert value("bce_twice", truth, "sigmoid", certain) == pytest.approx((0.313261688 + np.log(2)) / 2)


@BOTH
def test_mse(activation: Activation) -> None:
    assert value("mse", SOFT, activation) == pytest.approx(((scores_of(LOGITS, activation) - SOFT) ** 2).mean())


@pytest.mark.parametrize("targets", [LABELS, SOFT], ids=["hard", "soft"])
def test_kl_is_of_shares_and_a_mean_over_clips(targets: np.ndarray) -> None:
    log_scores = np.log(scores_of(LOGITS, "softmax"))
    total = 0.0
    for clip in range(9):
        share = targets[clip] / max(targets[clip].sum(), 1e-12)
        total += sum(q * (np.log(q) - lp) for q, lp in zip(share, log_scores[clip], strict=True) if q > 0)
    assert value("kl", targets, "softmax") == pytest.approx(total / 9)


def test_kl_of_unlabelled_clips_is_zero() -> None:
    assert value("kl", np.zeros((3, 6)), "softmax", LOGITS[:3]) == 0.0


def test_kl_is_zero_where_the_head_says_the_shares() -> None:
    assert value("kl", np.array([[1.0, 1.0, 0.0]]), "softmax", np.array([[5.0, 5.0, -1e9]])) == pytest.approx(0.0)


@pytest.mark.parametrize(("name", "needed"), [(name, loss.needs) for name, loss in LOSSES.items() if loss.needs])
def test_losses_made_for_one_head_refuse_the_other(name: str, needed: Activation) -> None:
    with pytest.raises(ValueError, match=f"the {name} loss needs a {needed} head"):
        value(name, LABELS, "sigmoid" if needed == "softmax" else "softmax")


@BOTH
@pytest.mark.parametrize("name", ["bce", "mse"])
def test_gradients_are_finite_at_certain_scores(name: str, activation: Activation) -> None:
    logits = torch.tensor([[80.0, -80.0, 0.0], [-1e4, 1e4, 0.0]], requires_grad=True)
    loss = FUNCTIONS[name](logits, torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 1.0]]), activation)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize(
    ("name", "activation"),
    [
        ("bce", "sigmoid"),
        ("bce", "softmax"),
        ("mse", "sigmoid"),
        ("mse", "softmax"),
        ("kl", "softmax"),
        ("bce_twice", "sigmoid"),
    ],
)
def test_a_diverged_network_has_a_loss_that_is_not_finite(name: str, activation: Activation) -> None:
    """And not an error of PyTorch's: the loop looks at the losses at an epoch's end."""
    logits = LOGITS.copy()
    logits[3, 2] = np.nan
    assert np.isnan(value(name, SOFT, activation, logits))


@pytest.mark.parametrize("targets", [LABELS, SOFT], ids=["hard", "soft"])
def test_kl_mean_is_the_released_codes(targets: np.ndarray) -> None:
    """torch's KLDivLoss() of log-softmax: y (log y - log p), with 0 log 0 = 0, mean over all clips and classes."""
    scores = scores_of(LOGITS, "softmax")
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(targets > 0, targets * (np.log(targets) - np.log(scores)), 0.0)
    assert value("kl_mean", targets, "softmax") == pytest.approx(terms.mean(), rel=1e-12)


def test_kl_mean_is_kl_over_the_classes_for_one_label_and_twice_that_for_two() -> None:
    one, two = np.eye(6), np.eye(6) + np.eye(6)[::-1]
    logits = LOGITS[:6]
    assert value("kl_mean", one, "softmax", logits) == pytest.approx(value("kl", one, "softmax", logits) / 6)

    def gradient(name: str, targets: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(logits).requires_grad_()
        FUNCTIONS[name](x, torch.from_numpy(targets), "softmax").backward()
        assert x.grad is not None
        return x.grad.numpy()

    np.testing.assert_allclose(gradient("kl_mean", one), gradient("kl", one) / 6, atol=1e-12)
    np.testing.assert_allclose(gradient("kl_mean", two), 2 * gradient("kl", two) / 6, atol=1e-12)


def test_smoothing_spreads_a_part_of_the_labels_evenly() -> None:
    labels = torch.tensor([[1.0, 0, 0, 0], [1, 1, 0, 0], [0.25, 0.75, 0, 0], [0, 0, 0, 0]])
    wanted = [[0.925, 0.025, 0.025, 0.025], [0.95, 0.95, 0.05, 0.05], [0.25, 0.7, 0.025, 0.025], [0, 0, 0, 0]]
    torch.testing.assert_close(smooth(labels, 0.1), torch.tensor(wanted))
    assert smooth(labels, 0.0) is labels
