"""What the training loop does at each step: against the recipe written out by hand."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import trainers.loop
from features.errors import StoreError
from trainers.checkpoints import snapshot_path
from trainers.clips import ClipBank
from trainers.history import read_history
from trainers.loop import TrainJob, train
from trainers.lwlrap import lwlrap
from trainers.network import Tagger
from trainers.predict import predict
from trainers.randomness import seed_of
from trainers.streams import Pool, Stream
from trainers.weights import load_snapshot, read_tensors, save_snapshot

MakeJob = Callable[..., TrainJob]
CPU = torch.device("cpu")
MTL = {"multitask": True}
SPL = {"multitask": True, "pseudo": {"teacher": "A"}}
STREAMS = pytest.mark.parametrize("streams", [{}, MTL, SPL], ids=["plain", "mtl", "mtl+spl"])


def by_hand(job: TrainJob, epochs: int) -> Tagger:
    """Training as the recipe says it, in the plainest way: losses of the streams summed, one backward pass."""
    settings = job.settings
    torch.manual_seed(seed_of(settings.seed, f"weights/{job.split}"))
    network = Tagger(settings.network, job.classes, noisy_head=settings.multitask)
    # The loop's layout: batch norm sums in another order in another, and a maximum may then lie elsewhere.
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer: torch.optim.Optimizer = (
        torch.optim.Adam(network.parameters())
        if settings.optimizer == "adam"
        else torch.optim.SGD(network.parameters(), lr=1.0, momentum=0.9, nesterov=True)
    )
    curated = ClipBank(job.curated.shards, CPU)
    rows = job.curated.train_rows
    pools = {"curated": [Pool(curated, rows, torch.from_numpy(job.curated.targets[rows]))]}
    if job.noisy is not None:
        noisy, of_noisy = ClipBank(job.noisy.shards, CPU), job.noisy.train_rows
        every = np.arange(len(job.noisy.targets))
        pools["noisy"] = [Pool(noisy, every, torch.from_numpy(job.noisy.targets))]
        if job.soft_labels is not None:
            soft = Pool(noisy, of_noisy, torch.from_numpy(job.soft_labels[of_noisy]))
            pools["pseudo"] = [pools["curated"][0], soft]
    streams = {
        name: Stream(
            name,
            pool,
            crop=settings.crop,
            batch_size=settings.batch_size,
            augmentations=settings.augment,
            seed=seed_of(settings.seed, f"stream/{job.split}"),
        )
        for name, pool in pools.items()
    }
    steps_per_epoch = 2  # 8 clips in batches of 4
    network.train()
    for step in range(epochs * steps_per_epoch):
        torch.manual_seed(seed_of(settings.seed, f"dropout/{job.split}", step))
        share = step % (settings.epochs * steps_per_epoch) / (settings.epochs * steps_per_epoch)
        lr = settings.lr_min + (settings.lr_max - settings.lr_min) * (1 + np.cos(np.pi * share)) / 2
        optimizer.param_groups[0]["lr"] = lr
        total = torch.zeros(())
        for name, stream in streams.items():
            x, y = stream.batch(step)
            scores = torch.sigmoid(network(x, "noisy" if name == "noisy" else "curated"))
            if name == "pseudo":
                total = total + 20 * ((scores - y) ** 2).mean()
            else:
                total = total - (y * scores.log() + (1 - y) * (1 - scores).log()).mean()
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    return network


@pytest.mark.parametrize(
    ("kind", "streams"), [("resnet", {}), ("resnet", MTL), ("resnet", SPL), ("envnet", MTL)], ids=str
)
def test_training_is_what_the_recipe_says(
    make_job: MakeJob, tmp_path: Path, kind: str, streams: dict[str, Any]
) -> None:
    job = make_job(kind, cycles=2, epochs=1, **streams)
    train(job, tmp_path)
    network = by_hand(job, 2)
    trained, _ = read_tensors(snapshot_path(tmp_path, 2))
    for name, value in network.state_dict().items():
        torch.testing.assert_close(trained[name], value, rtol=1e-4, atol=1e-5, msg=lambda text, n=name: f"{n}: {text}")


@STREAMS
def test_streams_pass_the_trunk_one_by_one(
    make_job: MakeJob, tmp_path: Path, streams: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int]] = []
    forward = Tagger.forward

    def watched(network: Tagger, x: Tensor, head: Any = "curated") -> Tensor:
        if network.training:
            seen.append((head, len(x)))
        return forward(network, x, head)

    monkeypatch.setattr(Tagger, "forward", watched)
    train(make_job(cycles=1, epochs=3, **streams), tmp_path)
    heads = ["curated", *(["noisy"] if "multitask" in streams else []), *(["curated"] if "pseudo" in streams else [])]
    assert seen == [(head, 4) for head in heads] * 6  # three epochs of two steps
    # So batch norm has counted, and seen, every stream by itself.
    tensors, _ = read_tensors(snapshot_path(tmp_path, 1))
    counts = {int(value) for name, value in tensors.items() if name.endswith("num_batches_tracked")}
    assert counts == {6 * len(heads)}


def test_an_epoch_is_one_pass_over_the_curated_clips(
    make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[tuple[str, int]] = []
    batch = Stream.batch

    def watched(stream: Stream, step: int) -> tuple[Tensor, Tensor]:
        steps.append((stream.name, step))
        return batch(stream, step)

    monkeypatch.setattr(Stream, "batch", watched)
    train(make_job(batch_size=3, cycles=1, epochs=2, **MTL), tmp_path)
    # Eight clips in batches of three: three steps an epoch, counted on through the epochs.
    assert steps == [(name, step) for step in range(6) for name in ("curated", "noisy")]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[torch.optim.Optimizer]:
    """The optimizers of jobs, as they are made."""
    optimizers: list[torch.optim.Optimizer] = []
    make = trainers.loop._optimizer

    def watched(*args: Any, **options: Any) -> torch.optim.Optimizer:
        optimizers.append(make(*args, **options))
        return optimizers[-1]

    monkeypatch.setattr(trainers.loop, "_optimizer", watched)
    return optimizers


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The learning rates of all steps, as Adam sees them."""
    seen: list[float] = []
    step = torch.optim.Adam.step

    def watched(optimizer: torch.optim.Adam) -> None:
        seen.append(optimizer.param_groups[0]["lr"])
        step(optimizer)

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    return seen


def test_learning_rate_restarts_each_cycle(make_job: MakeJob, tmp_path: Path, rates: list[float]) -> None:
    train(make_job(cycles=2, epochs=3, lr_max=1e-2, lr_min=1e-4), tmp_path)
    assert len(rates) == 12  # two steps an epoch
    wanted = 1e-4 + (1e-2 - 1e-4) * (1 + np.cos(np.pi * np.arange(6) / 6)) / 2
    np.testing.assert_allclose(rates, [*wanted, *wanted])
    assert rates[0] == rates[6] == 1e-2
    assert rates[3] == pytest.approx((1e-2 + 1e-4) / 2)
    assert [record["lr"] for record in read_history(tmp_path)] == rates[1::2]  # of each epoch's last step


def test_a_rescue_lowers_the_learning_rate_from_its_first_step_on(
    make_job: MakeJob, tmp_path: Path, rates: list[float]
) -> None:
    short = {"cycles": 1, "epochs": 2}
    train(make_job(**short), tmp_path / "plain")
    train(make_job(**short, rescue={"0": {"after": 1, "lr_factor": 0.1}}), tmp_path / "rescued")
    train(make_job(**short, rescue={"1": {"after": 1, "lr_factor": 0.1}}), tmp_path / "another fold")
    plain, rescued, other = rates[:4], rates[4:8], rates[8:]
    np.testing.assert_allclose(rescued, np.array(plain) * [1, 1, 0.1, 0.1])
    assert other == plain


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_optimizers_are_the_recipes(
    make_job: MakeJob, tmp_path: Path, made: list[torch.optim.Optimizer], optimizer: str
) -> None:
    decay = {"weight_decay": 0.3} if optimizer == "adamw" else {}
    train(make_job(optimizer=optimizer, cycles=1, epochs=1, **decay), tmp_path)
    (group,) = made[0].param_groups
    assert group["weight_decay"] == decay.get("weight_decay", 0)
    if optimizer == "adamw":
        assert type(made[0]) is torch.optim.AdamW
        assert (group["betas"], group["eps"], group["amsgrad"]) == ((0.9, 0.999), 1e-8, False)
    elif optimizer == "sgd":
        assert isinstance(made[0], torch.optim.SGD)
        assert (group["momentum"], group["nesterov"], group["dampening"]) == (0.9, True, 0)
    else:
        assert type(made[0]) is torch.optim.Adam
        assert (group["betas"], group["eps"], group["amsgrad"]) == ((0.9, 0.999), 1e-8, False)


@pytest.mark.parametrize("noisy_head", [False, True])
def test_a_job_may_start_from_a_snapshot(make_job: MakeJob, tmp_path: Path, noisy_head: bool) -> None:
    job = make_job(cycles=1, epochs=1, lr_max=1e-30, lr_min=0.0, **MTL)  # steps too small to change a weight
    torch.manual_seed(99)
    start = Tagger(job.settings.network, job.classes, noisy_head=noisy_head)
    save_snapshot(tmp_path / "start.safetensors", start, {})
    train(job, tmp_path / "scratch")
    train(dataclasses.replace(job, start_from=tmp_path / "start.safetensors"), tmp_path / "warm")
    scratch, _ = read_tensors(snapshot_path(tmp_path / "scratch", 1))
    warm, _ = read_tensors(snapshot_path(tmp_path / "warm", 1))
    for name, _parameter in Tagger(job.settings.network, job.classes, noisy_head=True).named_parameters():
        taken = noisy_head or not name.startswith("heads.noisy")
        wanted = start.state_dict()[name] if taken else scratch[name]
        torch.testing.assert_close(warm[name], wanted, rtol=0, atol=1e-25)


def test_a_trunk_may_start_from_a_file(make_job: MakeJob, tmp_path: Path) -> None:
    path = tmp_path / "start.safetensors"
    settings = {"cycles": 1, "epochs": 1, "lr_max": 1e-30, "lr_min": 0.0}  # steps too small to change a weight
    torch.manual_seed(99)
    start = Tagger(make_job().settings.network, 9, noisy_head=False)
    save_snapshot(path, start, {})
    train(make_job(**settings), tmp_path / "scratch")
    network = {"kind": "resnet", "depth": 10, "width": 4, "head_units": 8, "init_from": str(path)}
    train(make_job(network=network, **settings), tmp_path / "started")
    scratch, started = (read_tensors(snapshot_path(tmp_path / name, 1))[0] for name in ("scratch", "started"))
    for name, value in start.named_parameters():
        if name.startswith("trunk."):
            torch.testing.assert_close(started[name], value, rtol=0, atol=1e-25)
        elif name.startswith("heads."):
            assert torch.equal(started[name], scratch[name]), "heads are fresh"


def test_a_foreign_start_is_told(make_job: MakeJob, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none\.safetensors is missing"):
        train(make_job(job={"start_from": tmp_path / "none.safetensors"}), tmp_path / "job")


def test_labels_of_both_heads_are_smoothed_and_soft_ones_are_not(
    make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, list[Tensor]] = {"bce": [], "mse": []}
    for name, loss in [*trainers.loop.FUNCTIONS.items()]:
        if name in seen:

            def watched(logits: Tensor, y: Tensor, activation: Any, name: str = name, loss: Any = loss) -> Tensor:
                seen[name].append(y)
                return loss(logits, y, activation)  # type: ignore[no-any-return]

            monkeypatch.setitem(trainers.loop.FUNCTIONS, name, watched)
    job = make_job(cycles=1, epochs=1, augment={}, label_smoothing=0.2, **SPL)
    train(job, tmp_path)
    hard = job.curated.targets[job.curated.train_rows]
    spread = 0.8 * hard + 0.2 * hard.mean(axis=1, keepdims=True)
    known = {
        tuple(np.round(row, 5))
        for row in (*spread, *(0.8 * job.noisy.targets + 0.2 * job.noisy.targets.mean(axis=1, keepdims=True)))
    }
    smoothed = torch.cat(seen["bce"]).numpy()
    assert len(smoothed) == 2 * 2 * 4
    assert all(tuple(np.round(row, 5)) in known for row in smoothed)
    assert job.soft_labels is not None
    soft = {tuple(np.round(row, 5)) for row in (*job.soft_labels, *hard)}
    assert all(tuple(np.round(row, 5)) in soft for row in torch.cat(seen["mse"]).numpy())


def test_every_step_is_reported_and_clips_are_counted(make_job: MakeJob, tmp_path: Path) -> None:
    seen: list[dict[str, int]] = []

    class Watch(trainers.loop.Supervisor):
        def progress(self, **where: int) -> None:
            seen.append(where)

    job = make_job(cycles=1, epochs=2, multitask=True)
    train(job, tmp_path, Watch())
    steps = len(seen) // 2
    assert seen == [{"epoch": (step + 1) // steps, "step": step + 1} for step in range(2 * steps)]
    for record in read_history(tmp_path):  # both streams count; `seconds` are those of the steps and the validation
        clips = steps * job.settings.batch_size * 2
        assert record["samples_per_s"] * record["seconds"] >= 0.99 * clips


def test_the_average_of_the_weights_is_validated_and_kept(make_job: MakeJob, tmp_path: Path) -> None:
    decay, job = 0.7, make_job(cycles=2, epochs=1)
    averages: list[dict[str, Tensor]] = []
    steps: list[dict[str, Tensor]] = []

    class Watch(trainers.loop.Supervisor):
        def progress(self, **_: Any) -> None:
            steps.append({name: value.clone() for name, value in training.network.state_dict().items()})

    averaged = make_job(cycles=2, epochs=1, ema=decay)
    training = trainers.loop._Training(averaged, tmp_path / "averaged", Watch())
    mean = {name: value.clone() for name, value in training.network.state_dict().items()}
    assert training.go()
    for step, weights in enumerate(steps):
        own = min(1 - 1 / (step + 2), decay)
        for name, value in weights.items():
            mean[name] = own * mean[name] + (1 - own) * value if value.is_floating_point() else value
        averages.append(dict(mean))
    train(job, tmp_path / "plain")
    for cycle in (1, 2):
        kept, _ = read_tensors(snapshot_path(tmp_path / "averaged", cycle))
        plain, _ = read_tensors(snapshot_path(tmp_path / "plain", cycle))
        for name, value in kept.items():
            torch.testing.assert_close(value, averages[2 * cycle - 1][name], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(steps[2 * cycle - 1][name], plain[name], msg="training goes on unchanged")
    checkpoint, _ = read_tensors(tmp_path / "averaged" / "checkpoint.safetensors")
    assert torch.equal(checkpoint["network.average.heads.curated.0.weight"], kept["heads.curated.0.weight"])
    network = Tagger(job.settings.network, job.classes, noisy_head=False)
    load_snapshot(snapshot_path(tmp_path / "averaged", 2), network)
    bank = ClipBank(job.curated.shards, CPU)
    scores = predict([network], bank, job.curated.valid_rows, [0])[0, 0, 0]
    wanted = lwlrap(job.curated.targets[job.curated.valid_rows], scores)
    assert read_history(tmp_path / "averaged")[-1]["lwlrap"] == pytest.approx(wanted)


def test_a_stopped_job_continues_its_average(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job(cycles=1, epochs=2, ema=0.7)
    train(job, tmp_path / "whole")

    class Stops(trainers.loop.Supervisor):
        def stop(self) -> Any:
            return "epoch"

    assert not train(job, tmp_path / "stopped", Stops())
    assert train(job, tmp_path / "stopped")
    whole, stopped = (read_tensors(snapshot_path(tmp_path / name, 1))[0] for name in ("whole", "stopped"))
    assert all(torch.equal(value, stopped[name]) for name, value in whole.items())
