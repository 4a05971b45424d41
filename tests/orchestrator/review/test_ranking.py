"""The ranking finds labels that were changed on purpose."""

from dataclasses import replace

import numpy as np
import pytest

from features.manifest import Manifest
from orchestrator.review.ranking import rank
from tests.fixtures.manifests import CLASSES, manifest_of

CLIPS, SPOILED = 90, 9


@pytest.fixture
def manifest() -> Manifest:
    return manifest_of([index % 2 for index in range(CLIPS)], noisy=0, test=0)


def spoiled(manifest: Manifest) -> tuple[Manifest, np.ndarray]:
    """The manifest with the first labels changed, and scores that know the true ones."""
    rng = np.random.default_rng(0)
    scores = 0.75 * manifest.targets("curated") + 0.2 * rng.random((CLIPS, len(CLASSES)))
    labels = manifest.clips["labels"].tolist()
    for row in range(SPOILED):
        labels[row] = [CLASSES[(row + 1) % len(CLASSES)]]
    return replace(manifest, clips=manifest.clips.assign(labels=labels)), scores


def test_changed_labels_come_first_and_the_true_ones_are_suggested(manifest: Manifest) -> None:
    other, scores = spoiled(manifest)
    suspects = rank(other, "curated", scores)
    assert len(suspects) == CLIPS
    assert {one.clip for one in suspects[:SPOILED]} == {f"curated-{row:03d}.wav" for row in range(SPOILED)}
    true = dict(zip(manifest.clips["clip"], manifest.clips["labels"], strict=True))
    for one in suspects[:SPOILED]:
        assert {*true[one.clip]} <= {*one.suggested}
        assert one.wrong in ((), one.labels)
    assert sum(one.wrong == one.labels for one in suspects[:SPOILED]) > SPOILED / 2
    assert not any(one.wrong or one.missing for one in suspects[SPOILED:])
    qualities = [one.quality for one in suspects]
    assert qualities == sorted(qualities)


def test_scores_of_labels_are_listed_beside_the_highest(manifest: Manifest) -> None:
    other, scores = spoiled(manifest)
    for one in rank(other, "curated", scores):
        assert set(one.labels) <= {name for name, _ in one.scores}
        assert one.scores == tuple(sorted(one.scores, key=lambda pair: -pair[1]))


@pytest.mark.parametrize("seed", range(5))
def test_no_suggestion_is_empty(manifest: Manifest, seed: int) -> None:
    scores = np.random.default_rng(seed).random((CLIPS, len(CLASSES)))
    for one in rank(manifest, "curated", scores):
        assert one.suggested
        assert len(set(one.suggested)) == len(one.suggested)
