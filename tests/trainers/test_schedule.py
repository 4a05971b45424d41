import math

import numpy as np
import pytest

from trainers.schedule import cyclic_cosine


@pytest.mark.parametrize(("lr_max", "lr_min"), [(1e-3, 1e-6), (1e-1, 1e-6), (0.5, 0.5)])
def test_a_cycle_is_half_a_cosine(lr_max: float, lr_min: float) -> None:
    rates = np.array([cyclic_cosine(step, 50, lr_max, lr_min) for step in range(50)])
    wanted = lr_min + (lr_max - lr_min) * (1 + np.cos(np.pi * np.arange(50) / 50)) / 2
    np.testing.assert_allclose(rates, wanted, rtol=1e-12)
    assert rates[0] == lr_max
    assert rates[25] == pytest.approx((lr_max + lr_min) / 2)
    assert (np.diff(rates) <= 0).all()
    assert rates[-1] >= lr_min
    assert rates[-1] == pytest.approx(lr_min + (lr_max - lr_min) * math.sin(math.pi / 100) ** 2)


def test_every_cycle_is_the_same() -> None:
    first = [cyclic_cosine(step, 7, 1e-3, 1e-6) for step in range(7)]
    assert [cyclic_cosine(step, 7, 1e-3, 1e-6) for step in range(7, 70)] == first * 9


def test_a_cycle_of_one_step_stays_at_its_maximum() -> None:
    assert [cyclic_cosine(step, 1, 1e-3, 1e-6) for step in range(3)] == [1e-3] * 3
