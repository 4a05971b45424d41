"""Scores of conditions and ensembles, computed from the predictions in the store."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ValidationError

from features.errors import StoreError
from features.files import load_npy, read_json
from orchestrator.blending.members import Members, stitch
from orchestrator.grids.ensembles import ensemble_members, ensemble_weights
from orchestrator.run.bound import Run
from orchestrator.views.bootstrap import Bootstrap, interval
from trainers.lwlrap import lwlrap

__all__ = [
    "Predicted", "Scores", "blended_test", "known_labels", "mean_predictions", "parts_of_test", "predictions_of",
]  # fmt: skip


class _TestLabels(BaseModel):
    clips: list[str]
    labels: list[list[str]]
    usage: list[str] | None


class _ScoreFile(BaseModel):
    """What is read back of score.json."""

    truth: _TestLabels


@dataclass(frozen=True)
class Predicted:
    """Mean predictions of a condition or an ensemble."""

    oof: np.ndarray
    """(N, C) of the curated clips, by folds that did not train on them."""
    test: np.ndarray
    """(T, C) of the test clips."""


class Scores:
    """lwlrap of several predictions on one truth, with bootstrap intervals over clips; None for those that lack.

    Args:
        truth: (N, C) labels.
        predictions: name -> (N, C) scores.
    """

    def __init__(self, truth: np.ndarray, predictions: Mapping[str, np.ndarray]) -> None:
        bootstrap = Bootstrap(truth) if predictions else None
        self._scores = {name: bootstrap.score(scores) for name, scores in predictions.items()} if bootstrap else {}
        self._draws = {name: bootstrap.draws(scores) for name, scores in predictions.items()} if bootstrap else {}

    def lwlrap(self, name: str) -> float | None:
        """The score itself."""
        return self._scores.get(name)

    def interval(self, name: str) -> list[float] | None:
        """[low, high] with 95 % confidence."""
        return interval(self._draws[name]) if name in self._draws else None

    def difference(self, before: str, after: str) -> tuple[float | None, list[float] | None]:
        """How much higher `after` scores than `before`, and the paired interval of that."""
        if before not in self._scores or after not in self._scores:
            return None, None
        return self._scores[after] - self._scores[before], interval(self._draws[after] - self._draws[before])


def predictions_of(run: Run, name: str) -> list[Path] | None:
    """Folders of a condition's predictions, fold 0 first; None while one is missing."""
    nodes = [run.graph.nodes[run.graph.predict[name, fold]] for fold in range(run.recipe.data.folds)]
    done = all(run.store.state(node).state == "done" for node in nodes)
    return [run.store.results(node) for node in nodes] if done else None


def mean_predictions(run: Run) -> dict[str, Predicted]:
    """Predictions of every condition (the mean of all its members) and every ensemble that are all there, by name.

    The members of one condition at a time are in memory.
    """
    recipe = run.recipe
    means: dict[str, Predicted] = {}
    sums: dict[str, list[Predicted]] = {name: [] for name in recipe.ensembles}
    for condition in recipe.conditions:
        folders = predictions_of(run, condition)
        if folders is None:
            continue
        found = stitch({condition: folders}, run.manifest)
        means[condition] = Predicted(found.oof.mean(axis=0), found.test.mean(axis=0))
        for name, ensemble in recipe.ensembles.items():
            if condition in ensemble.members:
                sums[name].append(_part(found, run, name))
    for name, parts in sums.items():
        if len(parts) == len(recipe.ensembles[name].members):
            oof, test = sum(part.oof for part in parts), sum(part.test for part in parts)
            means[name] = Predicted(np.asarray(oof, np.float32), np.asarray(test, np.float32))
    return means


def _part(found: Members, run: Run, name: str) -> Predicted:
    """What one condition's members add to an ensemble."""
    ensemble = run.recipe.ensembles[name]
    members = ensemble_members(ensemble, run.recipe.conditions)
    by_member = dict(zip(members, ensemble_weights(ensemble, members), strict=True))
    weights = np.array([by_member.get(member, 0.0) for member in found.members])  # (M,)
    return Predicted(np.tensordot(weights, found.oof, 1), np.tensordot(weights, found.test, 1))


def blended_test(run: Run) -> np.ndarray:
    """(T, C) blended scores of the test clips.

    Raises:
        StoreError: the blend is not done yet.
    """
    assert run.graph.blend is not None
    node = run.graph.nodes[run.graph.blend]
    if run.store.state(node).state != "done":
        raise StoreError(f"{run.folder}: the blend is not done yet; finish the grid with: sonogrid resume {run.folder}")
    return load_npy(run.store.results(node) / "test.npy")


def known_labels(run: Run) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Labels (T, C) and usage (T,) of the test clips, as `sonogrid score` was given them.

    None if it was not, or if they are of other clips or classes than the run now has.

    Raises:
        StoreError: the file that keeps them is damaged.
    """
    path = run.folder / "score.json"
    if not path.exists():
        return None
    try:
        truth = _ScoreFile.model_validate(read_json(path)).truth
        same = [len(truth.clips)] * 2 == [len(truth.labels), len(truth.usage or truth.clips)]
    except ValidationError:
        same = False
    if not same:
        raise StoreError(f"{path} is damaged: write it again with: sonogrid score {run.folder} --labels CSV")
    if truth.clips != run.manifest.subset("test")["clip"].tolist():
        return None
    column = {name: index for index, name in enumerate(run.manifest.classes)}
    if not {label for labels in truth.labels for label in labels} <= column.keys():
        return None
    targets = np.zeros((len(truth.clips), len(column)), dtype=np.float32)  # (T, C)
    for row, labels in zip(targets, truth.labels, strict=True):
        row[[column[label] for label in labels]] = 1.0
    return targets, np.array(truth.usage) if truth.usage else None


def parts_of_test(truth: np.ndarray, scores: np.ndarray, usage: np.ndarray | None) -> dict[str, float | None]:
    """lwlrap of scores (T, C) on all test clips and on their public and private part, None where it is not known."""
    parts: dict[str, float | None] = {"lwlrap": lwlrap(truth, scores)}
    for part in ("Public", "Private"):
        chosen = np.zeros(len(truth), dtype=bool) if usage is None else usage == part  # (T,)
        parts[part.lower()] = lwlrap(truth[chosen], scores[chosen]) if chosen.any() else None
    return parts
