"""Members whose blends are compared: synthetic ones, and those of a finished run."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.blending.members import stitch
from orchestrator.report.scores import predictions_of
from orchestrator.run.bound import Run

__all__ = ["Setting", "Split", "run_halves", "synthetic"]

FIRST = 100
"""Seed of the first draw. Earlier ones were looked at while the default was chosen."""


@dataclass(frozen=True)
class Split:
    """Predictions of M members on the clips that weights are tuned on, and on others."""

    oof: NDArray[np.float32]
    """(M, N, C)"""
    truth: NDArray[np.bool_]
    """(N, C)"""
    groups: NDArray[np.int64]
    """(N,)"""
    held_out: NDArray[np.float32]
    """(M, T, C)"""
    held_out_truth: NDArray[np.bool_]
    """(T, C)"""


@dataclass(frozen=True)
class Setting:
    """A kind of synthetic members."""

    conditions: tuple[int, ...]
    """Members of each condition."""
    noise: tuple[float, ...]
    """Of each condition, in units of the distance between a true and a wrong class."""
    clips: int
    classes: int
    labels: float
    """Labels per clip."""
    held_out: int = 4_000


def synthetic(setting: Setting, draws: int) -> Iterator[Split]:
    """Fresh members, clips and labels for each draw.

    Errors of members have a correlation of 0.85 within a condition and 0.55 between conditions, as those of real ones.
    Conditions also differ by class: each is good at some and bad at others.
    """
    for seed in range(FIRST, FIRST + draws):
        rng = np.random.default_rng([seed, setting.clips, len(setting.conditions)])
        skill = rng.normal(scale=0.3, size=(len(setting.conditions), setting.classes))
        noise = np.array(setting.noise) * np.exp(rng.normal(scale=0.1, size=len(setting.noise)))
        parts = [_draw(setting, skill, noise, clips, rng) for clips in (setting.clips, setting.held_out)]
        (oof, truth), (held_out, held_out_truth) = parts
        yield Split(oof, truth, np.arange(setting.clips), held_out, held_out_truth)


def _draw(
    setting: Setting, skill: NDArray[np.float64], noise: NDArray[np.float64], clips: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    truth = rng.random((clips, setting.classes)) < (setting.labels - 1) / setting.classes
    truth[np.arange(clips), rng.integers(setting.classes, size=clips)] = True
    common = rng.normal(size=truth.shape)
    members = []
    for condition, size in enumerate(setting.conditions):
        shared = rng.normal(size=truth.shape)
        signal = np.where(truth, 1 + skill[condition], skill[condition] / 3)
        for _ in range(size):
            error = np.sqrt(0.55) * common + np.sqrt(0.30) * shared + np.sqrt(0.15) * rng.normal(size=truth.shape)
            logit = 4 * (signal + noise[condition] * error) - 4
            members.append((1 / (1 + np.exp(-logit))).astype(np.float32))
    return np.stack(members), truth


def run_halves(folder: Path, draws: int) -> Iterator[Split]:
    """Members of a finished run: weights are tuned on a random half of the groups, scored on the other."""
    run = Run.open(folder)
    folders = {name: found for name in run.recipe.blended if (found := predictions_of(run, name)) is not None}
    members = stitch(dict(sorted(folders.items())), run.manifest)
    truth = run.manifest.targets("curated") > 0
    _, groups = np.unique(run.manifest.subset("curated")["group"].to_numpy(), return_inverse=True)
    for seed in range(draws):
        half = np.random.default_rng(seed).permutation(groups.max() + 1) < (groups.max() + 1) // 2
        tuned = half[groups]
        yield Split(members.oof[:, tuned], truth[tuned], groups[tuned], members.oof[:, ~tuned], truth[~tuned])
