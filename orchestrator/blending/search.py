"""How weights are mixed: a simple rule, and Optuna's search for something better.

A mixture is worth the lwlrap of clips that its weights never saw (out of bag). The rule: half bagged greedy selection
and half bagged stacking, unless bagged greedy selection alone is better by one standard error of their difference. On
few clips it seldom is, on many it may be. Optuna then tries other mixtures. The baselines come first: the default,
bagged greedy selection, one selection, stacking, uniform and published weights. The best trial is used only if it is
better by three standard errors: on few clips, the best of many trials is lucky more often than it is better.
"""

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from orchestrator.blending.bagging import BAGS, ROUNDS, Bagged, Mixture
from orchestrator.blending.contest import Floats
from orchestrator.blending.studies import Studies
from orchestrator.grids.recipe import BlendSettings

__all__ = ["choose"]

SIMPLER = 1.0
"""Standard errors by which bagged greedy selection alone must be better than the default."""
SURE = 3.0
"""Standard errors by which the best trial must be better."""

Params = dict[str, float]

SPACE: dict[str, BaseDistribution] = {
    "bags": IntDistribution(1, BAGS, step=BAGS - 1),  # one selection on all clips, or all bags: some are never better
    "rounds": IntDistribution(1, ROUNDS),
    "share of stacked weights": FloatDistribution(0, 1),
    "share of uniform weights": FloatDistribution(0, 1),
}
PUBLISHED: dict[str, BaseDistribution] = {"share of published weights": FloatDistribution(0, 1)}


def choose(bagged: Bagged, groups: NDArray[np.int64], settings: BlendSettings, studies: Studies, name: str) -> Mixture:
    """The mixture to use: the default, or what is better on clips that weights never saw.

    Args:
        bagged: the weights to mix.
        groups: (N,) group of each clip.
        settings: number of trials, seed.
        studies: where trials are recorded. Those that are there are not run again.
        name: of the study.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    usual = Mixture()
    if not bagged.scored.any() or len(bagged.uniform) == 1:
        return usual
    scored = groups[bagged.contest.clips[bagged.scored]]
    greedy = Mixture(stacked=0.0)
    if _is_better(bagged.out_of_bag(greedy) - bagged.out_of_bag(usual), scored, SIMPLER):
        usual = greedy
    if settings.trials == 0:
        return usual
    space = SPACE if bagged.published is None else SPACE | PUBLISHED
    best = _mixture(_search(bagged, space, settings, studies, name))
    return best if _is_better(bagged.out_of_bag(best) - bagged.out_of_bag(usual), scored, SURE) else usual


def _search(
    bagged: Bagged, space: dict[str, BaseDistribution], settings: BlendSettings, studies: Studies, name: str
) -> Params:
    """The parameters of the best trial, the first of equals."""
    record = studies.open(name)
    tried = record.tried[: settings.trials]
    known = len(tried)
    if known < settings.trials:
        # The sampler's own study is kept in memory: in a journal, each parameter of each trial would be a separate
        # write. After an interruption, the same questions and the recorded values bring it back to the same state.
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=settings.seed))
        for baseline, params in _baselines(space).items():
            study.enqueue_trial(params, user_attrs={"baseline": baseline})
        for number in range(settings.trials):
            trial = study.ask(space)
            value = tried[number][1] if number < known else float(bagged.out_of_bag(_mixture(trial.params)).mean())
            study.tell(trial, value)
            if number >= known:
                record.add(trial.params, space, value, trial.user_attrs)
                tried.append((trial.params, value))
    return tried[int(np.argmax([value for _, value in tried]))][0]


def _baselines(space: dict[str, BaseDistribution]) -> dict[str, Params]:
    """Parameters of the weightings that the search has to beat, by name."""
    bagged: Params = dict.fromkeys(space, 0.0) | {"bags": BAGS, "rounds": ROUNDS}
    baselines = {
        "default": bagged | {"share of stacked weights": 0.5},
        "bagged greedy": bagged,
        "greedy": bagged | {"bags": 1},
        "stacking": bagged | {"share of stacked weights": 1.0},
        "uniform": bagged | {"share of uniform weights": 1.0},
    }
    if "share of published weights" in space:
        baselines["published"] = bagged | {"share of published weights": 1.0}
    return baselines


def _mixture(params: Params) -> Mixture:
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
