"""Scores of single classes and clips, against small cases that are counted by hand."""

from dataclasses import replace

import numpy as np
import pytest

from features.manifest import Manifest
from orchestrator.report.classes import class_reports, confusions, worst_clips
from tests.fixtures.manifests import manifest_of
from trainers.lwlrap import lwlrap

SCORES = np.array([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8], [0.4, 0.3, 0.3]])
"""Of Bark, Meow, Rain: b is taken for Meow, and d's Rain ties with Meow."""


@pytest.fixture
def manifest() -> Manifest:
    """Curated clips with the labels Bark; Bark; Rain; Rain and Bark. A noisy one with the label Bark."""
    made = manifest_of((0, 0, 1, 1), noisy=1, test=0)
    labels = [["Bark"], ["Bark"], ["Rain"], ["Rain", "Bark"], ["Bark"]]
    return replace(made, clips=made.clips.assign(labels=labels))


def test_the_classes_add_up_to_the_score(manifest: Manifest) -> None:
    found = class_reports(manifest, SCORES, None, None)
    assert [(one.name, one.curated, one.noisy) for one in found] == [("Bark", 3, 1), ("Meow", 0, 0), ("Rain", 2, 0)]
    assert found[1].oof_lwlrap is None
    assert found[1].interval is None
    total = sum((one.oof_lwlrap or 0) * one.curated for one in found) / 5
    assert total == pytest.approx(lwlrap(manifest.targets("curated"), SCORES))
    for one in (found[0], found[2]):
        assert one.interval is not None
        assert one.oof_lwlrap is not None
        assert one.interval[0] <= one.oof_lwlrap <= one.interval[1]


def test_test_clips_have_scores_of_their_own(manifest: Manifest) -> None:
    truth, scores = np.array([[1.0, 0, 0]]), np.array([[0.1, 0.9, 0]])
    found = class_reports(manifest, SCORES, SCORES, (truth, scores))
    assert [one.test_lwlrap for one in found] == [0.5, None, None]
    assert [one.best_oof_lwlrap for one in found] == [one.oof_lwlrap for one in found]


def test_confusions_count_clips_with_a_wrong_class_above_their_label(manifest: Manifest) -> None:
    found = confusions(manifest.classes, manifest.targets("curated"), SCORES)
    pairs = [(one.label, one.instead, one.clips, one.of) for one in found]
    assert pairs == [("Bark", "Meow", 1, 3), ("Rain", "Meow", 1, 2)]


def test_the_worst_clip_comes_first_and_perfect_ones_are_left_out(manifest: Manifest) -> None:
    found = worst_clips(manifest, SCORES)
    assert [(one.clip, one.first) for one in found] == [("curated-001.wav", "Meow"), ("curated-003.wav", "Bark")]
    assert found[0].precision == 0.5
