import math
import re

import pytest
import torch
from torch import Tensor, nn

from features.errors import NotFiniteError
from trainers.sums import LossSums

CPU = torch.device("cpu")


def sums_of(losses: dict[str, list[float]]) -> LossSums:
    sums = LossSums([*losses], CPU)
    for name, values in losses.items():
        for step, value in enumerate(values, start=4):
            sums.add(name, torch.tensor(value), step)
    return sums


def test_means_are_over_the_steps_of_an_epoch() -> None:
    assert sums_of({"curated": [1.0, 2.0], "noisy": [0.5, 0.0]}).means(2) == {"loss_curated": 1.5, "loss_noisy": 0.25}


def test_an_epoch_continues_from_the_sums_of_its_checkpoint() -> None:
    state = sums_of({"curated": [1.0, 2.0]}).state()
    again = sums_of({"curated": []})
    again.restore(state)
    again.add("curated", torch.tensor(3.0), 6)
    assert again.means(3) == {"loss_curated": 2.0}
    assert state["curated"] == 3.0, "a checkpoint is a copy"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_the_first_loss_that_is_not_finite_is_named(bad: float) -> None:
    sums = sums_of({"curated": [1.0, 2.0, bad], "noisy": [0.5, bad, 0.25]})
    with pytest.raises(NotFiniteError) as caught:
        sums.check(nn.Linear(2, 2), 6, 4)
    assert re.match(
        r"the loss of stream noisy became nan or inf in epoch 2, step 2 of 4; last finite losses: curated 2, noisy 0.5",
        str(caught.value),
    )
    assert caught.value.epochs_done == 1


def test_weights_that_are_not_finite_are_found() -> None:
    network = nn.Linear(2, 2)
    sums = sums_of({"curated": [1.0]})
    sums.check(network, 4, 4)
    with torch.no_grad():
        network.bias[1] = math.nan
    with pytest.raises(NotFiniteError, match="the weights became nan or inf in epoch 2, step 1 of 4"):
        sums.check(network, 4, 4)


def test_a_loss_keeps_no_graph() -> None:
    weight = torch.ones((), requires_grad=True)
    sums = LossSums(["curated"], CPU)
    loss: Tensor = 2 * weight
    sums.add("curated", loss, 0)
    assert not sums.totals["curated"].requires_grad
