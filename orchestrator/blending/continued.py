"""More trials for a study of weights: by any sampler, by several processes at once.

A blend's job searches by itself, with results that are equal to the bit. Here people search on: a study begins with
the trials of that job (`orchestrator.tune`), and every process adds to it what it tries. The sampler works on a copy in
memory, which takes over the trials of other processes before each of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution

from orchestrator.blending.bagging import Bagged, Mixture
from orchestrator.blending.search import (
    Params,
    baselines,
    best_of,
    best_trial,
    mixture_of,
    space_of,
    value_of,
    weights_by_name,
)
from orchestrator.studies.record import Record, Tried
from orchestrator.studies.samplers import Sampler, make_sampler

__all__ = ["Continued", "continue_study"]


@dataclass(frozen=True)
class Continued:
    """A study after more trials."""

    study: str
    before: int
    """Trials that it had."""
    trials: int
    """Trials that it has now."""
    best: Tried
    baselines: dict[str, float]
    """Name -> lwlrap, on the same clips as that of the best trial."""
    mixture: Mixture
    """What the blend uses."""
    better: bool
    """Whether that is the best trial's: it is better than the default by three standard errors."""

    @property
    def gain(self) -> float:
        """How much more the best trial scores than the best baseline."""
        return self.best.value - max(self.baselines.values())


def continue_study(
    bagged: Bagged,
    groups: NDArray[np.int64],
    record: Record,
    members: Sequence[str],
    *,
    trials: int,
    sampler: Sampler,
    seed: Sequence[int],
) -> Continued:
    """Add trials to a study until it has enough of them.

    Args:
        bagged: the weights to mix.
        groups: (N,) group of each clip.
        record: the study.
        members: names of the members.
        trials: number of trials of the study, those before included. Other processes may add a few more.
        sampler: what proposes trials.
        seed: numbers that seed the sampler, together with the number of trials so far.

    Raises:
        StoreError: the database of the study fails.
    """
    space = space_of(bagged)

    def add(params: Params, value: float, about: dict[str, str]) -> list[Tried]:
        """Record a trial; returns those that other processes have added meanwhile."""
        record.add(params, space, value, {**about, "weights": weights_by_name(bagged, params, members)})
        return [trial for trial in record.refresh() if trial.params != params]

    record.refresh()
    before = len(record.tried)
    for name, params in baselines(space).items():
        if all(trial.about.get("baseline") != name for trial in record.tried):
            add(params, value_of(bagged, params), {"baseline": name})
    if len(record.tried) < trials:
        known = _frozen(record.tried, space)
        draws = int(np.random.default_rng([*seed, len(known)]).integers(2**31))
        study = optuna.create_study(direction="maximize", sampler=make_sampler(sampler, draws, known))
        study.add_trials(known)
        while len(record.tried) < trials:
            proposed = study.ask(space)
            value = value_of(bagged, proposed.params)
            study.tell(proposed, value)
            study.add_trials(_frozen(add(proposed.params, value, {"sampler": sampler}), space))
    best = best_trial(record.tried)
    found = {str(trial.about["baseline"]): trial.value for trial in record.tried if "baseline" in trial.about}
    wanted = mixture_of(best.params)
    mixture = best_of(bagged, groups, [wanted])
    return Continued(record.name, before, len(record.tried), best, found, mixture, better=mixture == wanted)


def _frozen(tried: Sequence[Tried], space: dict[str, BaseDistribution]) -> list[optuna.trial.FrozenTrial]:
    return [optuna.create_trial(params=trial.params, distributions=space, value=trial.value) for trial in tried]
