import numpy as np
import torch

from trainers.randomness import generator, seed_of


def test_seeds_are_the_same_in_every_process_and_release() -> None:
    """A change here changes all numbers of all grids."""
    assert [seed_of(0, "weights/0"), seed_of(7, "curated/gain", 123)] == [
        3_256_922_469_885_587_013,
        6_916_464_102_415_081_991,
    ]
    np.testing.assert_array_equal(generator(7, "curated/gain", 123).integers(0, 1_000, 4), [901, 226, 475, 361])


def test_seeds_differ_by_seed_purpose_and_step() -> None:
    seeds = {
        seed_of(seed, purpose, step)
        for seed in range(12)
        for purpose in ("a", "b", "a/1", "1", "", "stream/0")
        for step in range(150)
    }
    assert len(seeds) == 12 * 6 * 150
    assert seed_of(1, "a") == seed_of(1, "a", 0)


def test_seeds_fit_every_generator() -> None:
    seeds = [seed_of(seed, "x") for seed in range(2_000)]
    assert min(seeds) >= 0
    assert 1 << 62 < max(seeds) < 1 << 63
    torch.Generator().manual_seed(max(seeds))


def test_generators_start_anew_each_time() -> None:
    first = generator(3, "a", 5).random(4)
    np.random.default_rng(0).random(10)
    np.testing.assert_array_equal(generator(3, "a", 5).random(4), first)


def test_draws_of_consecutive_steps_are_not_related() -> None:
    draws = np.stack([generator(0, "a", step).random(2_000) for step in range(8)])
    correlation = np.corrcoef(draws)[~np.eye(8, dtype=bool)]
    assert np.abs(correlation).max() < 5 / np.sqrt(2_000)
    assert abs(draws.mean() - 0.5) < 5 / np.sqrt(12 * draws.size)
