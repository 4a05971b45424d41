import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import trainers.loop
from features.errors import JobError, StoreError
from trainers.clips import ClipBank
from trainers.loop import TrainJob, read_history, snapshot_path, train
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
TIMES = {"seconds", "samples_per_s", "time"}


def history_of(folder: Path) -> list[dict[str, Any]]:
    """Without what differs from run to run by nature."""
    return [{key: value for key, value in record.items() if key not in TIMES} for record in read_history(folder)]


def weights_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.safetensors"))}


def assert_same(one: Path, other: Path) -> None:
    assert history_of(one) == history_of(other)
    assert weights_of(one) == weights_of(other)
    assert len(weights_of(one)) > 1


def stop_after(epochs: int) -> Callable[[], bool]:
    asked = iter([*[False] * (epochs - 1), True])
    return lambda: next(asked)


# --- the same bits


@STREAMS
def test_a_seed_gives_the_same_bits(make_job: MakeJob, tmp_path: Path, streams: dict[str, Any]) -> None:
    for name, seed in (("one", 0), ("other", 0), ("third", 1)):
        torch.manual_seed(len(name))
        assert train(make_job(epochs=1, seed=seed, **streams), tmp_path / name)
    assert_same(tmp_path / "one", tmp_path / "other")
    assert history_of(tmp_path / "one") != history_of(tmp_path / "third")


@STREAMS
def test_a_stopped_job_goes_on_with_the_same_bits(make_job: MakeJob, tmp_path: Path, streams: dict[str, Any]) -> None:
    job = make_job(**streams)
    assert train(job, tmp_path / "whole")
    returned = []
    while not returned or not returned[-1]:
        torch.manual_seed(len(returned))  # a new process, with other generators' states
        returned.append(train(job, tmp_path / "stopped", lambda: True))
    assert returned == [False, False, False, True]
    assert_same(tmp_path / "whole", tmp_path / "stopped")


def test_envnet_repeats_and_goes_on_with_the_same_bits(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job("envnet", **MTL)
    assert train(job, tmp_path / "whole")
    assert not train(job, tmp_path / "stopped", lambda: True)
    assert train(job, tmp_path / "stopped", lambda: True)
    assert_same(tmp_path / "whole", tmp_path / "stopped")


def test_resident_features_give_the_same_bits(make_job: MakeJob, tmp_path: Path) -> None:
    for name, resident_bytes in (("streamed", 0), ("resident", 1 << 30)):
        train(make_job(epochs=1, job={"resident_bytes": resident_bytes}, **SPL), tmp_path / name)
    assert_same(tmp_path / "streamed", tmp_path / "resident")


def test_folds_differ(make_job: MakeJob, tmp_path: Path) -> None:
    for fold in (0, 1):
        train(make_job(fold=fold, epochs=1, cycles=1), tmp_path / str(fold))
    assert weights_of(tmp_path / "0") != weights_of(tmp_path / "1")
    assert read_tensors(snapshot_path(tmp_path / "1", 1))[1]["fold"] == 1


# --- killed at any moment


def test_killed_between_history_and_checkpoint(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job(**MTL)
    assert train(job, tmp_path / "whole")
    for epoch in (1, 2, 3, 4):
        folder = tmp_path / f"killed-{epoch}"
        if epoch > 1:
            assert not train(job, folder, stop_after(epoch - 1))
            shutil.copy(folder / "checkpoint.safetensors", tmp_path / "earlier")
        train(job, folder, stop_after(1))
        assert len(read_history(folder)) == epoch
        if epoch > 1:
            (tmp_path / "earlier").replace(folder / "checkpoint.safetensors")
        else:
            (folder / "checkpoint.safetensors").unlink()
        assert train(job, folder)
        assert_same(tmp_path / "whole", folder)


@pytest.mark.parametrize("torn", ['{"epoch": 2, "loss_cur', "{", '{"epoch": 2, "loss_curated": 0.5, "lwlrap": 0.4}'])
def test_a_half_written_history_line_is_ignored(make_job: MakeJob, tmp_path: Path, torn: str) -> None:
    job = make_job(cycles=1)
    assert train(job, tmp_path / "whole")
    assert not train(job, tmp_path / "torn", lambda: True)
    with (tmp_path / "torn" / "history.jsonl").open("a") as file:
        file.write(torn)
    assert [record["epoch"] for record in read_history(tmp_path / "torn")] == [1]
    assert train(job, tmp_path / "torn")
    assert_same(tmp_path / "whole", tmp_path / "torn")


def test_killed_inside_an_epoch(make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job(**SPL)
    assert train(job, tmp_path / "whole")
    batch, calls = Stream.batch, iter(range(1_000))

    def killed(stream: Stream, step: int) -> tuple[Tensor, Tensor]:
        if next(calls) == 10:  # six batches an epoch: in the second one
            raise KeyboardInterrupt
        return batch(stream, step)

    with monkeypatch.context() as patch:
        patch.setattr(Stream, "batch", killed)
        with pytest.raises(KeyboardInterrupt):
            train(job, tmp_path / "killed")
    assert len(read_history(tmp_path / "killed")) == 1
    assert train(job, tmp_path / "killed")
    assert_same(tmp_path / "whole", tmp_path / "killed")


def test_a_finished_job_is_left_alone(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job(epochs=1)
    assert train(job, tmp_path, lambda: True) is False
    assert train(job, tmp_path) is True
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert train(job, tmp_path, lambda: True) is True
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert set(before) == {
        "checkpoint.safetensors", "history.jsonl", "snapshot-1.safetensors", "snapshot-2.safetensors"
    }  # fmt: skip


def test_a_damaged_checkpoint_is_told(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job(epochs=1)
    train(job, tmp_path, lambda: True)
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(StoreError, match=r"checkpoint\.safetensors is damaged"):
        train(job, tmp_path)


def test_no_history_is_empty(tmp_path: Path) -> None:
    assert read_history(tmp_path) == []
    (tmp_path / "history.jsonl").write_text("")
    assert read_history(tmp_path) == []


# --- what is written


@STREAMS
def test_records_and_snapshots(make_job: MakeJob, tmp_path: Path, streams: dict[str, Any]) -> None:
    job = make_job(cycles=3, epochs=2, **streams)
    train(job, tmp_path)
    history = read_history(tmp_path)
    assert [record["epoch"] for record in history] == [1, 2, 3, 4, 5, 6]
    wanted = {"epoch", "loss_curated", "valid_loss", "lwlrap", "lr", *TIMES}
    if "multitask" in streams:
        wanted |= {"loss_noisy", "valid_loss_noisy", "lwlrap_noisy"}
    if "pseudo" in streams:
        wanted |= {"loss_pseudo"}
    for record in history:
        assert set(record) == wanted
        assert all(np.isfinite(value) for value in record.values())
        assert 0 < record["lwlrap"] <= 1
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"snapshot-{cycle}.safetensors" for cycle in (1, 2, 3)} | {
        "history.jsonl",
        "checkpoint.safetensors",
    }
    for cycle in (1, 2, 3):
        facts = {"cycle": cycle, "epoch": 2 * cycle, "fold": 0, "lwlrap": history[2 * cycle - 1]["lwlrap"]}
        assert read_tensors(snapshot_path(tmp_path, cycle))[1] == facts
    progress = {"epoch": 6, "best_lwlrap": max(record["lwlrap"] for record in history)}
    assert read_tensors(tmp_path / "checkpoint.safetensors")[1] == progress
    assert len({path.read_bytes() for path in tmp_path.glob("snapshot-*")}) == 3


@pytest.mark.parametrize("kind", ["resnet", "envnet"])
def test_validation_is_of_whole_clips_by_their_own_head(make_job: MakeJob, tmp_path: Path, kind: str) -> None:
    job = make_job(kind, cycles=1, epochs=1, **MTL)
    train(job, tmp_path)
    (record,) = read_history(tmp_path)
    network = Tagger(job.settings.network, job.classes, noisy_head=True)
    load_snapshot(snapshot_path(tmp_path, 1), network)
    assert job.noisy is not None
    pad = 0 if kind == "resnet" else 10_300  # waveforms are padded by half a crop
    for head, clips, suffix in (("curated", job.curated, ""), ("noisy", job.noisy, "_noisy")):
        truth = clips.targets[clips.valid_rows]
        scores = predict([network], ClipBank(clips.shards, CPU), clips.valid_rows, [pad], heads=[head])[0, 0, 0]  # type: ignore[list-item]
        entropy = -(truth * np.log(scores) + (1 - truth) * np.log(1 - scores)).mean()
        assert record[f"valid_loss{suffix}"] == pytest.approx(entropy, rel=1e-4)
        assert record[f"lwlrap{suffix}"] == pytest.approx(lwlrap(truth, scores))


def test_a_noisy_fold_without_clips_is_not_scored(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job(cycles=1, epochs=1, **MTL)
    assert job.noisy is not None
    noisy = dataclasses.replace(job.noisy, train_rows=np.arange(12), valid_rows=np.arange(0))
    assert train(dataclasses.replace(job, noisy=noisy), tmp_path)
    assert not [key for key in read_history(tmp_path)[0] if key.startswith(("valid_loss_", "lwlrap_"))]


# --- what is done


def by_hand(job: TrainJob, epochs: int) -> Tagger:
    """Training as the recipe says it, in the plainest way: losses of the streams summed, one backward pass."""
    settings = job.settings
    torch.manual_seed(seed_of(settings.seed, f"weights/{job.fold}"))
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
        pools["noisy"] = [Pool(noisy, of_noisy, torch.from_numpy(job.noisy.targets[of_noisy]))]
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
            seed=seed_of(settings.seed, f"stream/{job.fold}"),
        )
        for name, pool in pools.items()
    }
    steps_per_epoch = 2  # 8 clips in batches of 4
    network.train()
    for step in range(epochs * steps_per_epoch):
        torch.manual_seed(seed_of(settings.seed, f"dropout/{job.fold}", step))
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


def test_learning_rate_restarts_each_cycle(make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []
    step = torch.optim.Adam.step

    def watched(optimizer: torch.optim.Adam) -> None:
        rates.append(optimizer.param_groups[0]["lr"])
        step(optimizer)

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    train(make_job(cycles=2, epochs=3, lr_max=1e-2, lr_min=1e-4), tmp_path)
    assert len(rates) == 12  # two steps an epoch
    wanted = 1e-4 + (1e-2 - 1e-4) * (1 + np.cos(np.pi * np.arange(6) / 6)) / 2
    np.testing.assert_allclose(rates, [*wanted, *wanted])
    assert rates[0] == rates[6] == 1e-2
    assert rates[3] == pytest.approx((1e-2 + 1e-4) / 2)
    assert [record["lr"] for record in read_history(tmp_path)] == rates[1::2]  # of each epoch's last step


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_optimizers_are_the_recipes(
    make_job: MakeJob, tmp_path: Path, made: list[torch.optim.Optimizer], optimizer: str
) -> None:
    train(make_job(optimizer=optimizer, cycles=1, epochs=1), tmp_path)
    (group,) = made[0].param_groups
    assert group["weight_decay"] == 0
    if optimizer == "sgd":
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


def test_a_foreign_start_is_told(make_job: MakeJob, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none\.safetensors is missing"):
        train(make_job(job={"start_from": tmp_path / "none.safetensors"}), tmp_path / "job")


# --- what diverges


@pytest.mark.parametrize(
    ("activation", "loss"), [("sigmoid", "bce"), ("softmax", "bce"), ("softmax", "kl"), ("sigmoid", "mse")]
)
def test_a_loss_that_is_not_finite_is_told(make_job: MakeJob, tmp_path: Path, activation: str, loss: str) -> None:
    network = {"kind": "resnet", "depth": 10, "width": 4, "head_units": 8, "activation": activation}
    job = make_job(network=network, loss=loss, optimizer="sgd", lr_max=1e30)
    with pytest.raises(JobError, match=r"^loss_curated became (nan|inf) in epoch 1; try a lower lr_max$"):
        train(job, tmp_path)
    assert read_history(tmp_path) == []
    assert weights_of(tmp_path) == {}


def test_a_prediction_that_is_not_finite_is_told(make_job: MakeJob, tmp_path: Path) -> None:
    """One step an epoch: its loss is still good, the weights it leaves are not."""
    job = make_job(batch_size=8, optimizer="sgd", lr_max=1e30)
    with pytest.raises(JobError, match="a prediction of epoch 1 is not finite; try a lower lr_max"):
        train(job, tmp_path)
    assert weights_of(tmp_path) == {}


def test_a_tiny_job_learns(make_job: MakeJob, tmp_path: Path) -> None:
    train(make_job(cycles=1, epochs=15, augment={}, batch_size=8, lr_max=3e-2), tmp_path)
    losses = [record["loss_curated"] for record in read_history(tmp_path)]
    assert np.mean(losses[-3:]) < 0.8 * losses[0]


def test_history_is_json_lines(make_job: MakeJob, tmp_path: Path) -> None:
    train(make_job(cycles=1, epochs=1), tmp_path)
    (line,) = (tmp_path / "history.jsonl").read_text().splitlines()
    assert json.loads(line) == read_history(tmp_path)[0]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_trains_on_cuda(make_job: MakeJob, tmp_path: Path) -> None:
    for kind, resident_bytes in (("resnet", 0), ("resnet", 1 << 30), ("envnet", 0), ("envnet", 1 << 30)):
        folder = tmp_path / f"{kind}-{resident_bytes}"
        on_gpu = {"device": torch.device("cuda"), "resident_bytes": resident_bytes}
        job = make_job(kind, cycles=2, epochs=1, job=on_gpu, **SPL)
        assert not train(job, folder, lambda: True)
        assert train(job, folder)  # from the checkpoint
        train(make_job(kind, cycles=1, epochs=1, **SPL), folder / "cpu")
        on_cpu = read_history(folder / "cpu")[0]["loss_curated"]
        history = read_history(folder)
        assert [record["epoch"] for record in history] == [1, 2]
        assert history[0]["loss_curated"] == pytest.approx(on_cpu, rel=0.1)
