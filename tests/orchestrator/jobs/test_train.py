from pathlib import Path

import numpy as np

from orchestrator.jobs.execution import JobExecution
from orchestrator.jobs.inputs import Inputs
from orchestrator.jobs.train import TrainSpec, _last_snapshot
from orchestrator.run.bound import Run


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
