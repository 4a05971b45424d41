"""Ways to choose the weights of members, which sonogrid's own is compared with."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from benchmarks.blend_members import Split
from orchestrator.blending.bagging import bag_all, draw_bags
from orchestrator.blending.contest import Contest
from orchestrator.blending.search import choose
from orchestrator.blending.selection import select
from orchestrator.blending.stacking import stack
from orchestrator.grids.recipe import BlendSettings
from orchestrator.studies.record import open_studies

__all__ = [
    "bagged",
    "best_single",
    "greedy",
    "half_stacking",
    "pairwise",
    "sonogrid",
    "sonogrid_without_search",
    "stacking",
    "uniform",
]

Weights = NDArray[np.float64]


def uniform(split: Split) -> Weights:
    return np.full(len(split.oof), 1 / len(split.oof))


def best_single(split: Split) -> Weights:
    contest = Contest(split.oof, split.truth)
    one_hot = np.eye(len(split.oof))
    best: Weights = one_hot[np.argmax([contest.score(weights) for weights in one_hot])]
    return best


def greedy(split: Split) -> Weights:
    contest = Contest(split.oof, split.truth)
    found: Weights = select(contest, np.ones((1, len(contest.clips))), 50)[-1, 0]
    return found


def bagged(split: Split, bags: int = 20, rounds: int = 15) -> Weights:
    contest = Contest(split.oof, split.truth)
    drawn = draw_bags(split.groups, bags, np.random.default_rng(0))
    found: Weights = select(contest, drawn[:, contest.clips].astype(np.float64), rounds)[-1].mean(axis=0)
    return found


def stacking(split: Split) -> Weights:
    """Non-negative least squares of the labels on the members' scores, on all clips at once."""
    every = np.ones((1, len(split.oof)), dtype=bool)
    found: Weights = stack(split.oof, split.truth, np.ones((1, len(split.truth))), every)[0]
    return found


def half_stacking(split: Split) -> Weights:
    return (stacking(split) + uniform(split)) / 2


def pairwise(split: Split) -> Weights:
    """Logistic loss of every (true, other) pair of classes of a clip, each true label counted once."""
    contest = Contest(split.oof, split.truth)
    differences = contest.differences[~contest.is_true].astype(np.float64)  # (k, M)

    def loss(scale: Weights) -> tuple[float, Weights]:
        margin = differences @ scale
        slope = 1 / (1 + np.exp(-margin))
        return float(np.logaddexp(0, margin).sum()), differences.T @ slope

    found = minimize(loss, np.full(len(split.oof), 10 / len(split.oof)), jac=True, method="L-BFGS-B",
                     bounds=[(0, None)] * len(split.oof), options={"maxiter": 200})  # fmt: skip
    weights: Weights = found.x / found.x.sum()
    return weights


def sonogrid(split: Split, trials: int = 50) -> Weights:
    """The blend's job as it is, without its nested estimate."""
    found = bag_all(split.oof, split.truth, split.groups, np.ones((1, len(split.truth)), dtype=bool), seed=42)[0]
    with TemporaryDirectory() as folder, open_studies(Path(folder) / "journal", "inputs", None, "") as studies:
        return found.weights(choose(found, split.groups, BlendSettings(trials=trials), studies, "all folds"))


def sonogrid_without_search(split: Split) -> Weights:
    return sonogrid(split, trials=0)
