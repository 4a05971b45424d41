"""Jobs with mixed crops, repeated clips, other normalisation or another trunk go on with the same bits."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainers.checkpoints import snapshot_path
from trainers.clips import ClipBank
from trainers.history import is_measured, read_history
from trainers.loop import TrainJob, train
from trainers.lwlrap import lwlrap
from trainers.network import Tagger
from trainers.predict import predict
from trainers.supervisor import Stop, Supervisor
from trainers.weights import load_snapshot, read_tensors

MakeJob = Callable[..., TrainJob]


class Stopping(Supervisor):
    """Asks to stop after every epoch."""

    def stop(self) -> Stop:
        return "epoch"


SMALL = {"kind": "resnet", "depth": 10, "width": 4, "head_units": 8}
SPL = {"multitask": True, "pseudo": {"teacher": "A"}}
VARIANTS: dict[str, dict[str, Any]] = {
    "mixed crops": {"network": SMALL, "crop": [8, 16, 40], **SPL},
    "repeat": {"network": SMALL, "padding": "repeat", "crop": 64, **SPL},
    "dataset": {"network": {"normalise": "dataset", **SMALL}, "multitask": True},
    "seresnext": {"network": {"kind": "seresnext", "width": 4, "head_units": 8}, "multitask": True},
    "all": {
        "network": {"normalise": "dataset", **SMALL},
        "crop": [16, 64],
        "padding": "repeat",
        "precise_bn": True,
        **SPL,
    },
}


def results_of(folder: Path) -> tuple[list[dict[str, Any]], dict[str, dict[str, bytes]]]:
    history = [{key: value for key, value in record.items() if not is_measured(key)} for record in read_history(folder)]
    paths = [*sorted(folder.glob("snapshot-*")), folder / "checkpoint.safetensors"]
    tensors = {path.name: read_tensors(path)[0] for path in paths}
    return history, {
        name: {key: value.numpy().tobytes() for key, value in found.items()} for name, found in tensors.items()
    }


@pytest.mark.parametrize("name", VARIANTS)
def test_a_stopped_job_goes_on_with_the_same_bits(make_job: MakeJob, tmp_path: Path, name: str) -> None:
    job = make_job(**VARIANTS[name])
    assert train(job, tmp_path / "whole")
    returned: list[bool] = []
    while not returned or not returned[-1]:
        torch.manual_seed(len(returned))  # a new process, with other generators' states
        returned.append(train(job, tmp_path / "stopped", Stopping()))
    assert returned == [False, False, False, True]
    assert results_of(tmp_path / "whole") == results_of(tmp_path / "stopped")
    assert len(results_of(tmp_path / "whole")[1]) == 3


def test_envnet_repeats_with_mixed_crops_and_goes_on(make_job: MakeJob, tmp_path: Path) -> None:
    job = make_job("envnet", crop=[20_600, 24_000], padding="repeat")
    assert train(job, tmp_path / "whole")
    assert not train(job, tmp_path / "stopped", Stopping())
    assert train(job, tmp_path / "stopped", Stopping())
    assert results_of(tmp_path / "whole") == results_of(tmp_path / "stopped")


@pytest.mark.parametrize("variant", ["mixed crops", "repeat", "all"])
def test_resident_features_give_the_same_bits(make_job: MakeJob, tmp_path: Path, variant: str) -> None:
    for name, resident_bytes in (("streamed", 0), ("resident", 1 << 30)):
        train(make_job(epochs=1, job={"resident_bytes": resident_bytes}, **VARIANTS[variant]), tmp_path / name)
    assert results_of(tmp_path / "streamed") == results_of(tmp_path / "resident")


@pytest.mark.parametrize("padding", ["zeros", "repeat"])
def test_validation_pads_waveforms_by_half_of_the_longest_crop(make_job: MakeJob, tmp_path: Path, padding: Any) -> None:
    job = make_job("envnet", crop=[20_600, 26_000], padding=padding, cycles=1)
    train(job, tmp_path)
    network = Tagger(job.settings.network, job.classes, noisy_head=False)
    load_snapshot(snapshot_path(tmp_path, 1), network)
    rows = job.curated.valid_rows
    bank = ClipBank(job.curated.shards, torch.device("cpu"))
    truth = job.curated.targets[rows]
    scores = predict([network], bank, rows, [13_000], padding=padding)[0, 0, 0]
    (record,) = read_history(tmp_path)
    assert record["lwlrap"] == pytest.approx(lwlrap(truth, scores))
    entropy = -(truth * np.log(scores) + (1 - truth) * np.log(1 - scores)).mean()
    assert record["valid_loss"] == pytest.approx(entropy, rel=1e-4)
    other = predict([network], bank, rows, [13_000], padding="zeros" if padding == "repeat" else "repeat")[0, 0, 0]
    assert np.abs(scores - other).max() > 1e-5
