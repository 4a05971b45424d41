"""What is gained over the simple thing, and what is said where nothing is."""

from dataclasses import replace

import numpy as np
import pytest

from orchestrator.grids.ensembles import Member
from orchestrator.planning.seen import SeenClips
from orchestrator.report import gains, types
from orchestrator.report.scores import Predicted, Scores
from tests.fixtures.manifests import manifest_of
from trainers.lwlrap import lwlrap
from trainers.metrics import metrics_of

RNG = np.random.default_rng(0)
TRUTH = np.eye(6)[RNG.integers(6, size=120)]
GOOD, LINEAR, BLENDED = (TRUTH + RNG.normal(scale=scale, size=TRUTH.shape) for scale in (0.6, 0.9, 0.7))
OOF = Scores(TRUTH, {"good": GOOD, "linear": LINEAR, gains.BLEND: BLENDED}, np.arange(120) // 2)
TEST = Scores(None, {})
BLEND = replace(types.BlendReport(), oof_lwlrap_nested=OOF.lwlrap(gains.BLEND))


def condition(name: str) -> types.ConditionReport:
    return types.ConditionReport(
        name=name, features="mel", folds=(), cv_epoch="best", cv_lwlrap=None, published_cv_lwlrap=None,
        oof_lwlrap=OOF.lwlrap(name), interval=None, test_lwlrap=None,
    )  # fmt: skip


CONDITIONS = (condition("good"), condition("linear"))


def test_gains_are_paired_differences() -> None:
    good, linear = (gains.with_gains(one, "linear", "good", OOF, TEST) for one in CONDITIONS)
    assert good.over_best is None
    assert good.over_linear is not None
    assert good.over_linear.oof_difference == pytest.approx(lwlrap(TRUTH, GOOD) - lwlrap(TRUTH, LINEAR))
    assert good.over_linear.interval is not None
    assert good.over_linear.interval[0] > 0
    assert good.over_linear.test_difference is None
    assert linear.over_linear is None
    assert linear.over_best is not None
    assert linear.over_best.oof_difference == -good.over_linear.oof_difference


def test_the_blend_is_scored_by_weights_that_never_saw_the_fold() -> None:
    found = gains.blend_with_gains(BLEND, "linear", "good", OOF, TEST)
    assert found.nested_metrics == metrics_of(TRUTH, BLENDED)
    assert found.over_best is not None
    assert found.over_best.oof_difference == pytest.approx(lwlrap(TRUTH, BLENDED) - lwlrap(TRUTH, GOOD))
    assert gains.blend_with_gains(BLEND, None, "good", OOF, TEST).over_linear is None


def test_the_best_condition_is_not_a_leaky_one_if_another_is_left() -> None:
    assert gains.best_condition(CONDITIONS, []) == "good"
    assert gains.best_condition(CONDITIONS, ["good"]) == "linear"
    assert gains.best_condition(CONDITIONS, ["good", "linear"]) == "good"
    assert gains.best_condition([replace(one, oof_lwlrap=None) for one in CONDITIONS], []) is None


def test_a_useless_blend_is_said() -> None:
    blend = gains.blend_with_gains(BLEND, "linear", "good", OOF, TEST)
    (sentence,) = gains.warnings(CONDITIONS, blend, "linear", "good", 0.4, ())
    assert sentence.startswith("the blend is not better than its best condition: lwlrap 0.")
    assert " of good alone (-0.0" in sentence
    better = gains.blend_with_gains(BLEND, "linear", "linear", OOF, TEST)
    (sentence,) = gains.warnings(CONDITIONS, better, "linear", "linear", 0.4, ())
    assert sentence == "no condition is better than linear, a linear model on statistics of the spectrogram"
    assert gains.warnings(CONDITIONS, types.BlendReport(), None, None, 0.4, ()) == ()
    alone = (condition("linear"), replace(condition("good"), oof_lwlrap=None))
    assert gains.warnings(alone, types.BlendReport(), "linear", "linear", 0.4, ()) == ()


def test_members_below_chance_are_named_by_condition() -> None:
    members = [Member("D", cycle, "curated", 2) for cycle in (1, 2, 3)]
    scores = dict(zip(members, (0.31, 0.45, 0.29), strict=True))
    worse = gains.below_chance({"D": Predicted(GOOD, GOOD, scores)}, 0.4)
    assert [one.member.cycle for one in worse] == [1, 3]
    (sentence,) = gains.warnings(CONDITIONS, types.BlendReport(), None, "good", 0.4, worse)
    assert sentence == (
        "2 members of D are worse than random scores (lwlrap 0.290, chance 0.400): leave D out of members, or train it "
        "longer"
    )


def test_outside_data_competes_only_with_a_blend_that_has_it_too() -> None:
    assert gains.best_condition(CONDITIONS, [], ["good"]) == "linear"
    assert gains.best_condition(CONDITIONS, [], ["good", "blend"]) == "good"


def test_clips_that_an_encoder_has_seen_are_counted_and_named() -> None:
    seen: dict[str, SeenClips] = {"A": {"test": frozenset({"test-001.wav"})}}
    assert gains.seen_sentences(seen, manifest_of([0, 1])) == (
        "the encoder of A was trained on 1 of 2 test clips: test-001.wav",
    )
    assert gains.seen_sentences({}, manifest_of([0, 1])) == ()
