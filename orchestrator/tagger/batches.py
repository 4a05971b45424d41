"""Scores of many clips on all cores: clips of similar length go through a network together.

A clip's score does not depend on the clips beside it (`trainers.predict`), so they may be chosen for speed: a network
takes a fifth of the time for a clip among others of its length than for one alone. A thread takes one such group at a
time, as several threads inside a small network would mostly wait for each other.
"""

import os
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from orchestrator.tagger.members import Condition

__all__ = ["Clip", "blend", "cores", "groups_by_length", "one_thread_per_core"]

Clip = Sequence[np.ndarray]
"""Features of a clip, one array per kind."""

GROUP_CLIPS = 32
GROUP_VALUES = 1 << 20
"""Largest group on a CPU: clips, and values of their features. More would leave the caches and take more memory."""
DEVICE_CLIPS = 512
DEVICE_VALUES = 1 << 25
"""Largest group on a GPU."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def one_thread_per_core() -> ThreadPoolExecutor:
    """A pool whose threads compute alone; close it after use."""
    return ThreadPoolExecutor(cores(), initializer=torch.set_num_threads, initargs=(1,))


def blend(
    conditions: Sequence[Condition], kinds: Sequence[int], clips: Sequence[Clip], device: torch.device, pool: Executor
) -> NDArray[np.float64]:
    """The sum of the scores of conditions, (N, C).

    Args:
        conditions: networks with their weights.
        kinds: for each condition, which features of a clip it reads.
        clips: (N) at least one.
        device: where the networks are.
        pool: its threads score the groups.
    """
    limits = (GROUP_CLIPS, GROUP_VALUES) if device.type == "cpu" else (DEVICE_CLIPS, DEVICE_VALUES)
    tasks = [
        (condition, kind, group)
        for condition, kind in zip(conditions, kinds, strict=True)
        for group in groups_by_length([clip[kind].shape for clip in clips], *limits)
    ]

    def score(task: tuple[Condition, int, NDArray[np.int64]]) -> NDArray[np.float64]:
        condition, kind, group = task
        return condition.scores([clips[row][kind] for row in group], device)

    total: NDArray[np.float64] | None = None
    for (_, _, group), scores in zip(tasks, pool.map(score, tasks), strict=True):
        total = np.zeros((len(clips), scores.shape[1])) if total is None else total
        total[group] += scores
    assert total is not None
    return total


def groups_by_length(shapes: Sequence[tuple[int, ...]], most: int, most_values: int) -> list[NDArray[np.int64]]:
    """Rows of clips, given the shapes of their features, the shortest first, divided into groups.

    Args:
        shapes: (length[, values per frame]) of each clip.
        most: largest number of clips in a group.
        most_values: largest number of values in a group of more than one clip, each padded to the longest.
    """
    groups: list[list[int]] = []
    for row in np.argsort([shape[0] for shape in shapes], kind="stable").tolist():
        group = groups[-1] if groups else []
        if not group or len(group) == most or (len(group) + 1) * int(np.prod(shapes[row])) > most_values:
            groups.append([row])
        else:
            group.append(row)
    return [np.array(group) for group in groups]
