import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import trainers.loop
from orchestrator.jobs.execution import JobExecution, resident_bytes
from orchestrator.jobs.inputs import Inputs
from orchestrator.jobs.train import TrainSpec, _last_snapshot
from orchestrator.run.bound import Run
from orchestrator.store.results import TrainResult
from trainers.history import HISTORY
from trainers.loop import TrainJob


def test_a_training_job_gets_clips_labels_and_a_start(inline_run: Run, copy: Run) -> None:
    node = copy.graph.nodes[copy.graph.train["B", 1]]
    spec = copy.claim(node, JobExecution(checkpoint_steps=3, resident_bytes=10))
    assert isinstance(spec.work, TrainSpec)
    job = spec.work._job(spec.execution, Inputs(spec.manifest, spec.inputs, copy.store), [Path("earlier")])
    folds = copy.manifest.subset("curated")["fold"].to_numpy()
    assert job.split == "1"
    assert job.settings == copy.recipe.conditions["B"].train
    assert job.curated.valid_rows.tolist() == np.flatnonzero(folds == 1).tolist()
    assert job.curated.train_rows.tolist() == np.flatnonzero(folds != 1).tolist()
    assert job.noisy is not None
    folds = copy.manifest.subset("noisy")["fold"].to_numpy()
    assert job.noisy.valid_rows.tolist() == np.flatnonzero(folds == 1).tolist() != []
    assert job.noisy.train_rows.tolist() == np.flatnonzero(folds != 1).tolist(), "none of the held-out fold"
    np.testing.assert_array_equal(job.noisy.targets, copy.manifest.targets("noisy"))
    assert job.soft_labels is not None
    assert len(job.soft_labels) == len(copy.manifest.subset("noisy"))
    assert job.start_from is not None
    assert job.start_from.parent.parent.name.startswith("train-plain-1-")
    assert (job.checkpoint_steps, job.resident_bytes, job.earlier) == (3, 0, [Path("earlier")])


def test_the_last_snapshot_is_the_one_of_the_highest_cycle(tmp_path: Path) -> None:
    for cycle in (1, 9, 10):
        (tmp_path / f"snapshot-{cycle}.safetensors").touch()
    assert _last_snapshot(tmp_path).name == "snapshot-10.safetensors"


class StandIn:
    """An attempt whose store has an earlier one, of this node and of the one that it rescues."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder, self

    def earlier(self, name: str = "its own") -> list[Path]:
        return [Path(name)]


@pytest.mark.parametrize("unrescued", ["another", None])
def test_a_result_has_the_best_and_the_last_score_and_names_all_snapshots(
    copy: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unrescued: str | None
) -> None:
    jobs: list[TrainJob] = []

    def train(job: TrainJob, folder: Path, *_: object) -> bool:
        jobs.append(job)
        lines = [json.dumps({"epoch": epoch, "lwlrap": score}) for epoch, score in enumerate((0.4, 0.6, 0.5), 1)]
        (folder / HISTORY).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return True

    monkeypatch.setattr(trainers.loop, "train", train)
    spec = copy.claim(copy.graph.nodes[copy.graph.train["A", 0]], JobExecution())
    assert isinstance(spec.work, TrainSpec)
    work = replace(spec.work, unrescued=unrescued)
    result = work.do(spec, Inputs(spec.manifest, spec.inputs, copy.store), StandIn(tmp_path))  # type: ignore[arg-type]
    assert result == TrainResult(0.6, 0.5, ("snapshot-1.safetensors", "snapshot-2.safetensors")).to_json()
    (job,) = jobs
    assert (job.earlier, list(job.unrescued)) == ([Path("its own")], [Path(unrescued)] if unrescued else [])
    assert (job.classes, job.start_from, job.device) == (6, None, torch.device("cpu"))
    assert job.resident_bytes == resident_bytes(spec.execution)


def test_a_training_that_was_stopped_has_no_result(copy: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainers.loop, "train", lambda *_: False)
    spec = copy.claim(copy.graph.nodes[copy.graph.train["A", 0]], JobExecution())
    inputs = Inputs(spec.manifest, spec.inputs, copy.store)
    assert spec.work.do(spec, inputs, StandIn(tmp_path)) is None  # type: ignore[arg-type]
