"""More trials for a study of weights."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from orchestrator.blending.bagging import Bagged, Mixture, bag_all
from orchestrator.blending.continued import Continued, continue_study
from orchestrator.studies.record import Record, Studies, continue_studies
from orchestrator.studies.samplers import SAMPLERS, Sampler
from tests.fixtures.members import draw

CLIPS = 80
NAMES = [f"A cycle {number}" for number in range(4)]
BASELINES = ["default", "bagged greedy", "greedy", "stacking", "uniform"]


@pytest.fixture(scope="module")
def bagged() -> Bagged:
    oof, truth, _ = draw(4, clips=CLIPS)
    return bag_all(oof, truth, np.arange(CLIPS), np.ones((1, CLIPS), dtype=bool), seed=1)[0]


def more(
    bagged: Bagged,
    record: Record,
    trials: int,
    sampler: Sampler = "tpe",
    seed: Sequence[int] = (42,),
) -> Continued:
    return continue_study(
        bagged, np.arange(CLIPS), record, NAMES, trials=trials, sampler=sampler, seed=seed
    )  # fmt: skip


def studies_of(folder: Path) -> Studies:
    with continue_studies(folder / "journal", None, "tiny") as studies:
        return studies


def test_baselines_come_first_and_trials_are_continued(bagged: Bagged, tmp_path: Path) -> None:
    record = studies_of(tmp_path).open("all folds")
    first = more(bagged, record, 8)
    assert [trial.about.get("baseline") for trial in record.tried] == [*BASELINES, None, None, None]
    assert (first.before, first.trials) == (0, 8)
    again = more(bagged, studies_of(tmp_path).open("all folds"), 11)
    assert (again.before, again.trials, list(again.baselines)) == (8, 11, BASELINES)
    assert again.baselines == first.baselines
    third = more(bagged, studies_of(tmp_path).open("all folds"), 11)
    assert (third.before, third.trials) == (11, 11)
    assert third.best == again.best
    assert third.mixture in (Mixture(), Mixture(stacked=0.0))
    assert not third.better


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_adds_trials_that_are_named(bagged: Bagged, tmp_path: Path, sampler: Sampler) -> None:
    record = studies_of(tmp_path).open("all folds")
    more(bagged, record, 7)
    more(bagged, record, 9, sampler)
    assert [trial.about.get("sampler") for trial in record.tried[5:]] == ["tpe", "tpe", sampler, sampler]
    for trial in record.tried:
        assert sum(trial.about["weights"].values()) == pytest.approx(1, abs=1e-3)
        assert set(trial.about["weights"]) <= set(NAMES)


def test_one_process_alone_can_be_repeated_and_two_differ(bagged: Bagged, tmp_path: Path) -> None:
    found = [studies_of(tmp_path).open(name) for name in ("first", "second", "other")]
    for record, seed in zip(found, [(42,), (42,), (42, 7)], strict=True):
        more(bagged, record, 9, seed=seed)
    first, second, other = ([trial.params for trial in record.tried[5:]] for record in found)
    assert first == second
    assert first != other


def test_what_another_process_adds_is_taken_over(bagged: Bagged, tmp_path: Path) -> None:
    mine, theirs = studies_of(tmp_path).open("all folds"), studies_of(tmp_path).open("all folds")
    more(bagged, theirs, 7, seed=(1,))
    found = more(bagged, mine, 9, seed=(2,))
    assert (found.before, found.trials) == (7, 9)
    assert len(theirs.refresh()) == 2
    assert theirs.tried == mine.tried


def test_a_clear_gain_is_used(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    truth = np.eye(10, dtype=bool)[rng.integers(10, size=300)]
    oof = (truth + rng.normal(scale=4, size=(60, 300, 10))).astype(np.float32)  # equal members: their mean is best
    members = bag_all(oof, truth, np.arange(300), np.ones((1, 300), dtype=bool), seed=1)[0]
    record = studies_of(tmp_path).open("all folds")
    found = continue_study(
        members, np.arange(300), record, list(map(str, range(60))), trials=8, sampler="tpe", seed=[1]
    )  # fmt: skip
    assert found.better
    assert found.mixture.uniform > 0.5
    assert found.gain == found.best.value - max(found.baselines.values())
