"""Cross-validation folds: shuffled, by group, stratified over many labels, and those that a dataset comes with.

Each function returns the fold number of every clip, so that a split is one small column instead of lists of indices.
"""

from collections.abc import Sequence

import numpy as np

__all__ = ["group_kfold", "kfold", "official_folds", "stratified_kfold"]


def kfold(n: int, k: int, seed: int) -> np.ndarray:
    """The folds of scikit-learn's `KFold(k, shuffle=True, random_state=seed)`.

    Args:
        n: number of clips.
        k: number of folds; with more folds than clips the last ones stay empty.
        seed: of the shuffle.

    Returns:
        int64 (n,), fold of each clip.
    """
    # The legacy generator, because the authors' folds came from it.
    order = np.arange(n)
    np.random.RandomState(seed).shuffle(order)
    folds = np.empty(n, np.int64)
    for fold, members in enumerate(np.array_split(order, k)):
        folds[members] = fold
    return folds


def group_kfold(groups: Sequence[str], k: int, seed: int) -> np.ndarray:
    """Folds that keep groups whole and are as even as the groups allow (largest group first into the smallest fold).

    Args:
        groups: group of each clip.
        k: number of folds.
        seed: draws the order of groups of one size.

    Returns:
        int64 (n,), fold of each clip.
    """
    member, sizes = _units(groups)
    order = np.random.RandomState(seed).permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    fold_sizes = np.zeros(k, np.int64)
    unit_folds = np.empty(len(sizes), np.int64)
    for unit in order:
        fold = int(fold_sizes.argmin())
        unit_folds[unit] = fold
        fold_sizes[fold] += sizes[unit]
    folds: np.ndarray = unit_folds[member]
    return folds


def official_folds(names: Sequence[str], k: int) -> np.ndarray:
    """The folds that a dataset comes with, in the order of their names; numbers are sorted as numbers.

    Args:
        names: official fold of each clip.
        k: number of folds, at most that of the official ones; with fewer, official fold i goes to fold i modulo k.

    Returns:
        int64 (n,), fold of each clip.
    """

    def order(name: str) -> tuple[bool, int, str]:
        number = name.isdecimal() and len(name) < 10
        return (not number, int(name) if number else 0, name)

    numbers = {name: index % k for index, name in enumerate(sorted(set(names), key=order))}
    return np.array([numbers[name] for name in names], np.int64)


def stratified_kfold(targets: np.ndarray, k: int, seed: int, groups: Sequence[str] | None = None) -> np.ndarray:
    """Folds with about equal shares of every label: iterative stratification, on groups when there are any.

    Source: Sechidis, Tsoumakas, Vlahavas, "On the Stratification of Multi-Label Data", ECML PKDD 2011, algorithm 1. The
    rarest label is dealt first, each of its units to the fold that lacks that label most, then lacks clips most.

    Args:
        targets: (n, classes), positive where a clip has the label.
        k: number of folds.
        seed: draws the order of the units and breaks ties.
        groups: group of each clip; a group is one unit and stays whole.

    Returns:
        int64 (n,), fold of each clip.
    """
    member, sizes = _units(groups if groups is not None else [str(clip) for clip in range(len(targets))])
    counts = np.zeros((len(sizes), targets.shape[1]))
    np.add.at(counts, member, (targets > 0).astype(np.float64))  # (units, classes)

    random = np.random.RandomState(seed)
    shuffled = random.permutation(len(sizes))
    lacking = np.tile(counts.sum(axis=0) / k, (k, 1))  # (k, classes)
    lacking_clips = np.full(k, sizes.sum() / k)
    unit_folds = np.full(len(sizes), -1, np.int64)

    def deal(unit: int, wanted: np.ndarray) -> None:
        best = np.flatnonzero(wanted == wanted.max())
        best = best[lacking_clips[best] == lacking_clips[best].max()]
        fold = int(best[0] if len(best) == 1 else random.choice(best))
        unit_folds[unit] = fold
        lacking[fold] -= counts[unit]
        lacking_clips[fold] -= sizes[unit]

    while True:
        undealt = shuffled[unit_folds[shuffled] < 0]
        remaining = (counts[undealt] > 0).sum(axis=0)  # (classes,)
        if not remaining.any():
            break
        label = int(np.where(remaining > 0, remaining, np.iinfo(np.int64).max).argmin())
        for unit in undealt[counts[undealt, label] > 0]:
            deal(int(unit), lacking[:, label])
    for unit in undealt:
        deal(int(unit), lacking_clips)
    folds: np.ndarray = unit_folds[member]
    return folds


def _units(groups: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Number the groups in order of first appearance: the unit of each clip (n,), and the units' sizes (units,)."""
    numbers: dict[str, int] = {}
    member = np.array([numbers.setdefault(group, len(numbers)) for group in groups], np.int64)
    return member, np.bincount(member, minlength=len(numbers))
