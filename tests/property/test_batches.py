"""Laws of what training and prediction read: groups of clips, crops, learning rates."""

import math
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trainers.groups import MAX_CLIPS, MAX_VALUES, group_by_length
from trainers.schedule import cyclic_cosine
from trainers.streams import crop_starts

LENGTHS = st.lists(st.integers(1, 3_000), min_size=1, max_size=300)
RATES = st.floats(1e-12, 1e3)


@given(LENGTHS, st.sampled_from([1, 64, 128, 20_000]))
def test_groups_cover_each_clip_once_shortest_first(lengths: list[int], values_per_step: int) -> None:
    groups = group_by_length(np.array(lengths), values_per_step=values_per_step)
    order = np.concatenate(groups)
    assert sorted(order.tolist()) == list(range(len(lengths)))
    assert (np.diff(np.array(lengths)[order]) >= 0).all()
    for group in groups:
        longest, shortest = max(lengths[i] for i in group), min(lengths[i] for i in group)
        assert longest <= 1.2 * shortest
        assert len(group) <= MAX_CLIPS
        assert len(group) == 1 or len(group) * longest * values_per_step <= MAX_VALUES


@given(st.integers(0, 10**7), st.integers(1, 10**5), RATES, RATES)
def test_learning_rates_stay_within_their_bounds(step: int, steps_per_cycle: int, one: float, other: float) -> None:
    low, high = sorted((one, other))
    rate = cyclic_cosine(step, steps_per_cycle, high, low)
    slack = 4 * math.ulp(high)  # of rounding
    assert low - slack <= rate <= high + slack
    assert rate == cyclic_cosine(step + steps_per_cycle, steps_per_cycle, high, low), "every cycle is the same"
    assert math.isclose(cyclic_cosine(0, steps_per_cycle, high, low), high)


@given(st.integers(2, 500), RATES, RATES)
def test_learning_rates_fall_within_a_cycle(steps_per_cycle: int, one: float, other: float) -> None:
    low, high = sorted((one, other))
    rates = [cyclic_cosine(step, steps_per_cycle, high, low) for step in range(steps_per_cycle)]
    assert all(later <= earlier + 4 * math.ulp(high) for earlier, later in pairwise(rates))


@given(
    st.lists(st.integers(1, 500), min_size=1, max_size=40), st.integers(1, 600), st.booleans(), st.integers(0, 2**32)
)
def test_crops_lie_within_their_clip_or_contain_it(lengths: list[int], crop: int, bordered: bool, seed: int) -> None:
    border = crop // 2 if bordered else 0
    starts = crop_starts(np.array(lengths), crop, np.random.default_rng(seed), border=border)
    for length, start in zip(lengths, starts.tolist(), strict=True):
        if length + 2 * border >= crop:
            assert -border <= start
            assert start + crop <= length + border
        else:
            assert start <= -border
            assert length + border <= start + crop


@given(st.integers(1, 40), st.integers(0, 4), st.booleans(), st.integers(0, 2**32))
def test_every_place_of_a_crop_is_drawn(crop: int, more: int, longer: bool, seed: int) -> None:
    """All offsets from one end to the other, of a clip that is longer or shorter than the crop by a little."""
    length = crop + more if longer else max(1, crop - more)
    starts = crop_starts(np.full(400, length), crop, np.random.default_rng(seed), border=0)
    wanted = range(length - crop + 1) if length >= crop else range(length - crop, 1)
    assert set(starts.tolist()) == set(wanted)
