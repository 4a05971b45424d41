"""Conditions that learn from noisy clips without their labels: what their jobs get, and what a dataset must have."""

from pathlib import Path

import pytest

from features.manifest import build_manifest
from features.synthetic import generate
from orchestrator.grids.load import load_grid
from orchestrator.grids.recipe import Recipe
from orchestrator.planning.graph import build_graph
from orchestrator.run.selection import prepare


@pytest.fixture
def recipe(tiny_grid: Path) -> Recipe:
    added = ["conditions.M={base: plain, semi: {method: mean_teacher}}", "conditions.N={base: plain}"]
    return load_grid(str(tiny_grid), added)


def test_their_jobs_get_the_noisy_clips(recipe: Recipe, small_data: Path) -> None:
    graph = build_graph(recipe, build_manifest(small_data, recipe.data))
    nodes = {name: graph.nodes[graph.train[name, 0]] for name in ("plain", "M", "N", "A")}
    assert nodes["N"] is nodes["plain"]
    assert "noisy" not in nodes["plain"].inputs
    assert nodes["M"].inputs["noisy"] == nodes["A"].inputs["noisy"]
    assert nodes["M"].payload["noisy"] == nodes["A"].payload["noisy"]
    assert nodes["M"].cost > nodes["plain"].cost


def test_without_noisy_clips_they_are_trained_on_the_curated_ones(recipe: Recipe, tmp_path: Path) -> None:
    generate(tmp_path / "data", seed=0, curated=8, noisy=0, test=2)
    (tmp_path / "data" / "train_noisy.csv").unlink()
    run = prepare(recipe, tmp_path / "data", tmp_path / "run")
    assert run.graph.train["M", 0] == run.graph.train["plain", 0]
    assert run.graph.train["A", 0] != run.graph.train["plain", 0]  # it is trained for longer
    assert run.notes == ("no noisy clips: A, B, M are trained without multitask, pseudo, semi",)
