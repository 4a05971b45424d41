"""Ensembles of a grid: their members, their numbers of predictions, one sentence for every mistake."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.errors import GridError
from features.files import read_json
from orchestrator.grids.ensembles import Member, ensemble_members, ensemble_weights
from orchestrator.grids.load import load_grid, parse_grid
from orchestrator.grids.recipe import Recipe
from orchestrator.planning.graph import build_graph
from orchestrator.report.build import build_report
from orchestrator.report.scores import mean_predictions, predictions_of
from orchestrator.run.bound import Run
from trainers.lwlrap import lwlrap

# Cycles of the paper's models, and the members of its two submissions.
CYCLES = {"A": 8, "B": 7, "C": 6, "D": 3, "E": 5, "F": 10}
SUBMISSION_1 = {"A": [2, 4, 7, 8], "B": [1, 2, 6, 7], "C": [2, 4, 6], "D": [2, 3], "E": [3, 5], "F": [7, 9]}
SUBMISSION_2 = {"A": [2, 4, 7, 8], "B": [1, 2, 4, 6, 7], "C": [2, 4, 6], "D": [2, 3], "E": [3, 5], "F": [6, 7, 9]}
WEIGHTS = {"A": 3, "B": 4, "C": 3, "D": 1, "E": 1, "F": 1}


def paper_grid(**more: Any) -> dict[str, Any]:
    waveform = {"network": {"kind": "envnet"}, "crop": 30_000, "predict": {"pads": [8_000, 32_000]}}
    rows = {name: {"cycles": n, **(waveform if name in "DEF" else {})} for name, n in CYCLES.items()}
    return {"name": "paper", "data": {"folds": 5}, "conditions": rows, **more}


def test_the_papers_submissions_take_170_and_95_predictions() -> None:
    one = {name: {"cycles": cycles} for name, cycles in SUBMISSION_1.items()}
    two = {name: {"cycles": cycles, "pads": [8_000 if name in "DEF" else 8]} for name, cycles in SUBMISSION_2.items()}
    ensembles = {"submission-1": {"members": one, "weights": WEIGHTS}, "submission-2": {"members": two}}
    recipe = parse_grid(paper_grid(ensembles=ensembles), "paper")
    assert recipe.ensemble_predictions("submission-1") == 170
    assert recipe.ensemble_predictions("submission-2") == 95


def test_what_is_left_out_means_all_of_the_curated_head(inline_run: Run) -> None:
    recipe = inline_run.recipe
    members = ensemble_members(recipe.ensembles["A-all"], recipe.conditions)
    assert members == tuple(Member("A", cycle, "curated", pad) for cycle in (1, 2) for pad in (2, 4))
    assert recipe.ensemble_predictions("A-all") == 4 * 2


def test_weights_are_shared_by_a_conditions_members(inline_run: Run) -> None:
    recipe = inline_run.recipe
    ensemble = recipe.ensembles["A+D"]
    members = ensemble_members(ensemble, recipe.conditions)
    assert members == (Member("A", 2, "curated", 4), Member("A", 2, "noisy", 4), Member("D", 1, "curated", 1_000))
    assert ensemble_weights(ensemble, members) == pytest.approx([3 / 8, 3 / 8, 1 / 4])


def slow_ensemble(run: Run, file: str) -> np.ndarray:
    """The scores of A+D, picked from the files by hand: folds averaged on the test clips, put together on curated."""
    a, d = predictions_of(run, "A"), predictions_of(run, "D")
    assert a is not None
    assert d is not None
    parts = []
    for fold_a, fold_d in zip(a, d, strict=True):
        of_a = np.load(fold_a / file).astype(np.float64)  # (cycles, heads, pads, n, C)
        of_d = np.load(fold_d / file).astype(np.float64)
        parts.append(3 / 4 * (of_a[1, 0, 1] + of_a[1, 1, 1]) / 2 + 1 / 4 * of_d[0, 0, 0])
    if file == "test.npy":
        return np.mean(parts, axis=0)
    folds = run.manifest.subset("curated")["fold"].to_numpy()
    stitched = np.zeros((len(folds), parts[0].shape[1]))
    for fold, part in enumerate(parts):
        stitched[folds == fold] = part
    return stitched


def test_an_ensemble_is_the_weighted_mean_of_its_members(inline_run: Run) -> None:
    means = mean_predictions(inline_run)
    assert means.keys() == {"plain", "A", "B", "D", "A-all", "A+D"}
    assert means["A+D"].oof == pytest.approx(slow_ensemble(inline_run, "curated.npy"), abs=1e-6)
    assert means["A+D"].test == pytest.approx(slow_ensemble(inline_run, "test.npy"), abs=1e-6)
    (ensemble,) = [e for e in build_report(inline_run).ensembles if e.name == "A+D"]
    expected = lwlrap(inline_run.manifest.targets("curated"), slow_ensemble(inline_run, "curated.npy"))
    assert ensemble.oof_lwlrap == pytest.approx(expected, abs=1e-9)
    assert ensemble.interval is not None
    assert ensemble.interval[0] <= expected <= ensemble.interval[1]
    assert (ensemble.predictions, ensemble.published, ensemble.leaky) == (3 * 2, 0.89, False)


def with_settings(run: Run, recipe: Recipe) -> Run:
    return Run(run.folder, recipe, run.data_root, run.store, run.manifest)


def test_an_ensemble_waits_for_its_last_condition_and_inherits_leaks(inline_run: Run, tiny_grid: Path) -> None:
    leaky = [
        "conditions.B.pseudo.folds=all",
        "ensembles.B-all={members: {B: {}}}",
        "comparisons={soft labels: [plain, B-all], snapshots: [plain, A], leaky side: [B, A]}",
    ]
    report = build_report(with_settings(inline_run, load_grid(str(tiny_grid), leaky)))
    ensembles = {ensemble.name: ensemble for ensemble in report.ensembles}
    assert ensembles["B-all"].oof_lwlrap is None
    assert ensembles["B-all"].interval is None
    assert {name: ensemble.leaky for name, ensemble in ensembles.items()} == {
        "A-all": False, "A+D": False, "B-all": True,
    }  # fmt: skip
    comparisons = {comparison.name: comparison for comparison in report.comparisons}
    assert {name: comparison.leaky for name, comparison in comparisons.items()} == {
        "soft labels": True, "snapshots": False, "leaky side": True,
    }  # fmt: skip
    assert comparisons["soft labels"].oof_difference is None
    by_name = {condition.name: condition.oof_lwlrap for condition in report.conditions}
    assert comparisons["snapshots"].oof_difference == pytest.approx(by_name["A"] - by_name["plain"])


def test_nothing_is_computed_anew_for_ensembles_figures_and_comparisons(inline_run: Run, tiny_grid: Path) -> None:
    bare = load_grid(str(tiny_grid), ["ensembles={}", "published={}", "comparisons={}"])
    assert bare.ensembles == {}
    assert build_graph(bare, inline_run.manifest).nodes.keys() == inline_run.graph.nodes.keys()


def test_the_recipe_of_a_run_keeps_them(inline_run: Run, tiny_grid: Path) -> None:
    assert Run.open(inline_run.folder).recipe == load_grid(str(tiny_grid))
    assert read_json(inline_run.folder / "run.json")["recipe"]["published"]["cv"] == {"A": 0.849}


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("ensembles.x={members: {Z: {}}}", ["ensembles.x.members", "'Z' is not a condition"]),
        ("ensembles.x={members: {}}", ["ensembles.x.members", "at least 1"]),
        ("ensembles.x={members: {A: {cycles: [1, 3]}}}", ["ensembles.x.members.A.cycles", "no 3", "cycles 1 to 2"]),
        ("ensembles.x={members: {A: {cycles: [0]}}}", ["ensembles.x.members.A.cycles", "no 0"]),
        ("ensembles.x={members: {A: {cycles: []}}}", ["ensembles.x.members.A.cycles", "at least 1"]),
        ("ensembles.x={members: {A: {cycles: 2}}}", ["ensembles.x.members.A.cycles", "is 2"]),
        ("ensembles.x={members: {A: {cycles: [2, 2]}}}", ["ensembles.x.members.A.cycles", "2, 2", "distinct"]),
        ("ensembles.x={members: {A: {pads: [8]}}}", ["ensembles.x.members.A.pads", "no 8", "2, 4"]),
        ("ensembles.x={members: {D: {heads: [noisy]}}}", ["ensembles.x.members.D.heads", "no noisy", "curated"]),
        ("ensembles.x={members: {A: {heads: [loud]}}}", ["ensembles.x.members.A.heads", "'loud'"]),
        ("ensembles.x={members: {A: {cycle: [1]}}}", ["ensembles.x.members.A.cycle", "did you mean 'cycles'"]),
        ("ensembles.x={members: {A: {}}, weights: {D: 1}}", ["ensembles.x.weights", "'D'", "there are A"]),
        ("ensembles.x={members: {A: {}}, weights: {A: 0}}", ["ensembles.x.weights.A", "0", "greater than 0"]),
        ("ensembles.A={members: {A: {}}}", ["ensembles.A", "a condition has this name"]),
        ("ensembles.../x={members: {A: {}}}", ["ensembles"]),
        ("ensembles={a/b: {members: {A: {}}}}", ["ensembles", "'a/b'"]),
        ("ensembles=3", ["ensembles is 3"]),
        ("published.cv.Z=0.5", ["published.cv", "'Z' is not a condition"]),
        ("published.cv.A=84.9", ["published.cv.A", "84.9", "less than or equal to 1"]),
        ("published.ensembles.sub=0.5", ["published.ensembles", "'sub' is not an ensemble", "A-all, A+D"]),
        ("published.oof.A=0.5", ["published.oof"]),
        ("comparisons.step=[A, Z]", ["comparisons.step", "'Z' is not a condition or an ensemble"]),
        ("comparisons.step=[A]", ["comparisons.step", "two names", "not [A]"]),
        ("comparisons.step=[A, B, D]", ["comparisons.step", "two names", "A, B, D"]),
        ("blend.budget=1", ["blend.budget is 1", "2 predictions"]),
        ("blend.budget=0", ["blend.budget", "0"]),
    ],
)
def test_every_mistake_is_one_sentence_that_names_the_field(tiny_grid: Path, setting: str, words: list[str]) -> None:
    with pytest.raises(GridError) as caught:
        load_grid(str(tiny_grid), [setting])
    sentence = str(caught.value)
    assert "\n" not in sentence
    for word in words:
        assert word in sentence
