"""Samplers propose trials that can be told to a study, and the same ones for the same seed."""

import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from orchestrator.studies.samplers import SAMPLERS, Sampler, make_sampler

SPACE: dict[str, BaseDistribution] = {"share": FloatDistribution(0, 1), "rounds": IntDistribution(1, 15)}


def earlier(number: int) -> list[FrozenTrial]:
    return [
        optuna.create_trial(params={"share": i / number, "rounds": 1 + i % 15}, distributions=SPACE, value=i / number)
        for i in range(number)
    ]


def proposed(kind: Sampler, seed: int, known: int, number: int = 12) -> list[float]:
    study = optuna.create_study(direction="maximize", sampler=make_sampler(kind, seed, earlier(known)))
    study.add_trials(earlier(known))
    found = []
    for _ in range(number):
        trial = study.ask(SPACE)
        study.tell(trial, trial.params["share"])
        found.append(trial.params["share"])
    return found


@pytest.mark.parametrize("kind", [kind for kind in SAMPLERS if kind != "gp"])
@pytest.mark.parametrize("known", [0, 5, 30])
def test_a_seed_decides_what_is_tried(kind: Sampler, known: int) -> None:
    assert proposed(kind, 1, known) == proposed(kind, 1, known)
    assert proposed(kind, 1, known) != proposed(kind, 2, known)


@pytest.mark.parametrize("kind", SAMPLERS)
def test_earlier_trials_lead_the_search(kind: Sampler) -> None:
    assert sum(proposed(kind, 1, 30, number=3)) / 3 > 0.6, "the largest shares were the best"
