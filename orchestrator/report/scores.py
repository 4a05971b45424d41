"""Scores of conditions and ensembles, computed from the predictions in the store."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ValidationError

from features.errors import InputError, StoreError
from features.files import load_npy, read_json
from orchestrator.blending.members import Members, stitch
from orchestrator.blending.result import Blend
from orchestrator.grids.ensembles import Member, ensemble_members, ensemble_weights
from orchestrator.report.bootstrap import Bootstrap, interval
from orchestrator.report.types import Interval, TestScores
from orchestrator.run.bound import Run
from trainers.lwlrap import Lwlrap, lwlrap
from trainers.metrics import Metrics, metrics_of

__all__ = [
    "Predicted", "Scores", "blended_test", "classes_without_clips", "finished_blend", "known_labels",
    "mean_predictions", "nested_blend", "predictions_of", "require_test_clips", "scores_on_test",
]  # fmt: skip


class _TestLabels(BaseModel):
    clips: list[str]
    labels: list[list[str]]
    usage: list[str] | None


class _ScoreFile(BaseModel):
    """The part of score.json that is read back."""

    truth: _TestLabels


@dataclass(frozen=True)
class Predicted:
    """Mean predictions of a condition or an ensemble."""

    oof: np.ndarray
    """(N, C) of the curated clips, by folds that did not train on them."""
    test: np.ndarray
    """(T, C) of the test clips."""
    members: dict[Member, float] = field(default_factory=dict)
    """lwlrap of each member of a condition on the curated clips; empty for an ensemble."""


class Scores:
    """Scores of several predictions on one truth, with bootstrap intervals; None for unknown predictions.

    Args:
        truth: (N, C) labels; None if they are not known, and then nothing has a score.
        predictions: name -> (N, C) scores.
        groups: (N,) clips of one group are resampled together; None: each clip alone.
    """

    def __init__(
        self, truth: np.ndarray | None, predictions: Mapping[str, np.ndarray], groups: np.ndarray | None = None
    ) -> None:
        bootstrap = Bootstrap(truth, groups) if truth is not None and predictions else None
        self._scores = {name: bootstrap.score(scores) for name, scores in predictions.items()} if bootstrap else {}
        self._draws = {name: bootstrap.draws(scores) for name, scores in predictions.items()} if bootstrap else {}
        self._metrics = {} if truth is None else {name: metrics_of(truth, one) for name, one in predictions.items()}

    def lwlrap(self, name: str) -> float | None:
        """The score of a prediction."""
        return self._scores.get(name)

    def interval(self, name: str) -> Interval | None:
        """The 95 % interval of a score."""
        return interval(self._draws[name]) if name in self._draws else None

    def metrics(self, name: str) -> Metrics:
        """The scores beside lwlrap."""
        return self._metrics.get(name, Metrics())

    def difference(self, before: str, after: str) -> tuple[float | None, Interval | None]:
        """The score of `after` minus that of `before`, with its paired interval."""
        if before not in self._scores or after not in self._scores:
            return None, None
        return self._scores[after] - self._scores[before], interval(self._draws[after] - self._draws[before])


def predictions_of(run: Run, name: str) -> list[Path] | None:
    """Folders of a condition's predictions, fold 0 first; None until all are done."""
    nodes = [run.graph.nodes[run.graph.predict[name, fold]] for fold in range(run.recipe.data.folds)]
    done = all(run.store.state(node).state == "done" for node in nodes)
    return [run.store.results(node) for node in nodes] if done else None


def mean_predictions(run: Run) -> dict[str, Predicted]:
    """Mean predictions of every condition and ensemble whose jobs are all done, by name.

    A condition's is the mean of all its members. Only one condition's members are in memory at a time.
    """
    recipe = run.recipe
    metric = Lwlrap(run.manifest.targets("curated"))
    means: dict[str, Predicted] = {}
    sums: dict[str, list[Predicted]] = {name: [] for name in recipe.ensembles}
    for condition in recipe.conditions:
        folders = predictions_of(run, condition)
        if folders is None:
            continue
        found = stitch({condition: folders}, run.manifest)
        scores = {member: metric(one) for member, one in zip(found.members, found.oof, strict=True)}
        means[condition] = Predicted(found.oof.mean(axis=0), found.test.mean(axis=0), scores)
        for name, ensemble in recipe.ensembles.items():
            if condition in ensemble.members:
                sums[name].append(_part(found, run, name))
    for name, parts in sums.items():
        if len(parts) == len(recipe.ensembles[name].members):
            oof, test = sum(part.oof for part in parts), sum(part.test for part in parts)
            means[name] = Predicted(np.asarray(oof, np.float32), np.asarray(test, np.float32))
    return means


def _part(found: Members, run: Run, name: str) -> Predicted:
    """The share of one condition's members in an ensemble's mean."""
    ensemble = run.recipe.ensembles[name]
    members = ensemble_members(ensemble, run.recipe.conditions)
    by_member = dict(zip(members, ensemble_weights(ensemble, members), strict=True))
    weights = np.array([by_member.get(member, 0.0) for member in found.members])  # (M,)
    return Predicted(np.tensordot(weights, found.oof, 1), np.tensordot(weights, found.test, 1))


def nested_blend(run: Run) -> np.ndarray | None:
    """(N, C) scores of the curated clips, each fold blended with weights that were tuned without it.

    None until the blend is done, and for a blend of a version that did not write them.
    """
    assert run.graph.blend is not None
    node = run.graph.nodes[run.graph.blend]
    if run.store.state(node).state != "done":
        return None
    path = run.store.results(node) / "nested.npy"
    return load_npy(path) if path.exists() else None


def finished_blend(run: Run) -> Blend | None:
    """Members and weights; None until the blend is done."""
    assert run.graph.blend is not None
    node = run.graph.nodes[run.graph.blend]
    return Blend.read(run.store.results(node)) if run.store.state(node).state == "done" else None


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


def require_test_clips(run: Run) -> list[str]:
    """Names of the test clips.

    Raises:
        InputError: there are none.
    """
    clips: list[str] = run.manifest.subset("test")["clip"].tolist()
    if not clips:
        raise InputError(f"{run.data_root} has no test clips: add some and launch the grid again")
    return clips


def classes_without_clips(run: Run, truth: np.ndarray) -> tuple[str, ...]:
    """Classes that none of the clips with labels (N, C) has: scores of classes leave them out."""
    return tuple(run.manifest.classes[column] for column in np.flatnonzero(~(truth > 0).any(axis=0)))


def known_labels(run: Run) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Labels (T, C) and usage (T,) of the test clips, as last passed to `sonogrid score`.

    None if there are none, or if they belong to other clips or classes than the run now has.

    Raises:
        StoreError: score.json is damaged.
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


def scores_on_test(truth: np.ndarray, scores: np.ndarray, usage: np.ndarray | None) -> TestScores:
    """lwlrap of scores (T, C) on all test clips and on their public and private part, None where it is not known."""

    def part(name: str) -> float | None:
        chosen = np.zeros(len(truth), dtype=bool) if usage is None else usage == name  # (T,)
        return lwlrap(truth[chosen], scores[chosen]) if chosen.any() else None

    return TestScores(lwlrap(truth, scores), part("Public"), part("Private"))
