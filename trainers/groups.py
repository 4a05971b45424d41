"""Which clips are predicted together, which part of each, and to which length they are padded.

A clip is padded to its own length, rounded up to one of few lengths, so its score does not depend on which clips are
predicted with it: not on the other files, the fold, or the number of workers. A batch has clips of one such length, at
most 512, and at most 20 M input values.

With `pad_to: longest`, batches are those of docs/paper.md, Prediction and ensemble. Clips are sorted by length; one
joins a batch while its length is within (1 + patience) of the shortest there, and is padded to the longest. The search
raises patience from 0 by 0.01 up to the limit until there are at most 60 + N / 55 batches.
"""

import numpy as np

from trainers.settings import ReadSettings

__all__ = ["WHOLE", "batches", "group_by_length", "own_lengths", "windows"]

WHOLE = ReadSettings()
MAX_CLIPS = 512
MAX_VALUES = 20_000_000


def batches(lengths: np.ndarray, read: ReadSettings, values_per_step: int = 1) -> list[tuple[np.ndarray, int]]:
    """Indices of the clips of each batch, shortest first, and the length to which they are padded.

    Args:
        lengths: (N,) frames or samples.
        read: how clips share a batch.
        values_per_step: input values per frame (mel bands) or per sample (1).
    """
    if read.pad_to == "longest":
        groups = group_by_length(lengths, values_per_step=values_per_step, patience=read.patience)
        return [(group, int(lengths[group].max())) for group in groups]
    padded = own_lengths(lengths, read.patience)
    groups = _group(np.argsort(padded, kind="stable"), padded, 1.0, values_per_step)
    return [(group, int(padded[group[0]])) for group in groups]


def own_lengths(lengths: np.ndarray, patience: float) -> np.ndarray:
    """Lengths (N,) rounded up by at most `patience` of each: to a multiple of a power of two, so that few are left."""
    _, exponents = np.frexp(np.maximum(1.0, patience * lengths))
    steps = np.int64(1) << (exponents.astype(np.int64) - 1)  # the largest powers of two up to patience x length
    rounded: np.ndarray = -(-lengths // steps) * steps
    return rounded


def group_by_length(lengths: np.ndarray, *, values_per_step: int = 1, patience: float = 0.2) -> list[np.ndarray]:
    """Indices of clips, one array per group, shortest first.

    Args:
        lengths: (N,) frames or samples.
        values_per_step: input values per frame (mel bands) or per sample (1).
        patience: up to which the patience may rise.
    """
    order = np.argsort(lengths, kind="stable")
    wanted = 60 + len(lengths) / 55
    groups: list[np.ndarray] = []
    for percent in range(round(100 * patience) + 1):
        groups = _group(order, lengths, 1 + percent / 100, values_per_step)
        if len(groups) <= wanted:
            break
    return groups


def _group(order: np.ndarray, lengths: np.ndarray, stretch: float, values_per_step: int) -> list[np.ndarray]:
    groups: list[list[int]] = []
    for index in order.tolist():
        length = int(lengths[index])
        if groups:
            group = groups[-1]
            fits = len(group) < MAX_CLIPS and (len(group) + 1) * length * values_per_step <= MAX_VALUES
            if fits and length <= stretch * int(lengths[group[0]]):
                group.append(index)
                continue
        groups.append([index])
    return [np.array(group) for group in groups]


def windows(lengths: np.ndarray, read: ReadSettings, crop: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """The parts of clips that are predicted: their lengths (N,), and the first positions (N,) of one or several parts.

    Args:
        lengths: (N,) frames or samples of whole clips.
        read: which part.
        crop: length of a part, if it is not the whole clip; a shorter clip is its own part.
    """
    if read.part == "whole":
        return lengths, [np.zeros_like(lengths)]
    parts = np.minimum(lengths, crop)
    room = lengths - parts
    if read.part == "crops":
        shares = np.linspace(0.0, 1.0, read.crops) if read.crops > 1 else [0.5]
        return parts, [np.floor(share * room).astype(np.int64) for share in shares]
    return parts, [np.zeros_like(room) if read.part == "start" else room]
