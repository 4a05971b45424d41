"""Weights of a blend and their nested score."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from numpy.typing import NDArray
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from orchestrator.blending.bagging import Bagged, Mixture, bag_all
from orchestrator.blending.result import BlendResult
from orchestrator.blending.tune import tune_blend
from orchestrator.grids.recipe import BlendSettings
from tests.fixtures.members import draw
from trainers.lwlrap import lwlrap

SHORT = BlendSettings(trials=25, seed=4)


def trials_of(journal: Path) -> dict[str, list[tuple[Any, Any]]]:
    storage = JournalStorage(JournalFileBackend(str(journal)))
    studies = [optuna.load_study(study_name=name, storage=storage) for name in optuna.get_all_study_names(storage)]
    return {study.study_name: [(trial.params, trial.value) for trial in study.trials] for study in studies}


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[BlendResult, Path]:
    journal = tmp_path_factory.mktemp("tuned") / "made" / "blend.journal"
    return tune_blend(*draw(), SHORT, journal=journal, paper=[3, 4, 3, 1, 1]), journal


def test_weights_are_of_the_mixture_that_is_named(tuned: tuple[BlendResult, Path], tmp_path: Path) -> None:
    result, _ = tuned
    assert result.mixture in [asdict(Mixture()), asdict(Mixture(stacked=0.0))]
    assert tune_blend(*draw(), BlendSettings(trials=0, seed=4), journal=tmp_path / "journal").weights == result.weights
    oof, truth, folds = draw()
    parts = np.stack([np.ones(len(folds), dtype=bool), *(folds != fold for fold in range(4))])
    found = bag_all(oof, truth, np.arange(len(folds)), parts, seed=4)[0]
    expected = found.weights(Mixture(**result.mixture))  # type: ignore[arg-type]
    assert result.weights == pytest.approx(expected, abs=1e-12)


def test_clips_of_a_group_are_resampled_together(tmp_path: Path) -> None:
    oof, truth, folds = draw()
    alone = tune_blend(oof, truth, folds, BlendSettings(trials=0), journal=tmp_path / "alone")
    groups = np.arange(len(folds)) // 4
    together = tune_blend(oof, truth, folds, BlendSettings(trials=0), journal=tmp_path / "x", groups=groups)
    assert together.weights != alone.weights
    assert together.greedy_oof_lwlrap == alone.greedy_oof_lwlrap


def test_scores_are_lwlrap_of_the_blends(tuned: tuple[BlendResult, Path]) -> None:
    result, _ = tuned
    oof, truth, _ = draw()
    blended = np.tensordot(np.array(result.weights), oof, 1)
    assert result.oof_lwlrap == pytest.approx(lwlrap(truth, blended), abs=1e-9)
    assert result.uniform_oof_lwlrap == pytest.approx(lwlrap(truth, oof.mean(axis=0)), abs=1e-9)
    by_paper = np.tensordot(np.array([3, 4, 3, 1, 1.0]), oof, 1)
    assert result.paper_oof_lwlrap == pytest.approx(lwlrap(truth, by_paper), abs=1e-9)


def test_weights_are_normalised_and_not_negative(tuned: tuple[BlendResult, Path]) -> None:
    weights = np.array(tuned[0].weights)
    assert weights.shape == (5,)
    assert weights.sum() == pytest.approx(1.0, abs=1e-12)
    assert (weights >= 0).all()


def test_a_fold_is_scored_by_weights_that_never_saw_its_labels(tuned: tuple[BlendResult, Path], tmp_path: Path) -> None:
    oof, truth, folds = draw()
    truth[folds == 1] = np.roll(truth[folds == 1], 1, axis=1)
    other = tune_blend(oof, truth, folds, SHORT, journal=tmp_path / "journal", paper=[3, 4, 3, 1, 1])
    assert other.fold_weights[1] == pytest.approx(tuned[0].fold_weights[1], abs=1e-9)
    assert other.fold_weights[0] != pytest.approx(tuned[0].fold_weights[0], abs=1e-3)
    assert other.weights != pytest.approx(tuned[0].weights, abs=1e-3)


def test_nested_pools_the_held_out_labels(tuned: tuple[BlendResult, Path]) -> None:
    result, _ = tuned
    oof, truth, folds = draw()
    assert result.oof_lwlrap_nested == pytest.approx(lwlrap(truth, stitched(result, oof, folds)), abs=1e-9)


def stitched(result: BlendResult, oof: NDArray[np.float32], folds: NDArray[np.int64]) -> NDArray[np.float32]:
    """Each fold blended with the weights that were tuned without it."""
    blended = np.empty_like(oof[0])
    for fold, weights in enumerate(result.fold_weights):
        blended[folds == fold] = np.tensordot(np.array(weights), oof[:, folds == fold], 1)
    return blended


def test_equal_inputs_give_equal_bits_and_a_seed_matters(tuned: tuple[BlendResult, Path], tmp_path: Path) -> None:
    paper = [30.0, 40, 30, 10, 10]  # the scale is free
    assert tune_blend(*draw(), SHORT, journal=tmp_path / "again", paper=paper) == tuned[0]
    other = tune_blend(*draw(), BlendSettings(trials=25, seed=5), journal=tmp_path / "other", paper=paper)
    assert other.weights != tuned[0].weights


def test_finished_journal_is_only_read(tuned: tuple[BlendResult, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    result, journal = tuned
    before = trials_of(journal)
    assert [len(trials) for trials in before.values()] == [25] * 5  # all folds, and without each of four
    monkeypatch.setattr(optuna.Study, "ask", lambda *_: pytest.fail("a trial was asked for"))
    assert tune_blend(*draw(), SHORT, journal=journal, paper=[3, 4, 3, 1, 1]) == result
    assert trials_of(journal) == before


@pytest.mark.parametrize("scored_before", [15, 40])  # in the first study, and in the second
def test_interrupted_search_ends_as_if_it_had_not_been(
    tuned: tuple[BlendResult, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scored_before: int
) -> None:
    score, calls = Bagged.out_of_bag, 0

    def interrupted(bagged: Bagged, mixture: Mixture) -> NDArray[np.float64]:
        nonlocal calls
        calls += 1
        if calls > scored_before:
            raise KeyboardInterrupt
        return score(bagged, mixture)

    journal = tmp_path / "journal"
    with monkeypatch.context() as patch:
        patch.setattr(Bagged, "out_of_bag", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tune_blend(*draw(), SHORT, journal=journal, paper=[3, 4, 3, 1, 1])
    assert 0 < len(list(trials_of(journal).values())[-1]) < 25
    assert tune_blend(*draw(), SHORT, journal=journal, paper=[3, 4, 3, 1, 1]) == tuned[0]
    assert trials_of(journal) == trials_of(tuned[1])


def test_more_or_fewer_trials_share_a_journal(tmp_path: Path) -> None:
    def tune(trials: int, name: str) -> BlendResult:
        return tune_blend(*draw(3, clips=80), BlendSettings(trials=trials), journal=tmp_path / name)

    few = tune(10, "few")
    assert tune(25, "few") == tune(25, "many")
    assert tune(10, "many") == few


def test_other_inputs_share_a_journal_without_mixing(tmp_path: Path) -> None:
    settings = BlendSettings(trials=10)
    alone = tune_blend(*draw(3, clips=80, seed=1), settings, journal=tmp_path / "alone")
    tune_blend(*draw(3, clips=80, seed=2), settings, journal=tmp_path / "shared")
    assert tune_blend(*draw(3, clips=80, seed=1), settings, journal=tmp_path / "shared") == alone


def test_one_member_gets_all_the_weight(tmp_path: Path) -> None:
    oof, truth, folds = draw(1)
    result = tune_blend(oof, truth, folds, SHORT, journal=tmp_path / "journal")
    assert result.weights == (1.0,)
    expected = pytest.approx(lwlrap(truth, oof[0]), abs=1e-12)
    assert result.oof_lwlrap == expected
    assert result.oof_lwlrap_nested == expected
    assert result.paper_oof_lwlrap is None


@pytest.mark.parametrize("constant", [False, True])
def test_members_that_do_not_differ_have_the_score_of_one(tmp_path: Path, constant: bool) -> None:
    oof, truth, folds = draw(1, clips=80)
    same = np.repeat(np.full_like(oof, 0.5) if constant else oof, 3, axis=0)
    result = tune_blend(same, truth, folds, BlendSettings(trials=5), journal=tmp_path / "journal")
    assert sum(result.weights) == pytest.approx(1)
    assert result.oof_lwlrap == pytest.approx(lwlrap(truth, same[0]), abs=1e-12)


def test_a_fold_without_labels_does_not_matter(tmp_path: Path) -> None:
    oof, truth, folds = draw(2, clips=80)
    truth[folds == 3] = False
    result = tune_blend(oof, truth, folds, BlendSettings(trials=0), journal=tmp_path / "journal")
    assert 0 < result.oof_lwlrap_nested < 1


def test_wrong_inputs_are_refused(tmp_path: Path) -> None:
    oof, truth, folds = draw()
    journal = tmp_path / "journal"
    with pytest.raises(ValueError, match="shapes"):
        tune_blend(oof[:, 1:], truth, folds, SHORT, journal=journal)
    with pytest.raises(ValueError, match="shapes"):
        tune_blend(oof[:0], truth, folds, SHORT, journal=journal)
    with pytest.raises(ValueError, match="two folds"):
        tune_blend(oof, truth, np.zeros_like(folds), SHORT, journal=journal)
    for paper in ([1.0] * 4, [1.0, 1, 1, 1, -1], [0.0] * 5, [np.nan] * 5):
        with pytest.raises(ValueError, match="paper must hold 5 weights"):
            tune_blend(oof, truth, folds, SHORT, journal=journal, paper=paper)
    oof[2, 0, 0] = np.nan
    with pytest.raises(ValueError, match="member 2"):
        tune_blend(oof, truth, folds, SHORT, journal=journal)
    assert not journal.exists()


def used(result: BlendResult) -> NDArray[np.intp]:
    return np.flatnonzero(result.weights)


@pytest.mark.parametrize("budget", [4, 7, 8, 12, 19])
def test_a_budget_is_never_exceeded(tmp_path: Path, budget: int) -> None:
    oof, truth, folds = draw(6)
    result = tune_blend(oof, truth, folds, SHORT.model_copy(update={"budget": budget}), journal=tmp_path / "journal")
    assert len(used(result)) <= budget // 4
    assert result.predictions == 4 * len(used(result)) <= budget
    assert all(np.count_nonzero(weights) <= budget // 4 for weights in result.fold_weights)
    blended = np.tensordot(np.array(result.weights), oof, 1)
    assert result.oof_lwlrap == pytest.approx(lwlrap(truth, blended), abs=1e-9)


def test_a_budget_for_all_members_changes_nothing(tuned: tuple[BlendResult, Path], tmp_path: Path) -> None:
    settings = SHORT.model_copy(update={"budget": 1000})
    assert tune_blend(*draw(), settings, journal=tmp_path / "journal", paper=[3, 4, 3, 1, 1]) == tuned[0]
    assert tuned[0].predictions == 5 * 4


def test_a_budget_of_one_member_takes_the_best_single_one(tmp_path: Path) -> None:
    oof, truth, folds = draw()
    result = tune_blend(oof[::-1], truth, folds, BlendSettings(budget=4), journal=tmp_path / "journal")
    singles = [lwlrap(truth, member) for member in oof[::-1]]
    assert used(result).tolist() == [int(np.argmax(singles))]
    assert result.oof_lwlrap == pytest.approx(max(singles), abs=1e-12)


def test_a_budget_is_spent_better_than_by_chance(tmp_path: Path) -> None:
    oof, truth, folds = draw(12)
    result = tune_blend(oof, truth, folds, SHORT.model_copy(update={"budget": 12}), journal=tmp_path / "journal")
    rng = np.random.default_rng(0)
    chance = [lwlrap(truth, oof[rng.choice(12, size=3, replace=False)].mean(axis=0)) for _ in range(50)]
    assert result.oof_lwlrap > max(chance)
    assert result.oof_lwlrap_nested > np.mean(chance)


def test_seeds_beyond_the_budget_are_scored_but_not_taken(tmp_path: Path) -> None:
    oof, truth, folds = draw(1)
    rng = np.random.default_rng(2)
    noise = rng.normal(scale=0.3, size=(3, *truth.shape)).astype(np.float32)
    alike = oof + np.stack([noise[0], noise[1], -noise[0] - noise[1]])  # only their mean is free of the noise
    settings = BlendSettings(trials=10, budget=8)
    result = tune_blend(alike, truth, folds, settings, journal=tmp_path / "journal", paper=[1, 1, 1])
    assert result.uniform_oof_lwlrap == result.paper_oof_lwlrap == pytest.approx(lwlrap(truth, oof[0]), abs=1e-3)
    assert result.oof_lwlrap < result.uniform_oof_lwlrap
    assert len(used(result)) <= 2


def test_other_budgets_share_a_journal_without_mixing(tmp_path: Path) -> None:
    def tune(budget: int | None, name: str) -> BlendResult:
        settings = BlendSettings(trials=10, budget=budget)
        return tune_blend(*draw(5, clips=80), settings, journal=tmp_path / name)

    tune(None, "shared")
    tune(8, "shared")
    assert tune(12, "shared") == tune(12, "alone")


def test_a_budget_below_one_member_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="budget 3 is less than one member takes: 4 predictions"):
        tune_blend(*draw(), BlendSettings(budget=3), journal=tmp_path / "journal")
