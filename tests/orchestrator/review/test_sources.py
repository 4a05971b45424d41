"""Labels are judged by networks that have not seen them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from orchestrator.grids.load import load_grid
from orchestrator.report.scores import nested_blend
from orchestrator.review.sources import judgements, learned_from_noisy
from orchestrator.run.bound import Run
from orchestrator.tagger.tagger import Tagger


def changed(run: Run, grid: Path, *changes: str) -> Run:
    recipe = load_grid(str(grid), changes)
    return Run(run.folder, recipe, run.data_root, run.store, run.manifest)


def test_noisy_labels_are_learned_by_multitask_and_pass_on(inline_run: Run, tiny_grid: Path) -> None:
    assert learned_from_noisy(inline_run.graph) == {"A", "B"}, "A is multitask, B learns from A's labels"
    plain_a = (
        "conditions.A.multitask=false", "conditions.A.predict.heads=[curated]", "ensembles={}", "comparisons={}",
        "published={}", "conditions.B.multitask=false",
    )  # fmt: skip
    started = changed(inline_run, tiny_grid, *plain_a)
    assert learned_from_noisy(started.graph) == set(), "soft labels alone hold none"
    own = changed(inline_run, tiny_grid, *plain_a, "conditions.B.pseudo.own_label=2.0")
    assert learned_from_noisy(own.graph) == {"B"}, "a clip's own label counts"


def test_noisy_clips_are_predicted_by_the_best_clean_condition(inline_run: Run) -> None:
    curated, noisy = judgements(inline_run)
    assert curated.scores is not None
    np.testing.assert_array_equal(curated.scores, nested_blend(inline_run))
    name = noisy.words.split(":")[0].removeprefix("Judged by ")
    assert name in ("plain", "D")
    paths = [inline_run.data_root / path for path in inline_run.manifest.subset("noisy")["path"]]
    assert noisy.scores is not None
    np.testing.assert_allclose(noisy.scores, Tagger.load(inline_run.folder, condition=name).scores(paths))


def test_a_leaky_blend_judges_nothing(inline_run: Run) -> None:
    run = replace(inline_run)
    run.__dict__["leaky"] = ["A", "B", "plain", "blend"]
    curated, _ = judgements(run)
    assert curated.words.startswith("Judged by D: each clip by the networks that held out its fold")
    run.__dict__["leaky"] = ["A", "B", "D", "plain", "blend"]
    assert judgements(run)[0].scores is None


def test_without_a_clean_condition_noisy_labels_are_not_judged(
    inline_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.review.sources.learned_from_noisy", lambda graph: {"plain", "A", "B", "D"})
    noisy = judgements(inline_run)[1]
    assert noisy.scores is None
    assert "Add one without multitask" in noisy.words
