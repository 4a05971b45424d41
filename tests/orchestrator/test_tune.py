"""Tuning the blend of a run again."""

import subprocess
import sys
from pathlib import Path

import pytest
from optuna import get_all_study_names, load_study
from optuna_dashboard import get_note

from features.errors import InputError, StoreError
from features.files import read_json
from orchestrator.run.bound import Run
from orchestrator.store.marks import DoneMark
from orchestrator.studies.record import continue_studies
from orchestrator.studies.storage import JOURNAL
from orchestrator.tune import TunedAgain, tune_again

NAMES = ("all folds", "without fold 0", "without fold 1")


def names_and_trials(tuned: TunedAgain) -> list[tuple[str, int, int]]:
    return [(one.study.rpartition(" blend ")[0], one.before, one.trials) for one in tuned.studies]


def test_a_search_continues_the_trials_of_the_blend(copy: Run) -> None:
    blend = copy.graph.blend
    said: list[str] = []
    first = tune_again(copy.folder, 7, say=said.append)
    assert said == [f"{name}: continues 5 trials, up to 7 by tpe" for name in NAMES]
    assert names_and_trials(first) == [("tiny", 5, 7)] * 3
    assert not first.changed
    assert Run.open(copy.folder).graph.blend == blend, "a result that is done stays"
    again = tune_again(copy.folder, 9, sampler="cmaes")
    assert names_and_trials(again) == [("tiny", 7, 9)] * 3
    third = tune_again(copy.folder, None)
    assert names_and_trials(third) == [("tiny", 9, 9)] * 3
    assert third.blend == first.blend
    assert third.as_dict()["leaky"] is third.leaky
    assert third.as_dict()["studies"][0]["baselines"] == again.studies[0].baselines


def test_a_study_explains_itself(copy: Run) -> None:
    tuned = tune_again(copy.folder, 7)
    assert tuned.where == str(copy.folder / JOURNAL)
    with continue_studies(copy.folder / JOURNAL, None, "") as studies:
        study = load_study(study_name=tuned.studies[0].study, storage=studies.storage)
    assert study.user_attrs["grid"] == "tiny"
    assert study.user_attrs["RUN"] == str(copy.folder)
    assert study.user_attrs["data"] == str(copy.data_root)
    assert "# Weights of the blend, all folds" in get_note(study)
    baselines = [trial.user_attrs.get("baseline") for trial in study.trials]
    assert baselines[:6] == ["default", "bagged greedy", "greedy", "stacking", "uniform", "published"]
    members = {str(member) for member in tuned.blend.members}
    assert set(study.trials[4].user_attrs["weights"]) == members
    assert [trial.user_attrs.get("sampler") for trial in study.trials] == [None] * 6 + ["tpe"]


def test_a_clear_gain_becomes_a_node_of_its_own(copy: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = copy.store.results(copy.graph.nodes[str(copy.graph.blend)])
    content = (before / "blend.json").read_bytes()
    monkeypatch.setattr("orchestrator.blending.search.SURE", -100.0)  # any trial is good enough
    monkeypatch.setattr("orchestrator.blending.search.SIMPLER", 100.0)
    tuned = tune_again(copy.folder, 12)
    assert tuned.changed
    run = Run.open(copy.folder)
    assert run.graph.blend != copy.graph.blend
    assert set(run.recipe.blend.mixtures) == set(NAMES)
    assert tuned.blend.result.mixture == run.recipe.blend.mixtures["all folds"].model_dump()
    assert read_json(copy.folder / "report.json")["blend"]["weights"] == list(tuned.blend.result.weights)
    assert (before / "blend.json").read_bytes() == content
    assert not tune_again(copy.folder, 12).changed


@pytest.mark.long
def test_processes_search_at_once_in_a_database(copy: Run, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'tune.db'}"
    command = [sys.executable, "-m", "orchestrator.cli", "tune", copy.folder, "--storage", url, "--trials", "30"]
    ones = [subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    outputs = [one.communicate(timeout=300) for one in ones]
    assert [one.returncode for one in ones] == [0, 0], outputs
    names = get_all_study_names(url)
    assert len(names) == 3
    for name in names:
        trials = load_study(study_name=name, storage=url).trials
        assert 30 <= len(trials) <= 31 + 5
        tried = [str(sorted(trial.params.items())) for trial in trials if "sampler" in trial.user_attrs]
        assert len(set(tried)) == len(tried), "both tried the same"
    assert not (copy.folder / JOURNAL).exists()


def test_a_budget_that_stays_is_said(copy: Run) -> None:
    said: list[str] = []
    assert tune_again(copy.folder, 3, budget=2, say=said.append).changed
    assert not any("at most" in sentence for sentence in said)
    tuned = tune_again(copy.folder, 3, say=said.append)
    assert said[-4] == "at most 2 predictions, as set before; --budget K changes it"
    assert tuned.budget == 2
    assert not tuned.changed


def test_a_sampler_that_is_not_there_is_refused(copy: Run) -> None:
    with pytest.raises(InputError, match="--sampler cmae: there is no such sampler; did you mean 'cmaes'"):
        tune_again(copy.folder, 7, sampler="cmae")


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
