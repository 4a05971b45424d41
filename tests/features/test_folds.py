from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold

from features.folds import group_kfold, kfold, stratified_kfold


def sklearn_folds(n: int, k: int, seed: int) -> np.ndarray:
    folds = np.empty(n, np.int64)
    for fold, (_, valid) in enumerate(KFold(k, shuffle=True, random_state=seed).split(np.zeros(n))):
        folds[valid] = fold
    return folds


@pytest.mark.parametrize(("n", "k", "seed"), [(5, 5, 0), (4_970, 5, 42), (19_815, 5, 42), (11, 3, 7), (100, 10, 1)])
def test_kfold_is_scikit_learns(n: int, k: int, seed: int) -> None:
    np.testing.assert_array_equal(kfold(n, k, seed), sklearn_folds(n, k, seed))


def test_folds_of_fsdkaggle_are_the_authors(shared_data: Callable[[str], Path]) -> None:
    """Kaggle's sorted CSV and Zenodo's unsorted one give one clip the same fold."""
    folder = shared_data("fsdkaggle2019_meta")
    for part, n in (("curated", 4_970), ("noisy", 19_815)):
        kaggle = pd.read_csv(folder / f"train_{part}.csv")["fname"]
        zenodo = sorted(pd.read_csv(folder / f"train_{part}_post_competition.csv")["fname"])
        assert list(kaggle) == zenodo
        assert len(zenodo) == n
        np.testing.assert_array_equal(kfold(n, 5, 42), sklearn_folds(n, 5, 42))


def test_groups_stay_whole_and_folds_are_even() -> None:
    random = np.random.default_rng(0)
    groups = [f"g{number}" for number in random.integers(0, 60, 300)]
    folds = group_kfold(groups, 5, 42)
    by_group = {group: {fold for fold, other in zip(folds, groups, strict=True) if other == group} for group in groups}
    assert all(len(of_group) == 1 for of_group in by_group.values())
    sizes = np.bincount(folds, minlength=5)
    assert sizes.sum() == 300
    assert np.ptp(sizes) <= 2
    assert not np.array_equal(folds, group_kfold(groups, 5, 43))


@pytest.mark.parametrize("grouped", [False, True])
def test_stratified_folds_share_every_label(grouped: bool) -> None:
    random = np.random.default_rng(1)
    targets = (random.random((600, 12)) < np.linspace(0.02, 0.3, 12)).astype(np.float32)
    targets[:20] = 0  # unlabelled units are dealt too
    groups = [f"g{clip // 2}" for clip in range(600)] if grouped else None
    folds = stratified_kfold(targets, 5, 42, groups)
    np.testing.assert_array_equal(folds, stratified_kfold(targets, 5, 42, groups))
    assert set(folds) == set(range(5))

    def unevenness(folds: np.ndarray) -> float:
        shares = np.stack([targets[folds == fold].sum(axis=0) for fold in range(5)])
        return float((shares.std(axis=0) / shares.mean(axis=0)).mean())

    assert unevenness(folds) < 0.5 * unevenness(kfold(600, 5, 42))
    assert np.ptp(np.bincount(folds)) <= 12
    if grouped:
        assert np.array_equal(folds[0::2], folds[1::2])


def test_rare_label_is_spread() -> None:
    targets = np.zeros((50, 2))
    targets[:5, 0] = 1
    targets[5:, 1] = 1
    assert sorted(stratified_kfold(targets, 5, 0)[:5]) == [0, 1, 2, 3, 4]


def test_folds_that_lack_a_label_alike_get_it_where_clips_are_lacking() -> None:
    """One recording of nine clips, then three of one clip with another label: two of them go to the other fold."""
    groups = ["long"] * 9 + ["a", "b", "c"]
    targets = np.zeros((12, 2))
    targets[0, 0] = 1
    targets[9:, 1] = 1
    for seed in range(10):
        folds = stratified_kfold(targets, 2, seed, groups)
        assert np.bincount(folds, minlength=2).tolist() in ([10, 2], [2, 10])


def test_groups_of_one_size_are_dealt_in_the_order_that_the_seed_draws() -> None:
    """On every processor: numpy's fastest sort is not stable, and differs between them."""
    groups = [group for group in range(300) for _ in range(1 + group % 2)]
    sizes, expected = [0] * 5, {}
    for group in sorted(np.random.RandomState(7).permutation(300), key=lambda group: -(group % 2)):
        expected[int(group)] = fold = sizes.index(min(sizes))
        sizes[fold] += 1 + group % 2
    assert group_kfold(list(map(str, groups)), 5, 7).tolist() == [expected[group] for group in groups]


def test_the_seed_breaks_ties() -> None:
    assert {int(stratified_kfold(np.ones((1, 1)), 2, seed)[0]) for seed in range(20)} == {0, 1}
