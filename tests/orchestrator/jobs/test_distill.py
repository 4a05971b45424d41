"""Labels of a student from predictions written by hand; whole grids run it in planning/test_leaks.py."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from features.files import save_npy, write_json
from orchestrator.jobs.distill import DistillSpec
from orchestrator.store.marks import DoneMark
from orchestrator.store.results import PredictResult
from tests.fixtures.manifests import manifest_of

MANIFEST = manifest_of([0, 1, 2, 1], noisy=4)
FOLDS = (1, 2)


def teacher(folder: Path, seed: int, cycles: int) -> dict[str, np.ndarray]:
    """A teacher's scores (cycles, heads, pads, N, C) of clips that it was trained on, as its job leaves them."""
    rng = np.random.default_rng(seed)
    classes = len(MANIFEST.classes)
    scores = {
        "curated": rng.random((cycles, 1, 2, 3, classes), dtype=np.float32),
        "noisy": rng.random((cycles, 1, 2, 4, classes), dtype=np.float32),
    }
    folder.mkdir()
    for subset, array in scores.items():
        save_npy(folder / f"{subset}.npy", array)
    axes = PredictResult(cycles=cycles, heads=("curated",), pads=(2, 4))
    write_json(folder / DoneMark.FILE, DoneMark("predict-trained-A-0", result=axes.to_json(), host="here").to_json())
    return scores


@pytest.mark.parametrize("noisy", [True, False])
def test_labels_are_of_the_clips_outside_the_fold_by_the_mean_of_all_conditions(noisy: bool, tmp_path: Path) -> None:
    folders = (tmp_path / "first", tmp_path / "second")
    found = [teacher(folder, seed, 1 + seed) for seed, folder in enumerate(folders)]
    inputs: Any = SimpleNamespace(folders={"teacher": folders}, manifest=MANIFEST)
    spec: Any = None
    attempt: Any = SimpleNamespace(folder=tmp_path)
    assert DistillSpec(0.25, noisy, 1.0, FOLDS).do(spec, inputs, attempt) == {"conditions": 2}
    mean = {
        subset: np.mean([each[subset].mean(axis=(0, 1, 2)) for each in found], axis=0)
        for subset in ("curated", "noisy")
    }
    curated = np.load(tmp_path / "curated.npy")
    assert not curated[0].any(), "its fold is held out"
    np.testing.assert_allclose(curated[1:], 0.75 * MANIFEST.targets("curated")[1:] + 0.25 * mean["curated"], rtol=1e-5)
    assert (tmp_path / "noisy.npy").exists() == noisy
    if noisy:
        np.testing.assert_allclose(np.load(tmp_path / "noisy.npy"), mean["noisy"], rtol=1e-5)


def test_a_spec_says_which_clips_its_student_trains_on() -> None:
    binding: Any = SimpleNamespace(recipe=SimpleNamespace(data=SimpleNamespace(folds=3)))
    both: Any = SimpleNamespace(
        payload={"share": 0.5, "own_label": 3, "clips": {"curated": "a", "noisy": "b"}}, held_out=(0,)
    )
    clean: Any = SimpleNamespace(payload={"share": 1, "clips": {"curated": "a"}}, held_out=(1,))
    assert DistillSpec.of(both, binding) == DistillSpec(0.5, True, 3.0, (1, 2))
    assert DistillSpec.of(clean, binding) == DistillSpec(1.0, False, 1.0, (0, 2))
