"""Several gloo workers on one training job: the numbers of one, together to the end, and nobody waits for the dead."""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import filterfalse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn

from features.errors import NotFiniteError, PeerLostError
from trainers.checkpoints import CHECKPOINT, snapshot_path
from trainers.clips import MemoryClips
from trainers.history import is_measured, read_history
from trainers.loop import FoldClips, TrainJob, train
from trainers.parallel import Workers
from trainers.supervisor import Stop, Supervisor
from trainers.weights import read_tensors

MakeJob = Callable[..., TrainJob]
CPU = torch.device("cpu")
ALL = {"multitask": True, "pseudo": {"teacher": "A"}}
PATIENCE_S = 300.0
"""How long a worker waits for another one that says nothing."""


def together(size: int, work: Callable[[Workers], Any], folder: Path) -> list[Any]:
    """Run `work` in `size` processes that can talk; gives what each returned, or its error."""
    folder.mkdir(parents=True, exist_ok=True)

    def run(rank: int) -> None:
        dist.init_process_group(
            "gloo",
            init_method=f"file://{folder / 'meeting'}",
            rank=rank,
            world_size=size,
            timeout=timedelta(seconds=PATIENCE_S),
        )
        try:
            with Workers(CPU) as group:
                result = {"ok": work(group)}
        except Exception as error:
            result = {"error": type(error).__name__, "text": str(error)}
        (folder / f"{rank}.json").write_text(json.dumps(result))

    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=run, args=(rank,)) for rank in range(size)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    found = [folder / f"{rank}.json" for rank in range(size)]
    return [json.loads(path.read_text()) if path.exists() else None for path in found]


def trained(job: TrainJob, folder: Path, size: int, supervisor: Callable[[], Supervisor] = Supervisor) -> list[Any]:
    """The job on so many workers; the first one's files lie in `folder`, and nobody else writes any."""

    def work(group: Workers) -> bool:
        own = folder if group.rank == 0 else folder / "nowhere"
        return train(job, own, supervisor() if group.rank == 0 else None, group)

    returned = together(size, work, folder.parent / f"{folder.name}-{time.monotonic_ns()}")
    assert not (folder / "nowhere").exists()
    return returned


def assert_alike(one: Path, other: Path, tolerance: float) -> None:
    """Histories and snapshots within a relative tolerance."""
    first, second = read_history(one), read_history(other)
    assert len(first) == len(second) > 1
    for a, b in zip(first, second, strict=True):
        assert a.keys() == b.keys()
        for key in filterfalse(is_measured, a):
            assert b[key] == pytest.approx(a[key], rel=tolerance), f"epoch {a['epoch']}: {key}"
    for path in one.glob("snapshot-*.safetensors"):
        a_weights, b_weights = read_tensors(path)[0], read_tensors(other / path.name)[0]
        for name, value in a_weights.items():
            torch.testing.assert_close(b_weights[name], value, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("settings", "sizes"),
    [
        ({**ALL, "batch_size": 8}, (2, 4)),
        ({"semi": {"method": "mixmatch"}}, (2,)),
        ({"semi": {"method": "mean_teacher"}, "batch_size": 5, "cycles": 1}, (2,)),
    ],
    ids=["mtl+spl", "mixmatch", "mean teacher, uneven shares"],
)
def test_two_and_four_workers_have_the_loss_curve_and_weights_of_one(
    make_job: MakeJob, tmp_path: Path, settings: dict[str, Any], sizes: tuple[int, ...]
) -> None:
    job = make_job(**{"lr_max": 1e-3, **settings})
    assert train(job, tmp_path / "1")
    for size in sizes:
        assert trained(job, tmp_path / str(size), size) == [{"ok": True}] * size
        assert_alike(tmp_path / "1", tmp_path / str(size), 1e-3)


def test_waveforms_too(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job("envnet", lr_max=1e-3, cycles=1, epochs=2)
    assert train(job, tmp_path / "1")
    assert trained(job, tmp_path / "2", 2) == [{"ok": True}] * 2
    assert_alike(tmp_path / "1", tmp_path / "2", 2e-3)


def test_validation_scores_do_not_depend_on_the_number_of_workers(make_job: MakeJob, tmp_path: Path) -> None:
    """Of more lengths than batches: each worker has other clips beside a clip than one worker has."""
    rng = np.random.default_rng(0)
    lengths = np.append(np.full(8, 20), rng.permutation(np.arange(20, 220)))
    clips = MemoryClips([rng.random((n, 16)).astype(np.float32) for n in lengths])
    job = make_job(lr_max=1e-9, lr_min=0.0, cycles=1, epochs=1, augment={})
    targets = np.eye(job.classes, dtype=np.float32)[rng.integers(0, job.classes, len(lengths))]
    job = replace(job, curated=FoldClips(clips, targets, np.arange(8), np.arange(8, len(lengths))))
    assert train(job, tmp_path / "1")
    wanted = read_history(tmp_path / "1")[0]
    for size in (2, 3):
        assert trained(job, tmp_path / str(size), size) == [{"ok": True}] * size
        found = read_history(tmp_path / str(size))[0]
        assert found["valid_loss"] == pytest.approx(wanted["valid_loss"], rel=1e-6)
        assert found["lwlrap"] == wanted["lwlrap"]


def test_gradients_of_shares_are_those_of_the_global_batch(tmp_path: Path) -> None:
    """Batch norm, its running statistics and dropout included."""
    torch.manual_seed(0)
    x, y = torch.randn(7, 3, 5, 4), torch.randn(7, 6)

    def network() -> nn.Sequential:
        torch.manual_seed(1)
        layers = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(24, 6))
        return nn.Sequential(*layers)

    def facts(net: nn.Module) -> list[list[float]]:
        gradients = [p.grad.reshape(-1).tolist() for p in net.parameters() if p.grad is not None]
        return [*gradients, net[1].running_mean.tolist(), net[1].running_var.tolist()]  # type: ignore[index]

    def shared(group: Workers) -> list[list[float]]:
        net = network()
        group.adapt(net)
        torch.manual_seed(2)
        with group.share(len(x)) as share:
            loss = share.weight * nn.functional.mse_loss(net(x[share.rows]), y[share.rows])
            loss.backward()
        total = group.add_up(net, {"loss": loss.detach()})["loss"]
        return [*facts(net), [float(total)]]

    alone = network()
    torch.manual_seed(2)
    loss = nn.functional.mse_loss(alone(x), y)
    loss.backward()
    for size in (2, 3):
        for returned in together(size, shared, tmp_path / str(size)):
            for ours, theirs in zip(returned["ok"], [*facts(alone), [loss.item()]], strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


class StopNow(Supervisor):
    """Asks to stop at once after some steps."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def progress(self, **where: int) -> None:
        self.steps -= 1

    def stop(self) -> Stop:
        return "now" if self.steps <= 0 else "no"


def test_all_stop_at_the_same_step_and_go_on_with_any_number(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job(lr_max=1e-3, **ALL)
    assert train(job, tmp_path / "1")
    assert trained(job, tmp_path / "job", 2, lambda: StopNow(3)) == [{"ok": False}] * 2
    assert read_tensors(tmp_path / "job" / CHECKPOINT)[1]["step"] == 3
    assert trained(job, tmp_path / "job", 3, lambda: StopNow(2)) == [{"ok": False}] * 3
    assert read_tensors(tmp_path / "job" / CHECKPOINT)[1]["step"] == 5
    assert train(job, tmp_path / "job")
    assert_alike(tmp_path / "1", tmp_path / "job", 2e-3)


def test_the_same_number_of_workers_gives_the_same_bits(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job(cycles=1, **ALL)
    for name in ("one", "other"):
        trained(job, tmp_path / name, 2)
    one, other = (snapshot_path(tmp_path / name, 1).read_bytes() for name in ("one", "other"))
    assert one == other


def test_a_loss_that_is_not_finite_is_the_same_error_for_all(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job(lr_max=1e3, optimizer="sgd")
    returned = trained(job, tmp_path / "job", 2)
    assert {each["error"] for each in returned} == {NotFiniteError.__name__}
    assert len({each["text"] for each in returned}) == 1


def test_nobody_waits_for_a_worker_that_is_gone(make_job: MakeJob, tmp_path: Path) -> None:
    """The first one ends with an error of its own in one case, and is killed in the other."""

    class Fails(Supervisor):
        def progress(self, **where: int) -> None:
            raise MemoryError("no room")

    class Dies(Supervisor):
        def progress(self, **where: int) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

    for kind in (Fails, Dies):
        began = time.monotonic()
        first, second = trained(make_job(), tmp_path / kind.__name__, 2, kind)
        assert second["error"] == PeerLostError.__name__
        assert "another worker of this job is gone" in second["text"]
        assert first is None if kind is Dies else first["error"] == "MemoryError"
        assert time.monotonic() - began < PATIENCE_S
