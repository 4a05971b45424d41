"""What proposes the next trial of a search."""

import warnings
from collections.abc import Sequence
from typing import Literal, get_args

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, TPESampler
from optuna.trial import FrozenTrial

from features.errors import InputError
from features.words import nearest, short

__all__ = ["SAMPLERS", "Sampler", "find_sampler", "make_sampler"]

Sampler = Literal["tpe", "cmaes", "gp"]
SAMPLERS: tuple[Sampler, ...] = get_args(Sampler)
ENOUGH = 10
"""Trials that tell CMA-ES where to start: it takes the best tenth of them."""


def find_sampler(name: str) -> Sampler:
    """The sampler with a name.

    Raises:
        InputError: there is none.
    """
    for kind in SAMPLERS:
        if kind == name:
            return kind
    near = nearest(name, SAMPLERS)
    hint = f"did you mean '{near}'?" if near else f"choose one of {', '.join(SAMPLERS)}"
    raise InputError(f"--sampler {short(name)}: there is no such sampler; {hint}")


def make_sampler(kind: Sampler, seed: int, earlier: Sequence[FrozenTrial] = ()) -> BaseSampler:
    """A sampler for a study in memory.

    Sources: Bergstra et al., "Algorithms for hyper-parameter optimization", NIPS 2011 (tpe); Hansen and Ostermeier,
    "Completely derandomized self-adaptation in evolution strategies", 2001, started from earlier trials as in Nomura
    et al., "Warm starting CMA-ES", AAAI 2021 (cmaes); a Gaussian process with expected improvement (gp).

    Args:
        kind: which one.
        seed: of its draws.
        earlier: finished trials of the study.
    """
    if kind == "tpe":
        return TPESampler(seed=seed)
    if kind == "gp":
        return GPSampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return CmaEsSampler(seed=seed, source_trials=list(earlier) if len(earlier) >= ENOUGH else None)
