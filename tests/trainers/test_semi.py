"""Hard pseudo labels, Mean Teacher and MixMatch: their targets, ramps and averages, by slow NumPy and by hand."""

import copy
from typing import Any, get_args

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from trainers.network import Tagger
from trainers.randomness import generator
from trainers.semi import METHODS, Method, hard_labels, make_method, sharpen
from trainers.settings import ResNetSettings, SemiSettings, TrainSettings

NETWORK = {"kind": "resnet", "depth": 10, "width": 4, "head_units": 8}
SEMI: dict[str, dict[str, Any]] = {
    "pseudo_label": {"method": "pseudo_label", "ramp_start": 0, "ramp_end": 1.5},
    "mean_teacher": {"method": "mean_teacher", "ramp_epochs": 2, "decay": 0.7},
    "mixmatch": {"method": "mixmatch", "ramp_epochs": 2},
}
EACH = pytest.mark.parametrize("method", list(SEMI))


def method_of(semi: dict[str, Any] | None, steps_per_epoch: int = 10, activation: str = "sigmoid") -> Method:
    settings = TrainSettings.model_validate({"network": {**NETWORK, "activation": activation}, "semi": semi})
    torch.manual_seed(3)
    network = Tagger(settings.network, 5, noisy_head=False)
    return make_method(settings, network, steps_per_epoch, seed=7).train()


def power(clips: int, seed: int) -> Tensor:
    """(B, T, n_mels) mel power of noise."""
    return torch.from_numpy(np.random.default_rng(seed).exponential(1.0, (clips, 12, 16)).astype(np.float32))


def scores_of(network: Tagger, views: list[Tensor], seed: int) -> list[np.ndarray]:
    """Scores in training mode of one view after the other, by a copy: the network keeps its statistics."""
    torch.manual_seed(seed)
    network = copy.deepcopy(network).train()
    result = []
    for view in views:
        logits = network(view).detach().numpy().astype(np.float64)
        if network.activation == "sigmoid":
            result.append(1 / (1 + np.exp(-logits)))
        else:
            raised = np.exp(logits - logits.max(axis=1, keepdims=True))
            result.append(raised / raised.sum(axis=1, keepdims=True))
    return result


def sharpened(p: np.ndarray, temperature: float, activation: str) -> np.ndarray:
    raised = p ** (1 / temperature)
    if activation == "softmax":
        return np.asarray(raised / raised.sum(axis=1, keepdims=True))
    return np.asarray(raised / (raised + (1 - p) ** (1 / temperature)))


def state_of(network: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


# --- labels


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0, 3.0])
def test_sharpening(temperature: float) -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(6), 20)
    for activation in ("sigmoid", "softmax"):
        wanted = sharpened(p, temperature, activation)
        got = sharpen(torch.from_numpy(p), temperature, activation)  # type: ignore[arg-type]
        np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-6, atol=1e-12)


def test_sharpening_of_extremes() -> None:
    p = torch.tensor([[0.0, 0.5, 1.0, 0.6]])
    assert sharpen(p, 0.5, "sigmoid").tolist()[0] == pytest.approx([0, 0.5, 1, 0.36 / 0.52])
    assert sharpen(p, 1e-3, "sigmoid").tolist()[0] == [0, 0.5, 1, 1]  # powers would underflow
    assert sharpen(torch.tensor([[0.0, 0.4, 0.6]]), 1e-3, "softmax").tolist()[0] == pytest.approx([0, 0, 1])


def test_hard_labels() -> None:
    p = torch.tensor([[0.1, 0.5, 0.7], [0.1, 0.2, 0.3]])
    assert hard_labels(p, 0.5, "sigmoid").tolist() == [[0, 1, 1], [0, 0, 0]]
    assert hard_labels(p, 0.15, "sigmoid").tolist() == [[0, 1, 1], [0, 1, 1]]
    assert hard_labels(p, 0.5, "softmax").tolist() == [[0, 0, 1], [0, 0, 1]]


# --- ramps


def weights_at(semi: dict[str, Any], steps: list[int]) -> list[float]:
    """Ten steps are an epoch."""
    method = method_of(semi)
    return [method.terms(step)["unlabelled"][1] for step in steps]


def test_ramp_of_pseudo_label_is_lees() -> None:
    semi = {"method": "pseudo_label"}
    assert weights_at(semi, [0, 999, 1000, 1001]) == pytest.approx([0, 0, 0, 3 * 0.1 / 500])
    assert weights_at(semi, [3500, 6000, 9999]) == pytest.approx([1.5, 3, 3])
    assert weights_at({**semi, "ramp_start": 2, "ramp_end": 2, "weight": 5}, [19, 20]) == [0, 5]
    assert method_of(semi).terms(0)["unlabelled"][0] == "bce"


def test_ramp_of_mean_teacher_is_sigmoid_shaped() -> None:
    semi = {"method": "mean_teacher"}
    wanted = [100 * np.exp(-5), 100 * np.exp(-1.25), 100 * np.exp(-5 / 16), 100, 100]
    assert weights_at(semi, [0, 400, 600, 800, 5000]) == pytest.approx(wanted)
    assert weights_at({**semi, "ramp_epochs": 0, "weight": 2}, [0, 1]) == [2, 2]


def test_ramp_of_mixmatch_is_linear() -> None:
    semi = {"method": "mixmatch"}
    assert weights_at(semi, [0, 1, 20, 80, 81]) == pytest.approx([0, 75 / 80, 75 / 4, 75, 75])
    assert weights_at({**semi, "ramp_epochs": 0, "weight": 2}, [0, 1]) == [2, 2]


# --- batches


def test_no_method_changes_nothing() -> None:
    method = method_of(None)
    labelled = {"curated": (power(2, 0), torch.eye(5)[:2])}
    assert method.batches(labelled, (), 3) is labelled
    assert method.terms(3) == {}
    assert method.evaluated is method.network


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_pseudo_labels_are_what_the_network_says(activation: str) -> None:
    method = method_of({"method": "pseudo_label", "ramp_start": 1, "threshold": 0.52}, activation=activation)
    labelled = {"curated": (power(4, 0), torch.eye(5)[:4])}
    view = power(6, 1)
    (p,) = scores_of(method.network, [view], seed=5)
    torch.manual_seed(5)
    batches = method.batches(labelled, [view], step=11)
    wanted = p >= 0.52 if activation == "sigmoid" else p == p.max(axis=1, keepdims=True)
    x, y = batches["unlabelled"]
    assert x is view
    assert 0 < wanted.mean() < 1
    np.testing.assert_array_equal(y.numpy(), wanted)
    assert batches["curated"] is labelled["curated"]
    assert (method.views_at(10), method.views_at(11)) == (0, 1)
    assert method.batches(labelled, (), step=10) is labelled


def test_the_teacher_scores_the_other_view() -> None:
    method: Any = method_of({"method": "mean_teacher"})
    with torch.no_grad():
        for value in method.teacher.parameters():
            value.add_(torch.randn_like(value), alpha=0.1)
    views = [power(6, 1), power(6, 2)]
    (p,) = scores_of(method.teacher, views[1:], seed=5)
    torch.manual_seed(5)
    x, y = method.batches({}, views, step=3)["unlabelled"]
    assert x is views[0]
    assert not y.requires_grad
    np.testing.assert_allclose(y.numpy(), p, rtol=1e-5)


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
@pytest.mark.parametrize("views", [1, 2, 3])
def test_mixmatch_by_slow_numpy(views: int, activation: str) -> None:
    method = method_of({"method": "mixmatch", "views": views, "alpha": 0.6, "temperature": 0.4}, activation=activation)
    x, y = power(4, 0), torch.eye(5)[:4]
    seen = [power(4, 1 + view) for view in range(views)]
    guess = sharpened(np.mean(scores_of(method.network, seen, seed=5), axis=0), 0.4, activation)
    torch.manual_seed(5)
    noisy = (power(4, 9), torch.eye(5)[:4])
    batches = method.batches({"curated": (x, y), "noisy": noisy}, seen, step=13)
    assert method.views == views
    assert batches["noisy"] is noisy

    rng = generator(7, "mixmatch", 13)
    order = rng.permutation(4 + 4 * views)
    ratios = rng.beta(0.6, 0.6, 4 + 4 * views)
    clips = [x[i].numpy() for i in range(4)] + [view[i].numpy() for view in seen for i in range(4)]
    labels = [y[i].numpy() for i in range(4)] + [guess[i] for _ in seen for i in range(4)]
    for number in range(4 + 4 * views):
        own = max(ratios[number], 1 - ratios[number])
        got_x, got_y = (v[number] for v in batches["curated"]) if number < 4 else (
            v[number - 4] for v in batches["unlabelled"]
        )  # fmt: skip
        other = order[number]
        np.testing.assert_allclose(got_x, own * clips[number] + (1 - own) * clips[other], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(got_y, own * labels[number] + (1 - own) * labels[other], rtol=1e-4, atol=1e-6)
    assert batches["unlabelled"][0].shape == (4 * views, 12, 16)


@EACH
def test_targets_leave_no_trace_in_the_statistics(method: str) -> None:
    made = method_of(SEMI[method])
    before = state_of(made)
    views = [power(6, view) for view in range(made.views)]
    made.batches({"curated": (power(6, 5), torch.eye(6, 5))}, views, step=30)
    for name, value in made.state_dict().items():
        assert torch.equal(value, before[name]), name
    made.network(views[0])  # and the next pass leaves one again
    assert not torch.equal(
        made.network.state_dict()["trunk.stem.1.running_mean"], before["network.trunk.stem.1.running_mean"]
    )


# --- the moving average


@pytest.mark.parametrize("decay", [0.0, 0.6, 0.999])
def test_the_teacher_is_the_moving_average(decay: float) -> None:
    method: Any = method_of({"method": "mean_teacher", "decay": decay})
    rng = np.random.default_rng(0)
    teacher = {name: value.numpy().astype(np.float64) for name, value in state_of(method.network).items()}
    for t in range(6):
        with torch.no_grad():
            for value in method.network.parameters():
                value.add_(torch.from_numpy(rng.standard_normal(tuple(value.shape))))
        method.network(power(4, t))  # moves the running statistics and counts
        method.after_step(t)
        alpha = min(1 - 1 / (t + 2), decay)
        for name, value in method.network.state_dict().items():
            new = value.numpy().astype(np.float64)
            counts = name.endswith("num_batches_tracked")
            teacher[name] = new if counts else alpha * teacher[name] + (1 - alpha) * new
    for name, value in method.teacher.state_dict().items():
        np.testing.assert_allclose(value, teacher[name], rtol=1e-4, atol=1e-5, err_msg=name)
    assert int(method.teacher.state_dict()["trunk.stem.1.num_batches_tracked"]) == 6
    assert not any(value.requires_grad for value in method.teacher.parameters())
    assert method.evaluated is method.teacher


# --- settings


def test_every_method_has_its_settings() -> None:
    union = get_args(get_args(SemiSettings)[0])
    assert {part().method for part in union} == METHODS.keys() == SEMI.keys()


@pytest.mark.parametrize(
    ("semi", "message"),
    [
        ({"method": "meanteacher"}, "'pseudo_label', 'mean_teacher', 'mixmatch'"),
        ({}, "'method'"),
        ({"method": "mixmatch", "decay": 0.9}, r"semi\.mixmatch\.decay\n  Extra inputs are not permitted"),
        ({"method": "mixmatch", "views": 0}, r"semi\.mixmatch\.views"),
        ({"method": "mean_teacher", "decay": 1.0}, r"semi\.mean_teacher\.decay"),
        ({"method": "pseudo_label", "threshold": 1.0}, r"semi\.pseudo_label\.threshold"),
        ({"method": "pseudo_label", "ramp_start": 9, "ramp_end": 8}, r"ramp_start 9\.0 is above ramp_end 8\.0"),
        ({"method": "pseudo_label", "ramp_start": 512}, r"semi\.ramp_start 512\.0 leaves nothing of the 512 epochs"),
    ],
)
def test_what_is_wrong_is_named(semi: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TrainSettings.model_validate({"network": ResNetSettings(), "semi": semi})


def test_defaults_are_the_sources() -> None:
    dumped = [part().model_dump(exclude={"method"}) for part in get_args(get_args(SemiSettings)[0])]
    assert dumped == [
        {"threshold": 0.5, "weight": 3.0, "ramp_start": 100.0, "ramp_end": 600.0},
        {"decay": 0.999, "weight": 100.0, "ramp_epochs": 80.0},
        {"views": 2, "temperature": 0.5, "alpha": 0.75, "weight": 75.0, "ramp_epochs": 8.0},
    ]
