"""How weights are mixed: a simple rule, and Optuna's search for something better.

A mixture is worth the lwlrap of clips that its weights never saw (out of bag). The rule: half bagged greedy selection
and half bagged stacking, unless bagged greedy selection alone is better by one standard error of their difference. On
few clips it seldom is, on many it may be. Optuna then tries other mixtures. The baselines come first: the default,
bagged greedy selection, one selection, stacking, uniform and published weights. The best trial is used only if it is
better by three standard errors: on few clips, the best of many trials is lucky more often than it is better.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from orchestrator.blending.about import about_study
from orchestrator.blending.bagging import BAGS, ROUNDS, Bagged, Mixture
from orchestrator.blending.contest import Floats
from orchestrator.grids.recipe import BlendSettings
from orchestrator.studies.record import Studies, Tried

__all__ = [
    "Params", "baselines", "best_of", "best_trial", "can_search", "choose", "mixture_of", "space_of", "value_of",
    "weights_by_name",
]  # fmt: skip

SIMPLER = 1.0
"""Standard errors by which bagged greedy selection alone must be better than the default."""
SURE = 3.0
"""Standard errors by which the best trial must be better."""

Params = Mapping[str, float]

SPACE: dict[str, BaseDistribution] = {
    "bags": IntDistribution(1, BAGS, step=BAGS - 1),  # one selection on all clips, or all bags: some are never better
    "rounds": IntDistribution(1, ROUNDS),
    "share of stacked weights": FloatDistribution(0, 1),
    "share of uniform weights": FloatDistribution(0, 1),
}
PUBLISHED: dict[str, BaseDistribution] = {"share of published weights": FloatDistribution(0, 1)}


def choose(
    bagged: Bagged,
    groups: NDArray[np.int64],
    settings: BlendSettings,
    studies: Studies,
    name: str,
    members: Sequence[str] = (),
) -> Mixture:
    """The mixture to use: the default, or what is better on clips that weights never saw.

    Args:
        bagged: the weights to mix.
        groups: (N,) group of each clip.
        settings: number of trials, seed; or mixtures that were found before, which are not searched again.
        studies: where trials are recorded. Those that are there are not run again.
        name: of the study.
        members: names of the members, for people who look at the study.
    """
    if not can_search(bagged):
        return Mixture()
    if settings.mixtures:
        given = settings.mixtures.get(name)
        return best_of(bagged, groups, [] if given is None else [Mixture(**given.model_dump())])
    if settings.trials == 0:
        return best_of(bagged, groups, [])
    return best_of(bagged, groups, [mixture_of(_search(bagged, settings, studies, name, members))])


def can_search(bagged: Bagged) -> bool:
    """Whether there are several members, and clips that can tell which mixture of them is better."""
    return bool(bagged.scored.any()) and len(bagged.uniform) > 1


def best_of(bagged: Bagged, groups: NDArray[np.int64], found: Sequence[Mixture]) -> Mixture:
    """The first of the mixtures that a search found if it is clearly better than the usual one; else that one."""
    scored = groups[bagged.contest.clips[bagged.scored]]
    usual, greedy = Mixture(), Mixture(stacked=0.0)
    if _is_better(bagged.out_of_bag(greedy) - bagged.out_of_bag(usual), scored, SIMPLER):
        usual = greedy
    for mixture in found[:1]:
        if _is_better(bagged.out_of_bag(mixture) - bagged.out_of_bag(usual), scored, SURE):
            return mixture
    return usual


def space_of(bagged: Bagged) -> dict[str, BaseDistribution]:
    """What is searched."""
    return SPACE if bagged.published is None else SPACE | PUBLISHED


def value_of(bagged: Bagged, params: Params) -> float:
    """What a trial is worth: lwlrap of clips that its weights never saw."""
    return float(bagged.out_of_bag(mixture_of(params)).mean())


def weights_by_name(bagged: Bagged, params: Params, members: Sequence[str]) -> dict[str, float]:
    """The weights that a trial leads to, the largest first; members without one are left out."""
    weights = bagged.weights(mixture_of(params))
    pairs = zip(members, weights.round(4).tolist(), strict=True)
    return dict(sorted(((name, weight) for name, weight in pairs if weight > 0), key=lambda pair: -pair[1]))


def _search(bagged: Bagged, settings: BlendSettings, studies: Studies, name: str, members: Sequence[str]) -> Params:
    """The parameters of the best trial, the first of equals."""
    space = space_of(bagged)
    record = studies.open(name, about_study(name, len(bagged.uniform), {}))
    tried = record.tried[: settings.trials]
    known = len(tried)
    if known < settings.trials:
        # The sampler's own study is kept in memory: in a journal, each parameter of each trial would be a separate
        # write. After an interruption, the same questions and the recorded values bring it back to the same state.
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=settings.seed))
        for baseline, params in baselines(space).items():
            study.enqueue_trial(dict(params), user_attrs={"baseline": baseline})
        for number in range(settings.trials):
            trial = study.ask(space)
            value = tried[number].value if number < known else value_of(bagged, trial.params)
            study.tell(trial, value)
            if number >= known:
                about = trial.user_attrs
                if members:
                    about = {**about, "weights": weights_by_name(bagged, trial.params, members)}
                record.add(trial.params, space, value, about)
                tried.append(Tried(trial.params, value, about))
    return best_trial(tried).params


def best_trial(tried: Sequence[Tried]) -> Tried:
    """The trial with the highest value, the first of equals."""
    return tried[int(np.argmax([trial.value for trial in tried]))]


def baselines(space: dict[str, BaseDistribution]) -> dict[str, Params]:
    """Parameters of the weightings that the search has to beat, by name."""
    bagged = dict.fromkeys(space, 0.0) | {"bags": BAGS, "rounds": ROUNDS}
    found: dict[str, Params] = {
        "default": bagged | {"share of stacked weights": 0.5},
        "bagged greedy": bagged,
        "greedy": bagged | {"bags": 1},
        "stacking": bagged | {"share of stacked weights": 1.0},
        "uniform": bagged | {"share of uniform weights": 1.0},
    }
    if "share of published weights" in space:
        found["published"] = bagged | {"share of published weights": 1.0}
    return found


def mixture_of(params: Params) -> Mixture:
    """The mixture that a trial's parameters mean."""
    return Mixture(
        bags=int(params["bags"]),
        rounds=int(params["rounds"]),
        stacked=params["share of stacked weights"],
        uniform=params["share of uniform weights"],
        published=params.get("share of published weights", 0.0),
    )


def _is_better(gain: Floats, groups: NDArray[np.int64], errors: float) -> bool:
    """Whether the mean of differences (P,) is above 0 by so many standard errors. Groups (P,) are independent."""
    _, index, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    mean = gain.mean()
    spread = np.bincount(index, weights=gain) - sizes * mean  # of each group, from what it would have with the mean
    error = np.sqrt((spread**2).sum()) / len(gain)
    return bool(mean > errors * error)
