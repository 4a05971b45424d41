"""Labels of a student by the mean of its teachers, and how a training uses them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from trainers.distill import curated_labels, mean_of_teachers, noisy_labels
from trainers.history import read_history
from trainers.loop import TrainJob, train
from trainers.pseudo import own_label_factors

RNG = np.random.default_rng(0)


def test_each_condition_counts_alike_whatever_its_number_of_predictions() -> None:
    many, one = RNG.random((4, 1, 3, 5, 2)), RNG.random((1, 1, 1, 5, 2))
    expected = (many.mean(axis=(0, 1, 2)) + one[0, 0, 0]) / 2
    np.testing.assert_allclose(mean_of_teachers([many.astype(np.float32), one]), expected, rtol=1e-6)


def test_curated_labels_are_between_their_own_and_the_teachers() -> None:
    own, scores = np.eye(3), RNG.random((3, 3))
    np.testing.assert_allclose(curated_labels(own, scores, 0.25), 0.75 * own + 0.25 * scores, rtol=1e-6)
    np.testing.assert_allclose(curated_labels(own, scores, 1.0), scores, rtol=1e-6)


def test_the_own_label_of_a_noisy_clip_multiplies_the_odds_of_its_class() -> None:
    own, scores = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[0.5, 0.2], [1.0, 0.0]])
    labels = noisy_labels(scores, own_label_factors(own, 9.0))
    np.testing.assert_allclose(labels, [[0.9, 0.2], [1.0, 0.0]], rtol=1e-6)
    np.testing.assert_allclose(noisy_labels(scores, own_label_factors(own, 1.0)), scores, rtol=1e-6)


def test_a_student_is_trained_by_its_labels_and_validated_by_the_clips_own(
    make_job: Callable[..., TrainJob], tmp_path: Path
) -> None:
    job = make_job(network={"kind": "pooled", "activation": "softmax"}, loss="kl", augment={}, epochs=30, lr_max=0.05)
    wrong = np.roll(job.curated.targets, 1, axis=1)
    relabelled = replace(job, curated=replace(job.curated, targets=wrong))
    jobs = {"own": job, "taught": replace(job, curated_labels=wrong), "relabelled": relabelled}
    found = {}
    for name, each in jobs.items():
        train(each, tmp_path / name)
        found[name] = [(record["loss_curated"], record["lwlrap"]) for record in read_history(tmp_path / name)]
    losses = {name: [loss for loss, _ in records] for name, records in found.items()}
    scores = {name: [score for _, score in records] for name, records in found.items()}
    assert losses["taught"] == losses["relabelled"] != losses["own"]
    assert scores["taught"] != scores["relabelled"], "the same network, scored by other labels"
