"""Hard pseudo labels, Mean Teacher and MixMatch: their targets, ramps and averages, by slow NumPy and by hand."""

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

import trainers.loop
from features.errors import JobError
from trainers.clips import ClipBank
from trainers.loop import TrainJob, read_history, snapshot_path, train
from trainers.lwlrap import lwlrap
from trainers.network import Tagger
from trainers.predict import predict
from trainers.randomness import generator, seed_of
from trainers.semi import METHODS, Method, hard_labels, make_method, sharpen
from trainers.settings import ResNetSettings, SemiSettings, TrainSettings
from trainers.streams import Pool, Stream
from trainers.weights import load_snapshot, read_tensors

MakeJob = Callable[..., TrainJob]
CPU = torch.device("cpu")
NETWORK = {"kind": "resnet", "depth": 10, "width": 4, "head_units": 8}
SEMI: dict[str, dict[str, Any]] = {
    "pseudo_label": {"method": "pseudo_label", "ramp_start": 0, "ramp_end": 1.5},
    "mean_teacher": {"method": "mean_teacher", "ramp_epochs": 2, "decay": 0.7},
    "mixmatch": {"method": "mixmatch", "ramp_epochs": 2},
}
EACH = pytest.mark.parametrize("method", list(SEMI))
TIMES = {"seconds", "samples_per_s", "time"}


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
    assert method.batches(labelled, iter(()), 3) is labelled
    assert method.terms(3) == {}
    assert method.evaluated is method.network


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_pseudo_labels_are_what_the_network_says(activation: str) -> None:
    method = method_of({"method": "pseudo_label", "ramp_start": 1, "threshold": 0.52}, activation=activation)
    labelled = {"curated": (power(4, 0), torch.eye(5)[:4])}
    view = power(6, 1)
    (p,) = scores_of(method.network, [view], seed=5)
    torch.manual_seed(5)
    batches = method.batches(labelled, iter([view]), step=11)
    wanted = p >= 0.52 if activation == "sigmoid" else p == p.max(axis=1, keepdims=True)
    x, y = batches["unlabelled"]
    assert x is view
    assert 0 < wanted.mean() < 1
    np.testing.assert_array_equal(y.numpy(), wanted)
    assert batches["curated"] is labelled["curated"]

    def unread() -> Any:
        raise AssertionError("read before the ramp begins")
        yield

    assert method.batches(labelled, unread(), step=10) is labelled


def test_the_teacher_scores_the_other_view() -> None:
    method: Any = method_of({"method": "mean_teacher"})
    with torch.no_grad():
        for value in method.teacher.parameters():
            value.add_(torch.randn_like(value), alpha=0.1)
    views = [power(6, 1), power(6, 2)]
    (p,) = scores_of(method.teacher, views[1:], seed=5)
    torch.manual_seed(5)
    x, y = method.batches({}, iter(views), step=3)["unlabelled"]
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
    batches = method.batches({"curated": (x, y), "noisy": noisy}, iter(seen), step=13)
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
    made.batches({"curated": (power(6, 5), torch.eye(6, 5))}, iter(views), step=30)
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


# --- whole jobs


def history_of(folder: Path) -> list[dict[str, Any]]:
    return [{key: value for key, value in record.items() if key not in TIMES} for record in read_history(folder)]


def weights_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.safetensors"))}


Batch = tuple[Tensor, Tensor]


def added_by_hand(
    semi: dict[str, Any],
    network: Tagger,
    teacher: Tagger,
    epoch: float,
    labelled: Batch,
    views: list[Tensor],
    seed: int,
) -> tuple[Batch, Batch | None, float]:
    """The curated batch, the unlabelled one and the weight of its loss, as the method's paper has them."""
    u, v = views
    step = int(2 * epoch)
    done = min(epoch / semi.get("ramp_epochs", semi.get("ramp_end")), 1.0)
    network, teacher = copy.deepcopy(network), copy.deepcopy(teacher)  # their statistics stay as they are
    with torch.no_grad():
        if semi["method"] == "pseudo_label":
            return labelled, (u, (torch.sigmoid(network(u)) >= 0.5).float()) if done > 0 else None, 3 * done
        if semi["method"] == "mean_teacher":
            return labelled, (u, torch.sigmoid(teacher(v))), 100 * np.exp(-5 * (1 - done) ** 2)
        p = (torch.sigmoid(network(u)) + torch.sigmoid(network(v))) / 2
    q = p**2 / (p**2 + (1 - p) ** 2)
    rng = generator(seed, "mixmatch", step)
    order = rng.permutation(12)
    own = rng.beta(0.75, 0.75, 12)
    own = torch.from_numpy(np.maximum(own, 1 - own)).float()[:, None]
    x, y = torch.cat([labelled[0], u, v]), torch.cat([labelled[1], q, q])
    x = own[:, :, None] * x + (1 - own[:, :, None]) * x[order]
    y = own * y + (1 - own) * y[order]
    return (x[:4], y[:4]), (x[4:], y[4:]), 75 * done


def entropy(scores: Tensor, y: Tensor) -> Tensor:
    return -(y * scores.log() + (1 - y) * (1 - scores).log()).mean()


def by_hand(job: TrainJob, semi: dict[str, Any], epochs: int) -> tuple[Tagger, Tagger]:
    """Network and teacher after training in the plainest way; without mixup, so that all streams are read alike."""
    settings = job.settings
    torch.manual_seed(seed_of(settings.seed, f"weights/{job.fold}"))
    network = Tagger(settings.network, job.classes, noisy_head=False)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    teacher = copy.deepcopy(network)
    optimizer = torch.optim.Adam(network.parameters())
    assert job.noisy is not None

    def stream(name: str, clips: trainers.loop.FoldClips, view: int) -> Stream:
        rows = clips.train_rows
        pool = Pool(ClipBank(clips.shards, CPU), rows, torch.from_numpy(clips.targets[rows]))
        seed = seed_of(settings.seed, f"stream/{job.fold}")
        return Stream(
            name, [pool], crop=settings.crop, batch_size=4, augmentations=settings.augment, seed=seed, view=view
        )

    curated = stream("curated", job.curated, 0)
    views = [stream("unlabelled", job.noisy, view) for view in range(2)]
    for step in range(2 * epochs):  # two steps an epoch
        torch.manual_seed(seed_of(settings.seed, f"dropout/{job.fold}", step))
        share = step % (2 * settings.epochs) / (2 * settings.epochs)
        lr = settings.lr_min + (settings.lr_max - settings.lr_min) * (1 + np.cos(np.pi * share)) / 2
        optimizer.param_groups[0]["lr"] = lr
        seed = seed_of(settings.seed, f"semi/{job.fold}")
        seen = [view.batch(step)[0] for view in views]
        (x, y), added, weight = added_by_hand(semi, network, teacher, step / 2, curated.batch(step), seen, seed)
        total = entropy(torch.sigmoid(network(x)), y)
        if added is not None:
            scores, target = torch.sigmoid(network(added[0])), added[1]
            hard = semi["method"] == "pseudo_label"
            total = total + weight * (entropy(scores, target) if hard else ((scores - target) ** 2).mean())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        alpha = min(1 - 1 / (step + 2), semi.get("decay", 0))
        for old, new in zip(teacher.state_dict().values(), network.state_dict().values(), strict=True):
            old.copy_(alpha * old + (1 - alpha) * new if old.is_floating_point() else new)
    return network, teacher


@EACH
def test_training_is_what_the_method_says(make_job: MakeJob, tmp_path: Path, method: str) -> None:
    augment = {"additional_crop": {}, "gain": {}}
    job = make_job(cycles=2, epochs=1, augment=augment, semi=SEMI[method], lr_max=1e-3)
    train(job, tmp_path)
    network, teacher = by_hand(job, SEMI[method], 2)
    trained, _ = read_tensors(snapshot_path(tmp_path, 2))
    kept = teacher if method == "mean_teacher" else network
    for name, value in kept.state_dict().items():
        torch.testing.assert_close(trained[name], value, rtol=1e-3, atol=1e-4, msg=lambda text, n=name: f"{n}: {text}")


@EACH
@pytest.mark.parametrize("multitask", [False, True])
def test_a_stopped_job_goes_on_with_the_same_bits(
    make_job: MakeJob, tmp_path: Path, method: str, multitask: bool
) -> None:
    job = make_job(epochs=1, cycles=3, semi=SEMI[method], multitask=multitask)
    assert train(job, tmp_path / "whole")
    returned = []
    while not returned or not returned[-1]:
        torch.manual_seed(len(returned))  # a new process, with other generators' states
        returned.append(train(job, tmp_path / "stopped", lambda: True))
    assert returned == [False, False, True]
    assert history_of(tmp_path / "whole") == history_of(tmp_path / "stopped")
    assert weights_of(tmp_path / "whole") == weights_of(tmp_path / "stopped")
    assert len(weights_of(tmp_path / "whole")) == 4
    for record in history_of(tmp_path / "whole"):
        assert record["loss_unlabelled"] >= 0
        assert ("loss_noisy" in record) == multitask
        assert all(np.isfinite(value) for value in record.values())


@EACH
def test_labels_of_the_noisy_clips_do_not_matter_and_the_clips_do(
    make_job: MakeJob, tmp_path: Path, method: str
) -> None:
    job = make_job(epochs=1, cycles=1, semi={**SEMI[method], "weight": 3.0})
    assert job.noisy is not None
    wrong = dataclasses.replace(job.noisy, targets=1 - job.noisy.targets[::-1])
    fewer = dataclasses.replace(job.noisy, train_rows=job.noisy.train_rows[:3])
    for name, noisy in (("one", job.noisy), ("wrong", wrong), ("fewer", fewer)):
        train(dataclasses.replace(job, noisy=noisy), tmp_path / name)
    train(make_job(epochs=1, cycles=1), tmp_path / "plain")
    assert weights_of(tmp_path / "one") == weights_of(tmp_path / "wrong")
    assert history_of(tmp_path / "one") == history_of(tmp_path / "wrong")
    for other in ("fewer", "plain"):
        one, two = (weights_of(tmp_path / name)["snapshot-1.safetensors"] for name in ("one", other))
        assert one != two


def test_before_its_ramp_a_pseudo_label_does_nothing(make_job: MakeJob, tmp_path: Path) -> None:
    semi = {"method": "pseudo_label", "ramp_start": 1, "ramp_end": 1}
    train(make_job(epochs=1, cycles=2, semi=semi), tmp_path / "semi")
    train(make_job(epochs=1, cycles=2), tmp_path / "plain")
    one, two = ([read_tensors(snapshot_path(tmp_path / name, c))[0] for c in (1, 2)] for name in ("semi", "plain"))
    assert all(torch.equal(value, two[0][name]) for name, value in one[0].items())
    assert not torch.equal(one[1]["heads.curated.0.weight"], two[1]["heads.curated.0.weight"])
    history = read_history(tmp_path / "semi")
    assert history[0]["loss_unlabelled"] == 0
    assert history[1]["loss_unlabelled"] > 0


@pytest.mark.parametrize("precise_bn", [False, True])
def test_snapshots_and_scores_of_mean_teacher_are_the_teachers(
    make_job: MakeJob, tmp_path: Path, precise_bn: bool
) -> None:
    job = make_job(epochs=2, cycles=1, semi=SEMI["mean_teacher"], precise_bn=precise_bn, multitask=True)
    train(job, tmp_path)
    network = Tagger(job.settings.network, job.classes, noisy_head=True)
    load_snapshot(snapshot_path(tmp_path, 1), network)
    saved, _ = read_tensors(tmp_path / "checkpoint.safetensors")
    for name, value in network.state_dict().items():
        same = torch.equal(value, saved[f"network.teacher.{name}"])
        assert same != (precise_bn and "running_" in name) or name.endswith("num_batches_tracked"), name
    assert not torch.equal(saved["network.teacher.heads.noisy.0.weight"], saved["network.network.heads.noisy.0.weight"])
    if not precise_bn:
        truth = job.curated.targets[job.curated.valid_rows]
        scores = predict([network], ClipBank(job.curated.shards, CPU), job.curated.valid_rows, [0])[0, 0, 0]
        assert read_history(tmp_path)[-1]["lwlrap"] == pytest.approx(lwlrap(truth, scores))


@EACH
def test_only_streams_that_a_method_mixes_or_compares_lose_mixup(
    make_job: MakeJob, tmp_path: Path, method: str
) -> None:
    augment = {"mixup": {}, "gain": {}}
    job = make_job(semi=SEMI[method], multitask=True, pseudo={"teacher": "A"}, augment=augment)
    run = trainers.loop._Run(job, tmp_path)
    mixed = {name: "mixup" in stream.augmentations for name, stream in run.streams.items()}
    assert mixed == {"curated": method != "mixmatch", "noisy": True, "pseudo": True}
    assert [view.augmentations.keys() for view in run.views] == [{"gain"}] * (1 if method == "pseudo_label" else 2)
    assert all(len(view.batch(0)[1][0]) == 0 for view in run.views), "no label is even read"


@EACH
@pytest.mark.parametrize(("kind", "activation"), [("envnet", "sigmoid"), ("resnet", "softmax")])
def test_waveforms_softmax_and_soft_pseudo_labels_beside_it(
    make_job: MakeJob, tmp_path: Path, method: str, kind: str, activation: str
) -> None:
    network = {"kind": kind, "width": 4, "head_units": 8, "activation": activation}
    if kind == "resnet":
        network["depth"] = 10
    loss = "kl" if activation == "softmax" else "bce"
    semi = {**SEMI[method], "weight": 1.0}
    job = make_job(
        kind, network=network, loss=loss, cycles=1, epochs=1, semi=semi, multitask=True, pseudo={"teacher": "A"}
    )
    assert train(job, tmp_path)
    (record,) = read_history(tmp_path)
    assert {"loss_curated", "loss_noisy", "loss_pseudo", "loss_unlabelled"} <= record.keys()


@EACH
def test_a_loss_that_is_not_finite_is_told(make_job: MakeJob, tmp_path: Path, method: str) -> None:
    job = make_job(semi={**SEMI[method], "weight": 1.0}, optimizer="sgd", lr_max=1e30)
    with pytest.raises(JobError, match=r"^loss_\w+ became (nan|inf) in epoch 1; try a lower lr_max$"):
        train(job, tmp_path)


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
