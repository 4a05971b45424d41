"""The training loop: equal bits, kills at any moment, what is written, what diverges."""

import dataclasses
import json
import re
from collections.abc import Callable
from itertools import filterfalse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import trainers.loop
from features.errors import NotFiniteError
from trainers.checkpoints import CHECKPOINT, PREVIOUS, snapshot_path
from trainers.clips import ClipBank
from trainers.history import is_measured, read_history
from trainers.loop import TrainJob, train
from trainers.lwlrap import lwlrap
from trainers.network import Tagger
from trainers.predict import predict
from trainers.streams import Stream
from trainers.supervisor import Stop, Supervisor
from trainers.weights import load_snapshot, read_tensors

MakeJob = Callable[..., TrainJob]
CPU = torch.device("cpu")
MTL = {"multitask": True}
VALIDATED = {"multitask": True, "noisy": "folds", "validate_noisy": True}
SPL = {"multitask": True, "pseudo": {"teacher": "A"}}
STREAMS = pytest.mark.parametrize("streams", [{}, MTL, SPL], ids=["plain", "mtl", "mtl+spl"])


def history_of(folder: Path) -> list[dict[str, Any]]:
    """Without what differs from run to run by nature."""
    return [{key: value for key, value in record.items() if not is_measured(key)} for record in read_history(folder)]


def weights_of(folder: Path) -> dict[str, Any]:
    """Snapshots to the byte; of a checkpoint the tensors, since its facts hold times."""
    found: dict[str, Any] = {path.name: path.read_bytes() for path in sorted(folder.glob("snapshot-*.safetensors"))}
    if (folder / CHECKPOINT).exists():
        tensors, about = read_tensors(folder / CHECKPOINT)
        found[CHECKPOINT] = {name: value.numpy().tobytes() for name, value in tensors.items()}, about["step"]
    return found


def assert_same(one: Path, other: Path) -> None:
    assert history_of(one) == history_of(other)
    assert weights_of(one) == weights_of(other)
    assert len(weights_of(one)) > 1


class StopAfter(Supervisor):
    """Asks a job to stop after some epochs, or at once after some steps, of this call."""

    def __init__(self, epochs: int = 0, steps: int = 0) -> None:
        self.epochs, self.steps = epochs, steps

    def progress(self, **where: int) -> None:
        self.steps -= 1

    def after_write(self) -> None:
        self.epochs -= 1

    def stop(self) -> Stop:
        return "now" if self.steps == 0 else "epoch" if self.epochs == 0 else "no"


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
        returned.append(train(job, tmp_path / "stopped", StopAfter(epochs=1)))
    assert returned == [False, False, False, True]
    assert_same(tmp_path / "whole", tmp_path / "stopped")


def test_envnet_repeats_and_goes_on_with_the_same_bits(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job("envnet", **MTL)
    assert train(job, tmp_path / "whole")
    assert not train(job, tmp_path / "stopped", StopAfter(epochs=1))
    assert train(job, tmp_path / "stopped", StopAfter(epochs=1))
    assert_same(tmp_path / "whole", tmp_path / "stopped")


def test_resident_features_give_the_same_bits(make_job: MakeJob, tmp_path: Path) -> None:
    for name, resident_bytes in (("streamed", 0), ("resident", 1 << 30)):
        train(make_job(epochs=1, job={"resident_bytes": resident_bytes}, **SPL), tmp_path / name)
    assert_same(tmp_path / "streamed", tmp_path / "resident")


def test_folds_differ(make_job: MakeJob, tmp_path: Path) -> None:
    for fold in (0, 1):
        train(make_job(fold=fold, epochs=1, cycles=1), tmp_path / str(fold))
    assert weights_of(tmp_path / "0") != weights_of(tmp_path / "1")
    assert read_tensors(snapshot_path(tmp_path / "1", 1))[1]["fold"] == "1"


# --- killed at any moment


@STREAMS
@pytest.mark.parametrize("semi", [None, {"method": "mean_teacher", "decay": 0.5}], ids=["", "teacher"])
def test_stopped_at_any_step_it_goes_on_with_the_same_bits(
    make_job: MakeJob, tmp_path: Path, streams: dict[str, Any], semi: dict[str, Any] | None
) -> None:
    job = make_job(cycles=1, **streams, semi=semi)
    assert train(job, tmp_path / "whole")
    calls = 0
    while not train(job, tmp_path / "stopped", StopAfter(steps=1)):
        torch.manual_seed(calls)
        calls += 1
    assert calls >= 3, "two epochs of two steps: stopped inside both and between them"
    assert_same(tmp_path / "whole", tmp_path / "stopped")


class Killed(BaseException):
    """What kill -9 does to a process, as near as one process can do it to itself."""


class KillAt(Supervisor):
    """Kills a job before or after it writes for the n-th time."""

    def __init__(self, before: int = 0, after: int = 0) -> None:
        self.before, self.after = before, after

    def before_write(self) -> None:
        self.before -= 1
        if self.before == 0:
            raise Killed

    def after_write(self) -> None:
        self.after -= 1
        if self.after == 0:
            raise Killed


@pytest.mark.parametrize("moment", [{"before": n} for n in range(1, 7)] + [{"after": n} for n in range(1, 5)])
def test_killed_around_any_write(make_job: MakeJob, tmp_path: Path, moment: dict[str, int]) -> None:
    job = make_job(job={"checkpoint_steps": 1}, **MTL)
    assert train(job, tmp_path / "whole")
    with pytest.raises(Killed):
        train(job, tmp_path / "killed", KillAt(**moment))
    assert train(job, tmp_path / "killed")
    assert_same(tmp_path / "whole", tmp_path / "killed")


def test_another_attempt_goes_on_from_an_earlier_folder(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job(**MTL)
    assert train(job, tmp_path / "whole")
    assert not train(job, tmp_path / "first", StopAfter(epochs=3))
    before = {path.name: path.read_bytes() for path in (tmp_path / "first").iterdir()}
    second = dataclasses.replace(job, earlier=[tmp_path / "none", tmp_path / "first"])
    watch = StopAfter()
    assert train(second, tmp_path / "second", watch)
    assert -watch.steps == 2, "only the fourth epoch is trained"
    assert_same(tmp_path / "whole", tmp_path / "second")
    assert {path.name: path.read_bytes() for path in (tmp_path / "first").iterdir()} == before


@pytest.mark.parametrize(
    ("damaged", "repeated"),
    [((CHECKPOINT,), 1), ((CHECKPOINT, PREVIOUS), 4), (("snapshot-1.safetensors",), 4)],
    ids=["newest", "both", "snapshot"],
)
@pytest.mark.parametrize("cut", [True, False], ids=["truncated", "a flipped byte"])
def test_the_newest_checkpoint_that_is_whole_wins(
    make_job: MakeJob,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damaged: tuple[str, ...],
    repeated: int,
    cut: bool,
) -> None:
    job = make_job(**MTL)
    assert train(job, tmp_path / "whole")
    assert not train(job, tmp_path / "job", StopAfter(epochs=3))
    for name in damaged:
        data = bytearray((tmp_path / "job" / name).read_bytes())
        data[-9] ^= 1
        (tmp_path / "job" / name).write_bytes(data[: -9 if cut else None])
    watch = StopAfter()
    assert train(job, tmp_path / "job", watch)
    assert_same(tmp_path / "whole", tmp_path / "job")
    assert -watch.steps == 2 * (1 + (repeated if repeated < 4 else 3))
    assert f"{damaged[0]} is damaged" in caplog.text


def test_killed_between_two_checkpoints_the_history_has_no_line_too_many(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job(**MTL)
    assert train(job, tmp_path / "whole")
    assert not train(job, tmp_path / "job", StopAfter(epochs=2))
    (tmp_path / "job" / CHECKPOINT).unlink()
    assert not train(job, tmp_path / "job", StopAfter(epochs=1))
    assert len(read_history(tmp_path / "job")) == 2
    assert train(job, tmp_path / "job")
    assert_same(tmp_path / "whole", tmp_path / "job")


def test_a_rescue_goes_on_from_the_failed_jobs_last_good_epoch(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job(**MTL)
    rescue = {"rescue": {"0": {"after": 2, "lr_factor": 0.1}, "1": {"after": 0, "lr_factor": 0.5}}}
    rescued = make_job(**MTL, **rescue)
    assert train(rescued, tmp_path / "from the start")
    for stopped, more in ((2, 4), (3, 4)):  # the second one's newest checkpoint went too far, the one before did not
        assert not train(job, tmp_path / f"failed-{stopped}", StopAfter(epochs=stopped))
        watch = StopAfter()
        again = dataclasses.replace(rescued, unrescued=[tmp_path / f"failed-{stopped}"])
        assert train(again, tmp_path / f"rescued-{stopped}", watch)
        assert -watch.steps == more
        assert_same(tmp_path / "from the start", tmp_path / f"rescued-{stopped}")
    rates = [record["lr"] for record in read_history(tmp_path / "from the start")]
    assert train(job, tmp_path / "plain")
    plain = [record["lr"] for record in read_history(tmp_path / "plain")]
    assert rates == pytest.approx([*plain[:2], 0.1 * plain[2], 0.1 * plain[3]])


@pytest.mark.parametrize("torn", ['{"epoch": 2, "loss_cur', "{", '{"epoch": 2, "loss_curated": 0.5, "lwlrap": 0.4}'])
def test_a_half_written_history_line_is_ignored(make_job: MakeJob, tmp_path: Path, torn: str) -> None:
    job = make_job(cycles=1)
    assert train(job, tmp_path / "whole")
    assert not train(job, tmp_path / "torn", StopAfter(epochs=1))
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
    assert train(job, tmp_path, StopAfter(epochs=1)) is False
    assert train(job, tmp_path) is True
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert train(job, tmp_path, StopAfter(epochs=1)) is True
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert set(before) == {
        CHECKPOINT, PREVIOUS, "history.jsonl", "snapshot-1.safetensors", "snapshot-2.safetensors"
    }  # fmt: skip


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
    wanted = {"epoch", "loss_curated", "valid_loss", "lwlrap", "lr"}
    if "multitask" in streams:
        wanted |= {"loss_noisy"}
    if "pseudo" in streams:
        wanted |= {"loss_pseudo"}
    for record in history:
        assert set(filterfalse(is_measured, record)) == wanted
        assert {"seconds", "samples_per_s", "time", "system/cpu_utilization_percentage"} <= set(record)
        assert all(np.isfinite(value) for value in record.values())
        assert 0 < record["lwlrap"] <= 1
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"snapshot-{cycle}.safetensors" for cycle in (1, 2, 3)} | {"history.jsonl", CHECKPOINT, PREVIOUS}
    for cycle in (1, 2, 3):
        facts = {"cycle": cycle, "epoch": 2 * cycle, "fold": "0", "lwlrap": history[2 * cycle - 1]["lwlrap"]}
        assert read_tensors(snapshot_path(tmp_path, cycle))[1] == facts
    about = read_tensors(tmp_path / CHECKPOINT)[1]
    assert (about["epoch"], about["history"]) == (6, history)
    assert about["best_lwlrap"] == max(record["lwlrap"] for record in history)
    assert len({path.read_bytes() for path in tmp_path.glob("snapshot-*")}) == 3


@pytest.mark.parametrize("kind", ["resnet", "envnet"])
def test_validation_is_of_whole_clips_by_their_own_head(make_job: MakeJob, tmp_path: Path, kind: str) -> None:
    job = make_job(kind, cycles=1, epochs=1, **VALIDATED)
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
    job = make_job(cycles=1, epochs=1, **VALIDATED)
    assert job.noisy is not None
    noisy = dataclasses.replace(job.noisy, train_rows=np.arange(12), valid_rows=np.arange(0))
    assert train(dataclasses.replace(job, noisy=noisy), tmp_path)
    assert not [key for key in read_history(tmp_path)[0] if key.startswith(("valid_loss_", "lwlrap_"))]


@pytest.mark.parametrize("noisy", ["all", "folds"])
def test_the_second_head_learns_from_all_noisy_clips_or_those_of_the_training_folds(
    make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noisy: str
) -> None:
    """Soft labels are always of the training folds alone."""
    rows: dict[str, list[int]] = {}
    stream = Stream.__init__

    def seen(self: Stream, name: str, pools: list[Any], **more: Any) -> None:
        rows[name] = pools[-1].rows.tolist()
        stream(self, name, pools, **more)

    monkeypatch.setattr(Stream, "__init__", seen)
    job = make_job(cycles=1, epochs=1, noisy=noisy, **SPL)
    assert job.noisy is not None
    assert train(job, tmp_path)
    held_out = set(job.noisy.valid_rows.tolist())
    assert held_out
    assert rows["noisy"] == ([*range(12)] if noisy == "all" else job.noisy.train_rows.tolist())
    assert rows["pseudo"] == job.noisy.train_rows.tolist()
    assert not held_out & set(rows["pseudo"])


def test_the_ratio_of_the_losses_is_a_setting(make_job: MakeJob, tmp_path: Path) -> None:
    """After one step the recorded losses, of equal first weights, differ by the factor alone."""
    for name, weight in (("one", 1.0), ("three", 3.0)):
        assert train(make_job(cycles=1, epochs=1, batch_size=8, noisy_weight=weight, **MTL), tmp_path / name)
    (one,), (three,) = history_of(tmp_path / "one"), history_of(tmp_path / "three")
    assert three["loss_noisy"] == pytest.approx(3 * one["loss_noisy"])
    assert three["loss_curated"] == pytest.approx(one["loss_curated"])
    assert weights_of(tmp_path / "one") != weights_of(tmp_path / "three")


# --- what diverges


@pytest.mark.parametrize(
    ("activation", "loss"), [("sigmoid", "bce"), ("softmax", "bce"), ("softmax", "kl"), ("sigmoid", "mse")]
)
def test_a_loss_that_is_not_finite_is_told(make_job: MakeJob, tmp_path: Path, activation: str, loss: str) -> None:
    network = {"kind": "resnet", "depth": 10, "width": 4, "head_units": 8, "activation": activation}
    job = make_job(network=network, loss=loss, optimizer="sgd", lr_max=1e30)
    with pytest.raises(NotFiniteError) as caught:
        train(job, tmp_path)
    told = (
        r"^the loss of stream curated became nan or inf in epoch 1, step 2 of 2; last finite losses: curated \d\S*; try"
    )
    assert re.search(told, str(caught.value))
    assert caught.value.epochs_done == 0
    assert read_history(tmp_path) == []
    assert weights_of(tmp_path) == {}


def test_a_prediction_that_is_not_finite_is_told(make_job: MakeJob, tmp_path: Path) -> None:
    """One step an epoch: its loss is still good, the weights it leaves are not, or what they make of a clip."""
    for lr, told in (
        (1e39, "the weights became nan or inf in epoch 1, step 1 of 1"),
        (1e30, "a prediction of epoch 1"),
    ):
        job = make_job(batch_size=8, optimizer="sgd", lr_max=lr)
        with pytest.raises(NotFiniteError, match=told):
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


def test_subsets_share_the_room_on_a_device(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job(multitask=True)
    assert job.noisy is not None
    curated, noisy = (int(clips.shards.lengths.sum()) * 16 * 4 for clips in (job.curated, job.noisy))
    for room, wanted in (
        (curated + noisy, [curated, noisy]),
        (curated + noisy - 1, [curated, 0]),
        (0, [0, 0]),
    ):
        training = trainers.loop._Training(dataclasses.replace(job, resident_bytes=room), tmp_path, Supervisor())
        assert [training.streams[name].pools[0].bank.resident_bytes for name in ("curated", "noisy")] == wanted


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_trains_on_cuda(make_job: MakeJob, tmp_path: Path) -> None:
    for kind, resident_bytes in (("resnet", 0), ("resnet", 1 << 30), ("envnet", 0), ("envnet", 1 << 30)):
        folder = tmp_path / f"{kind}-{resident_bytes}"
        on_gpu = {"device": torch.device("cuda"), "resident_bytes": resident_bytes}
        job = make_job(kind, cycles=2, epochs=1, job=on_gpu, **SPL)
        assert not train(job, folder, StopAfter(epochs=1))
        assert train(job, folder)  # from the checkpoint
        train(make_job(kind, cycles=1, epochs=1, **SPL), folder / "cpu")
        on_cpu = read_history(folder / "cpu")[0]["loss_curated"]
        history = read_history(folder)
        assert [record["epoch"] for record in history] == [1, 2]
        assert history[0]["loss_curated"] == pytest.approx(on_cpu, rel=0.1)
