"""Whole jobs with hard pseudo labels, Mean Teacher and MixMatch: against training by hand, stopped, on other labels."""

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import trainers.loop
from features.errors import JobError
from trainers.checkpoints import snapshot_path
from trainers.clips import ClipBank
from trainers.history import is_measured, read_history
from trainers.loop import TrainJob, train
from trainers.lwlrap import lwlrap
from trainers.network import Tagger
from trainers.predict import predict
from trainers.randomness import generator, seed_of
from trainers.streams import Pool, Stream
from trainers.supervisor import Stop, Supervisor
from trainers.weights import load_snapshot, read_tensors

MakeJob = Callable[..., TrainJob]
CPU = torch.device("cpu")
SEMI: dict[str, dict[str, Any]] = {
    "pseudo_label": {"method": "pseudo_label", "ramp_start": 0, "ramp_end": 1.5},
    "mean_teacher": {"method": "mean_teacher", "ramp_epochs": 2, "decay": 0.7},
    "mixmatch": {"method": "mixmatch", "ramp_epochs": 2},
}
EACH = pytest.mark.parametrize("method", list(SEMI))


class Stopping(Supervisor):
    """Asks to stop after every epoch."""

    def stop(self) -> Stop:
        return "epoch"


def history_of(folder: Path) -> list[dict[str, Any]]:
    return [{key: value for key, value in record.items() if not is_measured(key)} for record in read_history(folder)]


def weights_of(folder: Path) -> dict[str, dict[str, bytes]]:
    """Tensors of snapshots and checkpoints; the facts of a checkpoint hold times."""
    return {
        path.name: {name: value.numpy().tobytes() for name, value in read_tensors(path)[0].items()}
        for path in [*sorted(folder.glob("snapshot-*")), folder / "checkpoint.safetensors"]
    }


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
    torch.manual_seed(seed_of(settings.seed, f"weights/{job.split}"))
    network = Tagger(settings.network, job.classes, noisy_head=False)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    teacher = copy.deepcopy(network)
    optimizer = torch.optim.Adam(network.parameters())
    assert job.noisy is not None

    def stream(name: str, clips: trainers.loop.FoldClips, view: int) -> Stream:
        rows = clips.train_rows
        pool = Pool(ClipBank(clips.shards, CPU), rows, torch.from_numpy(clips.targets[rows]))
        seed = seed_of(settings.seed, f"stream/{job.split}")
        return Stream(
            name, [pool], crop=settings.crop, batch_size=4, augmentations=settings.augment, seed=seed, view=view
        )

    curated = stream("curated", job.curated, 0)
    views = [stream("unlabelled", job.noisy, view) for view in range(2)]
    for step in range(2 * epochs):  # two steps an epoch
        torch.manual_seed(seed_of(settings.seed, f"dropout/{job.split}", step))
        share = step % (2 * settings.epochs) / (2 * settings.epochs)
        lr = settings.lr_min + (settings.lr_max - settings.lr_min) * (1 + np.cos(np.pi * share)) / 2
        optimizer.param_groups[0]["lr"] = lr
        seed = seed_of(settings.seed, f"semi/{job.split}")
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
        returned.append(train(job, tmp_path / "stopped", Stopping()))
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
        record = read_history(tmp_path)[-1]
        assert record["lwlrap"] == pytest.approx(lwlrap(truth, scores))
        loss = torch.nn.functional.binary_cross_entropy(torch.from_numpy(scores), torch.from_numpy(truth))
        assert record["valid_loss"] == pytest.approx(float(loss), rel=1e-6)


@EACH
def test_only_streams_that_a_method_mixes_or_compares_lose_mixup(
    make_job: MakeJob, tmp_path: Path, method: str
) -> None:
    augment = {"mixup": {}, "gain": {}}
    job = make_job(semi=SEMI[method], multitask=True, pseudo={"teacher": "A"}, augment=augment)
    run = trainers.loop._Training(job, tmp_path, Supervisor())
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
    with pytest.raises(JobError, match=r"^the loss of stream \w+ became nan or inf in epoch 1, step "):
        train(job, tmp_path)
