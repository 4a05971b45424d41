"""Labels of the noisy clips from predictions written by hand; whole grids run it in tests/whole/test_inline_run.py."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from features.files import save_npy, write_json
from orchestrator.jobs.pseudo import PseudoSpec
from orchestrator.store.marks import DoneMark
from orchestrator.store.results import PredictResult
from tests.fixtures.manifests import manifest_of
from trainers.pseudo import hard_labels, own_label_factors, soft_labels

MANIFEST = manifest_of([0, 1], noisy=4)
AXES = PredictResult(cycles=2, heads=("curated", "noisy"), pads=(2, 4, 6))


def teacher(folder: Path, seed: int) -> np.ndarray:
    """A teacher's scores (cycles, heads, pads, N, C) in a folder, as its job leaves them."""
    scores = np.random.default_rng(seed).random((2, 2, 3, 4, 3), dtype=np.float32)
    folder.mkdir()
    save_npy(folder / "noisy.npy", scores)
    write_json(folder / DoneMark.FILE, DoneMark("predict-noisy-A-0", result=AXES.to_json(), host="here").to_json())
    return scores


@pytest.mark.parametrize(("temperature", "own_label"), [(2.0, 1.0), (1.5, 9.0), (None, 1.0), (None, 9.0)])
def test_labels_are_made_of_the_curated_heads_of_all_teachers_cycles_and_pads(
    temperature: float | None, own_label: float, tmp_path: Path
) -> None:
    folders = (tmp_path / "first", tmp_path / "second")
    scores = [teacher(folder, seed) for seed, folder in enumerate(folders)]
    inputs: Any = SimpleNamespace(folders={"teacher": folders}, manifest=MANIFEST)
    spec: Any = None
    attempt: Any = SimpleNamespace(folder=tmp_path)
    assert PseudoSpec(temperature, own_label).do(spec, inputs, attempt) == {"models": 12}
    models = np.concatenate([each[:, 0].reshape(6, 4, 3) for each in scores])
    factors = own_label_factors(MANIFEST.targets("noisy"), own_label)
    expected = hard_labels(models, factors) if temperature is None else soft_labels(models, temperature, factors)
    np.testing.assert_array_equal(np.load(tmp_path / "labels.npy"), expected)


def test_hard_labels_have_no_temperature() -> None:
    binding: Any = None
    for payload, expected in (
        ({"labels": "hard"}, PseudoSpec(None)),
        ({"labels": "soft", "temperature": 2}, PseudoSpec(2.0)),
        ({"labels": "soft", "temperature": 1, "own_label": 9, "noisy": "hash"}, PseudoSpec(1.0, 9.0)),
    ):
        node: Any = SimpleNamespace(payload=payload)
        assert PseudoSpec.of(node, binding) == expected
