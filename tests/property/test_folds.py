"""Laws of folds: they partition the clips, evenly, and keep groups whole."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import KFold

from features.folds import group_kfold, kfold, stratified_kfold

SEEDS = st.integers(0, 2**32 - 1)
GROUPS = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=60)


@st.composite
def labelled_groups(draw: st.DrawFn) -> tuple[np.ndarray, list[str]]:
    """Labels (n, classes) and a group of every clip."""
    groups = draw(GROUPS)
    classes = draw(st.integers(1, 5))
    rows = st.lists(st.booleans(), min_size=classes, max_size=classes)
    targets = draw(st.lists(rows, min_size=len(groups), max_size=len(groups)))
    return np.array(targets, np.float32), groups


def is_partition(folds: np.ndarray, n: int, k: int) -> bool:
    """Every clip is in exactly one of the folds 0 to k - 1."""
    return folds.shape == (n,) and folds.dtype == np.int64 and bool(((folds >= 0) & (folds < k)).all())


def whole(folds: np.ndarray, groups: list[str]) -> bool:
    """No group lies in two folds."""
    return len(set(zip(groups, folds.tolist(), strict=True))) == len(set(groups))


@given(st.integers(1, 200), st.integers(2, 12), SEEDS)
def test_plain_folds_partition_the_clips_as_evenly_as_possible(n: int, k: int, seed: int) -> None:
    folds = kfold(n, k, seed)
    assert is_partition(folds, n, k)
    sizes = np.bincount(folds, minlength=k)
    assert sizes.max() - sizes.min() <= 1


@given(st.integers(2, 200), st.integers(2, 12), SEEDS)
def test_plain_folds_are_those_of_scikit_learn(n: int, k: int, seed: int) -> None:
    k = min(n, k)
    folds = kfold(n, k, seed)
    for fold, (_, members) in enumerate(KFold(k, shuffle=True, random_state=seed).split(np.zeros(n))):
        assert np.flatnonzero(folds == fold).tolist() == sorted(members)


@given(GROUPS, st.integers(2, 12), SEEDS)
def test_grouped_folds_partition_the_clips_and_keep_groups_whole(groups: list[str], k: int, seed: int) -> None:
    folds = group_kfold(groups, k, seed)
    assert is_partition(folds, len(groups), k)
    assert whole(folds, groups)
    sizes = np.bincount(folds, minlength=k)
    assert sizes.max() - sizes.min() <= max(map(groups.count, groups)), "uneven by one group at most"


@given(labelled_groups(), st.integers(2, 12), SEEDS)
def test_stratified_folds_partition_the_clips(case: tuple[np.ndarray, list[str]], k: int, seed: int) -> None:
    targets, groups = case
    assert is_partition(stratified_kfold(targets, k, seed), len(targets), k)
    folds = stratified_kfold(targets, k, seed, groups)
    assert is_partition(folds, len(targets), k)
    assert whole(folds, groups)


@given(st.integers(1, 60), st.integers(2, 8), SEEDS)
def test_one_label_is_stratified_evenly(n: int, k: int, seed: int) -> None:
    """Where every clip has the same one label, a stratified split is an even split."""
    sizes = np.bincount(stratified_kfold(np.ones((n, 1)), k, seed), minlength=k)
    assert sizes.max() - sizes.min() <= 1


@given(labelled_groups(), st.integers(2, 12), SEEDS)
def test_folds_depend_on_the_seed_alone(case: tuple[np.ndarray, list[str]], k: int, seed: int) -> None:
    targets, groups = case
    for split in (
        lambda: kfold(len(groups), k, seed),
        lambda: group_kfold(groups, k, seed),
        lambda: stratified_kfold(targets, k, seed, groups),
    ):
        assert np.array_equal(split(), split())
