"""The report of a run, made from the store alone: one JSON-like object, and tables for people."""

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from features.errors import StoreError
from features.files import load_npy, read_json
from orchestrator.leaks import leaky_conditions
from orchestrator.members import stitch
from orchestrator.run import Run
from trainers.loop import read_history
from trainers.lwlrap import lwlrap

__all__ = ["build_report", "print_report"]

BLEND_FIELDS = ("oof_lwlrap", "oof_lwlrap_nested", "uniform_oof_lwlrap", "paper_oof_lwlrap", "greedy_oof_lwlrap")


def build_report(run: Run) -> dict[str, Any]:
    """All scores that exist; those that don't are None. See `docs/design.md` for the form."""
    score = _read(run.folder / "score.json")
    conditions = [_condition(run, name, score) for name in run.recipe.conditions]
    blend = _blend(run)
    return {
        "grid": run.recipe.name,
        "complete": blend is not None and all(f["state"] == "done" for c in conditions for f in c["folds"]),
        "conditions": conditions,
        "blend": blend or {"members": [], "weights": [], **dict.fromkeys(BLEND_FIELDS)},
        "test": None if score is None else {key: score[key] for key in ("lwlrap", "public", "private")},
        "leaky": leaky_conditions(run.recipe, run.graph),
        "skipped": list(run.manifest.skipped),
    }


def _read(path: Path) -> Any:
    return read_json(path) if path.exists() else None


def _condition(run: Run, name: str, score: Any) -> dict[str, Any]:
    folds = []
    for fold in range(run.recipe.data.folds):
        node = run.graph.nodes[run.graph.train[name, fold]]
        history = [record["lwlrap"] for record in read_history(run.store.folder(node))]
        folds.append(
            {
                "fold": fold,
                "state": run.store.state(node).state,
                "best_lwlrap": max(history, default=None),
                "last_lwlrap": history[-1] if history else None,
            }
        )
    done = all(fold["state"] == "done" for fold in folds)
    return {
        "name": name,
        "folds": folds,
        "cv_lwlrap": float(np.mean([fold["best_lwlrap"] for fold in folds])) if done else None,
        "oof_lwlrap": _out_of_fold(run, name),
        "test_lwlrap": None if score is None else score["conditions"].get(name),
    }


def predictions_of(run: Run, name: str) -> list[Path] | None:
    """Folders of a condition's predictions, fold 0 first; None while one is missing."""
    nodes = [run.graph.nodes[run.graph.predict[name, fold]] for fold in range(run.recipe.data.folds)]
    return run.store.folders(nodes) if all(run.store.state(node).state == "done" for node in nodes) else None


def _out_of_fold(run: Run, name: str) -> float | None:
    """lwlrap of the mean of a condition's members on clips they did not train on."""
    folders = predictions_of(run, name)
    if folders is None:
        return None
    mean = stitch({name: folders}, run.manifest).oof.mean(axis=0)  # (N, C)
    return lwlrap(run.manifest.targets("curated"), mean)


def _blend(run: Run) -> dict[str, Any] | None:
    assert run.graph.blend is not None
    node = run.graph.nodes[run.graph.blend]
    if run.store.state(node).state != "done":
        return None
    raw = read_json(run.store.folder(node) / "blend.json")
    return {"members": raw["members"], "weights": raw["weights"], **{field: raw[field] for field in BLEND_FIELDS}}


def blended_test(run: Run) -> np.ndarray:
    """(T, C) blended scores of the test clips.

    Raises:
        StoreError: the blend is not done yet.
    """
    assert run.graph.blend is not None
    node = run.graph.nodes[run.graph.blend]
    if run.store.state(node).state != "done":
        raise StoreError(f"{run.folder}: the blend is not done yet; finish the grid with: sonogrid resume {run.folder}")
    return load_npy(run.store.folder(node) / "test.npy")


def print_report(report: dict[str, Any], console: Console) -> None:
    """Tables: conditions with their folds, then the blend."""
    table = Table(title=f"grid {report['grid']}: lwlrap", title_justify="left")
    table.add_column("condition")
    folds = max(len(condition["folds"]) for condition in report["conditions"])
    for fold in range(folds):
        table.add_column(f"fold {fold}", justify="right")
    for column in ("cv (best)", "out-of-fold", "test"):
        table.add_column(column, justify="right")
    for condition in report["conditions"]:
        cells = [
            _number(fold["best_lwlrap"]) if fold["state"] == "done" else fold["state"] for fold in condition["folds"]
        ]
        name = condition["name"] + (" (leaky)" if condition["name"] in report["leaky"] else "")
        scores = (condition["cv_lwlrap"], condition["oof_lwlrap"], condition["test_lwlrap"])
        table.add_row(name, *cells, *map(_number, scores))
    console.print(table)
    console.print(_blend_table(report))
    for sentence in report["skipped"]:
        console.print(f"skipped: {sentence}", highlight=False, markup=False)


def _blend_table(report: dict[str, Any]) -> Table:
    blend = report["blend"]
    leaky = " (leaky)" if "blend" in report["leaky"] else ""
    table = Table(title=f"blend{leaky}: {len(blend['members'])} members", title_justify="left")
    for column in ("weights", "out-of-fold", "test"):
        table.add_column(column, justify="left" if column == "weights" else "right")
    test = report["test"]["lwlrap"] if report["test"] else None
    table.add_row("tuned (in sample)", _number(blend["oof_lwlrap"]), _number(test))
    table.add_row("tuned on the other folds (honest)", _number(blend["oof_lwlrap_nested"]), "")
    table.add_row("uniform", _number(blend["uniform_oof_lwlrap"]), "")
    table.add_row("greedy", _number(blend["greedy_oof_lwlrap"]), "")
    if blend["paper_oof_lwlrap"] is not None:
        table.add_row("published", _number(blend["paper_oof_lwlrap"]), "")
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
