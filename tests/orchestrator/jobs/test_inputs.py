import shutil
from pathlib import Path

import numpy as np
import pytest

from features.errors import DamagedInputError
from orchestrator.jobs.execution import JobExecution
from orchestrator.jobs.inputs import Inputs
from orchestrator.run.bound import Run


def test_inputs_are_checked_folders_by_role(copy: Run) -> None:
    node = copy.graph.nodes[copy.graph.train["A", 0]]
    spec = copy.claim(node, JobExecution())
    progress: list[None] = []
    inputs = Inputs(spec.manifest, spec.inputs, copy.store, lambda: progress.append(None))
    assert inputs.folders.keys() == {"curated", "noisy"}
    assert len(progress) == sum(map(len, inputs.folders.values()))
    assert inputs.manifest.classes == copy.manifest.classes
    assert len(inputs.shards("curated")) == len(copy.manifest.subset("curated"))
    shutil.copyfile(inputs.folders["noisy"][0] / "done.json", inputs.folders["curated"][0] / "data.npy")
    with pytest.raises(DamagedInputError, match=r"data\.npy is damaged"):
        Inputs(spec.manifest, spec.inputs, copy.store)


def test_soft_labels_come_from_the_curated_heads_of_all_teachers(inline_run: Run, tmp_path: Path) -> None:
    """`jobs/pseudo.py`, from real predictions."""
    node = next(node for node in inline_run.graph.nodes.values() if node.kind == "pseudo")
    labels = np.load(inline_run.store.results(node) / "labels.npy")
    assert labels.shape == (len(inline_run.manifest.subset("noisy")), len(inline_run.manifest.classes))
    np.testing.assert_array_less(labels, 1.0 + 1e-6)
    assert (labels >= 0).all()
