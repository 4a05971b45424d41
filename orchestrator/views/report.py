"""The report of a run, made from the store alone, as one JSON-like object."""

from typing import Any

import numpy as np

from features.files import read_json, write_json
from orchestrator.grids.recipe import Recipe
from orchestrator.planning.leaks import leaky_conditions
from orchestrator.run.bound import Run
from orchestrator.views.scores import Scores, blended_test, known_labels, mean_predictions, parts_of_test
from orchestrator.views.submission import write_submission

__all__ = ["build_report", "write_reports"]

BLEND_FIELDS = (
    "predictions", "oof_lwlrap", "oof_lwlrap_nested", "uniform_oof_lwlrap", "paper_oof_lwlrap", "greedy_oof_lwlrap",
)  # fmt: skip


def build_report(run: Run) -> dict[str, Any]:
    """All scores that exist; those that don't are None. See `docs/design.md` for the form."""
    recipe = run.recipe
    leaky = leaky_conditions(recipe, run.graph)
    leaky_ensembles = [name for name, ensemble in recipe.ensembles.items() if ensemble.members.keys() & set(leaky)]
    means = mean_predictions(run)
    known = known_labels(run)
    oof = Scores(run.manifest.targets("curated"), {name: mean.oof for name, mean in means.items()})
    # Where the test labels are not known, no prediction has a score.
    test = Scores(known[0], {name: mean.test for name, mean in means.items()}) if known else Scores(np.empty(0), {})
    conditions = [_condition(run, name, oof, test) for name in recipe.conditions]
    blend = _blend(run)
    return {
        "grid": recipe.name,
        "complete": blend is not None and all(f["state"] == "done" for c in conditions for f in c["folds"]),
        "conditions": conditions,
        "blend": blend or {"members": [], "weights": [], **dict.fromkeys(BLEND_FIELDS)},
        "ensembles": [_ensemble(recipe, name, oof, test, name in leaky_ensembles) for name in recipe.ensembles],
        "comparisons": [
            _comparison(name, before, after, oof, test, bool({before, after} & {*leaky, *leaky_ensembles}))
            for name, (before, after) in recipe.comparisons.items()
        ],
        "test": parts_of_test(known[0], blended_test(run), known[1]) if known and blend else None,
        "leaky": leaky,
        "skipped": list(run.manifest.skipped),
    }


def _condition(run: Run, name: str, oof: Scores, test: Scores) -> dict[str, Any]:
    folds = []
    for fold in range(run.recipe.data.folds):
        node = run.graph.nodes[run.graph.train[name, fold]]
        history = [record["lwlrap"] for record in run.store.history(node)]
        folds.append(
            {
                "fold": fold,
                "state": run.store.state(node).state,
                "best_lwlrap": max(history, default=None),
                "last_lwlrap": history[-1] if history else None,
            }
        )
    done = all(fold["state"] == "done" and fold["best_lwlrap"] is not None for fold in folds)
    return {
        "name": name,
        "features": run.recipe.conditions[name].features.kind,
        "folds": folds,
        "cv_lwlrap": float(np.mean([fold["best_lwlrap"] for fold in folds])) if done else None,
        "published_cv_lwlrap": run.recipe.published.cv.get(name),
        "oof_lwlrap": oof.lwlrap(name),
        "interval": oof.interval(name),
        "test_lwlrap": test.lwlrap(name),
    }


def _ensemble(recipe: Recipe, name: str, oof: Scores, test: Scores, leaky: bool) -> dict[str, Any]:
    return {
        "name": name,
        "predictions": recipe.ensemble_predictions(name),
        "oof_lwlrap": oof.lwlrap(name),
        "interval": oof.interval(name),
        "published": recipe.published.ensembles.get(name),
        "test_lwlrap": test.lwlrap(name),
        "leaky": leaky,
    }


def _comparison(name: str, before: str, after: str, oof: Scores, test: Scores, leaky: bool) -> dict[str, Any]:
    oof_difference, oof_interval = oof.difference(before, after)
    test_difference, test_interval = test.difference(before, after)
    return {
        "name": name,
        "from": before,
        "to": after,
        "oof_difference": oof_difference,
        "interval": oof_interval,
        "test_difference": test_difference,
        "test_interval": test_interval,
        "leaky": leaky,
    }


def _blend(run: Run) -> dict[str, Any] | None:
    assert run.graph.blend is not None
    node = run.graph.nodes[run.graph.blend]
    if run.store.state(node).state != "done":
        return None
    raw = read_json(run.store.results(node) / "blend.json")
    return {"members": raw["members"], "weights": raw["weights"], **{field: raw[field] for field in BLEND_FIELDS}}


def write_reports(run: Run) -> None:
    """Write `report.json` and, where the blend is done, the submission."""
    report = build_report(run)
    write_json(run.folder / "report.json", report)
    if report["blend"]["weights"] and len(run.manifest.subset("test")):
        write_submission(run)
