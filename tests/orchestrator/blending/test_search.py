"""The search for a mixture of selections."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from orchestrator.blending.bagging import Bagged, Mixture, bag_all
from orchestrator.blending.contest import Floats
from orchestrator.blending.search import choose
from orchestrator.grids.recipe import BlendSettings, MixtureSettings
from orchestrator.studies.record import open_studies
from tests.fixtures.members import draw

CLIPS = 300


def alike(published: Floats | None = None) -> Bagged:
    """Sixty members of the same worth, whose mean is far better than any selection of 15."""
    rng = np.random.default_rng(0)
    truth = np.eye(10, dtype=bool)[rng.integers(10, size=CLIPS)]
    oof = (truth + rng.normal(scale=4, size=(60, CLIPS, 10))).astype(np.float32)
    everything = np.ones((1, CLIPS), dtype=bool)
    return bag_all(oof, truth, np.arange(CLIPS), everything, seed=1, published=published)[0]


def chosen(bagged: Bagged, trials: int, folder: Path) -> Mixture:
    with open_studies(folder / "journal", "inputs", None, "") as studies:
        groups = np.arange(len(np.unique(bagged.contest.clips)))
        return choose(bagged, groups, BlendSettings(trials=trials), studies, "all folds")


def test_what_is_clearly_better_is_chosen(tmp_path: Path) -> None:
    found = chosen(alike(), 10, tmp_path)
    assert found.uniform > 0.5
    assert chosen(alike(), 0, tmp_path) == Mixture()


def test_what_may_be_luck_is_not(tmp_path: Path) -> None:
    oof, truth, _ = draw(6, clips=80)
    bagged = bag_all(oof, truth, np.arange(80), np.ones((1, 80), dtype=bool), seed=1)[0]
    assert chosen(bagged, 30, tmp_path) == Mixture()


def test_trials_have_names_and_begin_with_the_baselines(tmp_path: Path) -> None:
    bagged = alike(published=np.arange(60.0))
    chosen(bagged, 8, tmp_path)
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "journal")))
    trials = optuna.load_study(study_name="inputs all folds", storage=storage).trials
    names = [trial.user_attrs.get("baseline") for trial in trials]
    assert names == ["default", "bagged greedy", "greedy", "stacking", "uniform", "published", None, None]
    baselines = (
        Mixture(),
        Mixture(stacked=0.0),
        Mixture(bags=1, stacked=0.0),
        Mixture(stacked=1.0),
        Mixture(stacked=0.0, uniform=1.0),
        Mixture(stacked=0.0, published=1.0),
    )
    for trial, mixture in zip(trials, baselines, strict=False):
        assert trial.value == bagged.out_of_bag(mixture).mean()
    assert "weights" not in trials[0].user_attrs  # members have no names here
    shares = {f"share of {part} weights" for part in ("stacked", "uniform", "published")}
    assert set(trials[0].params) == {"bags", "rounds", *shares}


def test_trials_have_the_weights_by_member(tmp_path: Path) -> None:
    bagged = alike()
    names = [f"A cycle {number}" for number in range(60)]
    with open_studies(tmp_path / "journal", "inputs", None, "") as studies:
        groups = np.arange(len(np.unique(bagged.contest.clips)))
        choose(bagged, groups, BlendSettings(trials=5), studies, "all folds", names)
        uniform = next(trial for trial in studies.open("all folds").tried if trial.about.get("baseline") == "uniform")
        study = optuna.load_study(study_name="inputs all folds", storage=studies.storage)
    assert uniform.about["weights"] == dict.fromkeys(names, round(1 / 60, 4))
    assert study.metric_names == ["lwlrap of clips that the weights never saw"]


def test_what_was_found_before_is_used_where_it_is_better(tmp_path: Path) -> None:
    bagged, groups = alike(), np.arange(CLIPS)
    found = MixtureSettings(bags=20, rounds=15, stacked=0.5, uniform=0.9)
    with open_studies(tmp_path / "journal", "inputs", None, "") as studies:
        for name, expected in (("all folds", Mixture(uniform=0.9)), ("without fold 0", Mixture())):
            settings = BlendSettings(trials=10, mixtures={"all folds": found})
            assert choose(bagged, groups, settings, studies, name) == expected
        assert studies.storage.get_all_studies() == [], "nothing is searched"
        worse = BlendSettings(mixtures={"all folds": found.model_copy(update={"bags": 1, "uniform": 0.0})})
        assert choose(bagged, groups, worse, studies, "all folds") == Mixture()


def test_bagged_greedy_alone_is_used_where_it_is_better(tmp_path: Path) -> None:
    oof, truth, _ = draw(6, clips=CLIPS)
    found = bag_all(oof, truth, np.arange(CLIPS), np.ones((1, CLIPS), dtype=bool), seed=1)[0]
    assert chosen(found, 0, tmp_path) == Mixture()
    worst = np.zeros_like(found.stacked_on_bags)
    worst[:, 5] = 1.0  # as if stacking had gone wrong
    assert chosen(replace(found, stacked_on_bags=worst), 0, tmp_path) == Mixture(stacked=0.0)
