"""Mean predictions and test labels of a real run."""

from pathlib import Path

import numpy as np
import pytest

from features.errors import InputError, StoreError
from features.files import load_npy, read_json, write_json
from features.manifest import Manifest
from orchestrator.report.labels import score_labels
from orchestrator.report.scores import (
    Scores,
    blended_test,
    known_labels,
    mean_predictions,
    predictions_of,
    require_test_clips,
    scores_on_test,
)
from orchestrator.run.bound import Run
from trainers.lwlrap import lwlrap


def test_a_conditions_prediction_is_the_mean_of_its_members(inline_run: Run) -> None:
    folders = predictions_of(inline_run, "D")
    assert folders is not None
    parts = [load_npy(folder / "test.npy") for folder in folders]  # (cycles, heads, pads, T, C) each
    expected = np.mean([part.mean(axis=(0, 1, 2)) for part in parts], axis=0)
    assert mean_predictions(inline_run)["D"].test == pytest.approx(expected, abs=1e-6)


def test_missing_predictions_are_none_and_a_missing_blend_is_an_error(copy: Run) -> None:
    assert copy.graph.blend is not None
    copy.store.forget(copy.graph.nodes[copy.graph.predict["D", 0]])
    copy.store.forget(copy.graph.nodes[copy.graph.blend])
    assert predictions_of(copy, "D") is None
    assert "D" not in mean_predictions(copy)
    with pytest.raises(StoreError, match="finish the grid with: sonogrid resume"):
        blended_test(copy)


def test_parts_of_the_test_clips_have_their_own_scores() -> None:
    rng = np.random.default_rng(0)
    truth = np.eye(4)[rng.integers(4, size=40)]
    scores = truth + rng.normal(size=truth.shape)
    usage = np.array(["Public"] * 10 + ["Private"] * 30)
    found = scores_on_test(truth, scores, usage)
    assert found.lwlrap == lwlrap(truth, scores)
    assert found.public == lwlrap(truth[:10], scores[:10])
    assert found.private == lwlrap(truth[10:], scores[10:])
    unknown = scores_on_test(truth, scores, None)
    assert (unknown.public, unknown.private) == (None, None)


def test_labels_are_known_once_they_were_scored_and_only_for_the_same_clips(copy: Run, small_data: Path) -> None:
    path = copy.folder / "score.json"
    path.unlink(missing_ok=True)
    assert known_labels(copy) is None
    score_labels(copy, small_data / "test_labels.csv")
    known = known_labels(copy)
    assert known is not None
    assert known[0].shape == (len(require_test_clips(copy)), len(copy.manifest.classes))
    kept = read_json(path)
    write_json(path, {**kept, "truth": {**kept["truth"], "clips": kept["truth"]["clips"][::-1]}})
    assert known_labels(copy) is None
    write_json(path, {**kept, "truth": {**kept["truth"], "labels": []}})
    with pytest.raises(StoreError, match=r"score\.json is damaged"):
        known_labels(copy)


def test_a_dataset_without_test_clips_is_an_error(inline_run: Run) -> None:
    clips = inline_run.manifest.clips
    manifest = Manifest(clips[clips["subset"] != "test"], inline_run.manifest.classes)
    run = Run(inline_run.folder, inline_run.recipe, inline_run.data_root, inline_run.store, manifest)
    with pytest.raises(InputError, match="has no test clips"):
        require_test_clips(run)


def test_without_labels_nothing_has_a_score() -> None:
    found = Scores(None, {"a": np.ones((3, 2))})
    assert found.lwlrap("a") is None
    assert found.interval("a") is None
    assert found.difference("a", "a") == (None, None)
