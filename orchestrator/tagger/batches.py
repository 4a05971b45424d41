"""Scores of many clips on all cores: clips that are padded to one length go through a network together.

A clip's score does not depend on the clips beside it (`trainers.groups`), so they may be chosen for speed: a ResNet
takes a third of the time for a clip among seven others than for one alone, and every new shape of a batch costs as much
as several clips, since torch compiles its convolutions for it. A thread takes one such group at a time, as several
threads inside a small network would mostly wait for each other.
"""

import os
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from orchestrator.tagger.members import Condition
from trainers.groups import own_lengths

__all__ = ["Clip", "blend", "cores", "groups_by_length", "one_thread_per_core"]

Clip = Sequence[np.ndarray]
"""Features of a clip, one array per kind."""

GROUP_CLIPS = 32
GROUP_VALUES = 1 << 20
GROUP_SAMPLES = 1 << 18
"""Largest group on a CPU: clips, and values of their features or samples. More would leave the caches and take more
memory; what a network makes of samples is sixteen times as large."""
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
    tasks = [
        (condition, kind, group)
        for condition, kind in zip(conditions, kinds, strict=True)
        for group in _groups([clip[kind].shape for clip in clips], condition.read.patience, device)
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


def _groups(shapes: Sequence[tuple[int, ...]], patience: float, device: torch.device) -> list[NDArray[np.int64]]:
    lengths = own_lengths(np.array([shape[0] for shape in shapes]), patience)
    tail = int(np.prod(shapes[0][1:]))
    if device.type != "cpu":
        return groups_by_length(lengths, DEVICE_CLIPS, DEVICE_VALUES // tail)
    return groups_by_length(lengths, GROUP_CLIPS, (GROUP_VALUES if len(shapes[0]) > 1 else GROUP_SAMPLES) // tail)


def groups_by_length(lengths: NDArray[np.int64], most: int, most_rows: int) -> list[NDArray[np.int64]]:
    """Indices of clips, given the lengths to which they are padded, the shortest first, divided into groups.

    A group has clips of one length, and is no larger than it must be for their number of groups.

    Args:
        lengths: (N,) frames or samples.
        most: largest number of clips in a group.
        most_rows: largest number of frames or samples in a group of more than one clip.
    """
    order = np.argsort(lengths, kind="stable")
    found: list[NDArray[np.int64]] = []
    for same in np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1):
        size = max(1, min(most, most_rows // int(lengths[same[0]])))
        found += np.array_split(same, -(-len(same) // size))
    return found
