"""Tuning the blend of a run again."""

import pytest

from features.errors import InputError, StoreError
from orchestrator.run.bound import Run
from orchestrator.store.marks import DoneMark
from orchestrator.tune import tune_again


def test_the_same_settings_return_the_blend_that_is_there(copy: Run) -> None:
    first = tune_again(copy.folder, None)
    assert tune_again(copy.folder, None) == first
    assert first.as_dict()["leaky"] is first.leaky


def test_a_budget_limits_the_predictions(copy: Run) -> None:
    tuned = tune_again(copy.folder, 3, budget=2)
    assert tuned.blend.result.predictions <= 2
    assert Run.open(copy.folder).recipe.blend.budget == 2


@pytest.mark.parametrize(("trials", "budget", "words"), [(0, None, "--trials 0"), (None, 1, "--budget 1")])
def test_too_little_is_refused(inline_run: Run, trials: int | None, budget: int | None, words: str) -> None:
    with pytest.raises(InputError, match=words):
        tune_again(inline_run.folder, trials, budget)


def test_missing_predictions_are_named(copy: Run) -> None:
    node = copy.graph.nodes[copy.graph.predict["D", 1]]
    copy.store.drop_marks(copy.store.name(node), DoneMark)
    with pytest.raises(StoreError, match="predict-D-1 is not done yet; finish the grid"):
        tune_again(copy.folder, None)
