"""A search over settings, with the real jobs of a network that trains in a moment."""

from dataclasses import replace
from pathlib import Path

import pytest
from optuna import load_study
from optuna.trial import TrialState

from features.errors import GridError, InputError
from orchestrator import api
from orchestrator.grids.load import load_grid
from orchestrator.run.bound import Run
from orchestrator.run.execution import Execution
from orchestrator.search import SearchResult, SearchTrial, searched_recipe
from orchestrator.studies.record import continue_studies
from orchestrator.studies.storage import JOURNAL

GRID = """
name: quick
data: {folds: 2}
features: {mel: {sample_rate_hz: 16000, n_mels: 16, n_fft_samples: 512, hop_samples: 512, fmax_hz: 8000}}
defaults: {network: {kind: pooled}, crop: 16, batch_size: 8, cycles: 1, epochs: 2, predict: {pads: [0]}}
conditions:
  linear: {}
  other: {lr_max: 0.1}
"""
INLINE = Execution(executor="inline")


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("grid") / "quick.yaml"
    path.write_text(GRID)
    return path


def test_trials_are_nodes_that_are_computed_once(
    grid: Path, small_data: Path, tmp_path: Path, own_mlflow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, space = tmp_path / "search", ["lr_max=1e-3,1e-2"]
    found = api.search(grid, small_data, out, space=space, trials=3, execution=INLINE)
    assert found.condition == "linear"
    assert [trial.state for trial in found.trials] == ["done"] * 3, "the first few are never pruned"
    assert {trial.name for trial in found.trials} <= {"lr_max-1e-3", "lr_max-1e-2"}
    assert all(trial.folds == 2 for trial in found.trials)
    run = Run.open(out)
    assert run.recipe.name == "quick-search"
    kinds = [run.store.done(node).name for node in run.graph.nodes.values() if node.kind == "train"]
    assert len(kinds) == 2 * len({trial.name for trial in found.trials}), "equal settings are equal nodes"
    report = {row.name: row.oof_lwlrap for row in api.report(out).conditions}
    for trial in found.trials:
        assert report[trial.name] == pytest.approx(trial.lwlrap, abs=1e-6)
    with monkeypatch.context() as patch:  # what is done is only looked at
        patch.setattr("orchestrator.search.execute", lambda *_, **__: pytest.fail("something was run"))
        assert api.search(grid, small_data, out, space=space, trials=3, execution=INLINE) == found
    best = found.best
    assert best is not None
    plan = api.plan(
        grid, small_data, tmp_path / "run", only=["linear"], store=out / "store",
        settings=[f"conditions.linear.lr_max={best.settings['lr_max']}"],
    ).plan  # fmt: skip
    assert {planned.action for planned in plan.nodes} == {"cached"}, "a launch with the best settings has all nodes"


def test_a_trial_that_falls_behind_is_pruned_and_a_failed_one_is_recorded(
    grid: Path, small_data: Path, tmp_path: Path, own_mlflow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores by hand: what the pruner sees is not what a network of two epochs happens to reach."""
    scores = iter([0.5, 0.5] * 4 + [0.1])
    monkeypatch.setattr("orchestrator.search._score", lambda *_: next(scores))
    failures = iter([""] * 9 + ["the loss is nan", None])
    monkeypatch.setattr("orchestrator.search._Search._run", lambda *_: next(failures))
    arguments = {"space": ["lr_max=log:1e-4..1e-1"], "trials": 7, "execution": INLINE}
    found = api.search(grid, small_data, tmp_path, **arguments)  # type: ignore[arg-type]
    assert [trial.state for trial in found.trials] == ["done"] * 4 + ["pruned", "failed"]
    assert [trial.folds for trial in found.trials] == [2, 2, 2, 2, 1, 0]
    assert (found.trials[4].lwlrap, found.trials[5].lwlrap) == (0.1, None)
    assert found.stopped
    with continue_studies(tmp_path / JOURNAL, None, "") as studies:
        (known,) = studies.storage.get_all_studies()
        study = load_study(study_name=known.study_name, storage=studies.storage)
    assert study.user_attrs["condition"] == "linear"
    assert [trial.state for trial in study.trials[4:]] == [TrialState.PRUNED, TrialState.FAIL]
    assert study.trials[5].user_attrs["failed"] == "the loss is nan"
    assert study.trials[0].intermediate_values == {0: 0.5, 1: 0.5}


@pytest.mark.parametrize(
    ("space", "sentence"),
    [
        ("lr_mx=1e-3..1e-2", "lr_mx is not a field here; did you mean 'lr_max'"),
        ("epochs=0..4", "conditions.linear.epochs is 0"),
        ("loss=bce,nosuch", "conditions.linear.loss"),
    ],
)
def test_a_wrong_setting_is_named_before_anything_runs(
    grid: Path, small_data: Path, tmp_path: Path, space: str, sentence: str
) -> None:
    with pytest.raises(GridError, match=sentence) as error:
        api.search(grid, small_data, tmp_path / "out", space=[space], execution=INLINE)
    assert str(error.value).startswith("--space: ")
    assert not (tmp_path / "out" / "run.json").exists()


def test_a_part_of_the_grid_is_searched(grid: Path, tiny_grid: Path) -> None:
    recipe, name = searched_recipe(load_grid(str(tiny_grid)), "B")
    assert (name, recipe.name) == ("B", "tiny-search")
    assert set(recipe.conditions) == {"plain", "A", "B"}, "with what it starts from and its teacher"
    assert recipe.blend.trials == 0
    assert searched_recipe(load_grid(str(grid)), None)[1] == "linear"
    with pytest.raises(InputError, match="--condition lineal: the grid has no such condition; did you mean 'linear'"):
        searched_recipe(load_grid(str(grid)), "lineal")


def test_only_a_finished_trial_is_the_best() -> None:
    done = SearchTrial("a", {"lr_max": 1.0}, "done", 0.5, 2)
    found = SearchResult("A", (replace(done, state="pruned", lwlrap=0.9), done), stopped=False)
    assert found.best == done
    assert found.as_dict()["best"]["name"] == "a"
    assert SearchResult("A", (), stopped=True).best is None
