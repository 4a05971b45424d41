"""Groups of clips for prediction, against a slow search over lengths."""

import numpy as np
import pytest
from numpy.typing import NDArray

from trainers.groups import MAX_CLIPS, MAX_VALUES, batches, group_by_length, own_lengths
from trainers.settings import ReadSettings


def slow_groups(lengths: NDArray[np.int64], percent: int, values_per_step: int) -> list[list[int]]:
    """Walk from the shortest clip on; lengths only, in whole numbers."""
    groups: list[list[int]] = []
    for length in sorted(lengths.tolist()):
        group = groups[-1] if groups else []
        joins = bool(group) and length * 100 <= group[0] * (100 + percent)
        if joins and len(group) < 512 and (len(group) + 1) * length * values_per_step <= 20_000_000:
            group.append(length)
        else:
            groups.append([length])
    return groups


LENGTHS = {
    "few": np.random.default_rng(0).integers(1, 5_000, 40),
    "spread": np.random.default_rng(1).integers(100, 8_000, 3_000),
    "equal": np.full(1_300, 640),
    "test set": (np.exp(np.random.default_rng(2).normal(7, 0.9, 4_481)) + 30).astype(np.int64),
    "one": np.array([5]),
}


@pytest.mark.parametrize("name", LENGTHS)
@pytest.mark.parametrize("values_per_step", [1, 128])
def test_groups_are_the_slow_ones(name: str, values_per_step: int) -> None:
    lengths = LENGTHS[name]
    groups = group_by_length(lengths, values_per_step=values_per_step)
    np.testing.assert_array_equal(np.sort(np.concatenate(groups)), np.arange(len(lengths)))  # every clip once
    for percent in range(21):
        wanted = slow_groups(lengths, percent, values_per_step)
        if len(wanted) <= 60 + len(lengths) / 55:
            break
    assert [lengths[group].tolist() for group in groups] == wanted
    for group in groups:
        assert lengths[group].max() <= 1.2 * lengths[group].min()
        assert len(group) <= MAX_CLIPS == 512
        assert len(group) == 1 or len(group) * lengths[group].max() * values_per_step <= MAX_VALUES == 20_000_000


def test_patience_rises_no_further_than_needed() -> None:
    def worst(lengths: NDArray[np.int64]) -> float:
        return max(float(lengths[g].max() / lengths[g].min()) for g in group_by_length(lengths))

    assert worst(np.arange(1, 61)) == 1.0  # 60 lengths are within 60 + N / 55 groups
    assert worst(np.repeat(np.arange(100, 180), 14)) == 1.0  # 80 lengths of 1,120 clips: 80.4 groups are allowed
    assert 1.0 < worst(np.repeat(np.arange(100, 190), 14)) <= 1.01
    assert len(group_by_length(LENGTHS["spread"])) <= 60 + 3_000 / 55


def test_patience_ends_at_a_fifth() -> None:
    lengths = np.rint(100 * 1.093 ** np.arange(128)).astype(np.int64)  # every third is 1.195 times as long
    assert len(group_by_length(lengths)) == 44  # 64 with a patience of 0.19, of 62 allowed
    apart = [10]
    while len(apart) < 70:
        apart.append(apart[-1] * 12 // 10 + 1)  # just too long for the group before
    assert [len(group) for group in group_by_length(np.array(apart))] == [1] * 70


def test_caps_split_groups() -> None:
    assert [len(group) for group in group_by_length(np.full(1_030, 10))] == [512, 512, 6]
    assert [len(group) for group in group_by_length(np.full(5, 5_000_000))] == [4, 1]
    assert [len(group) for group in group_by_length(np.full(5, 50_000), values_per_step=128)] == [3, 2]
    assert [len(group) for group in group_by_length(np.array([30_000_000, 30_000_000]))] == [1, 1]


@pytest.mark.parametrize("patience", [0.0, 0.02, 0.1, 0.5, 1.0])
def test_own_lengths_are_few_and_a_little_longer(patience: float) -> None:
    lengths = np.arange(1, 20_001)
    padded = own_lengths(lengths, patience)
    assert (padded >= lengths).all()
    assert (padded <= (1 + patience) * lengths).all()
    if patience == 0:
        np.testing.assert_array_equal(padded, lengths)
    else:
        within = padded[(lengths > 10_000)]  # one factor of two
        assert len(np.unique(within)) <= 2 / patience + 2
    assert own_lengths(np.array([57_000_000]), 0.1).item() == 58_720_256  # a multiple of 2^22


@pytest.mark.parametrize("values_per_step", [1, 128])
def test_batches_have_clips_of_one_own_length(values_per_step: int) -> None:
    for lengths in LENGTHS.values():
        read = ReadSettings()
        found = batches(lengths, read, values_per_step)
        order = np.concatenate([batch for batch, _ in found])
        np.testing.assert_array_equal(np.sort(order), np.arange(len(lengths)))
        for batch, length in found:
            np.testing.assert_array_equal(own_lengths(lengths[batch], read.patience), length)
            assert len(batch) <= MAX_CLIPS
            assert len(batch) == 1 or len(batch) * length * values_per_step <= MAX_VALUES
        assert [length for _, length in found] == sorted(length for _, length in found)
    assert len(batches(LENGTHS["test set"], ReadSettings())) <= 60 + 4_481 / 55, "no more than the released code's"


def test_patience_is_bounded_by_the_setting() -> None:
    lengths = np.arange(100, 1_100)
    assert len(group_by_length(lengths, patience=0.0)) == 1_000
    assert max(lengths[g].max() / lengths[g].min() for g in group_by_length(lengths, patience=0.02)) <= 1.02
