"""Weight averages: one network with the mean of the weights of several (Wortsman et al. 2022; Izmailov et al. 2018)."""

import copy
from collections.abc import Sequence

import torch

from trainers.network import Tagger

__all__ = ["mean_of"]


def mean_of(networks: Sequence[Tagger]) -> Tagger:
    """A network with the mean of every tensor, statistics of batch norms included; counters are the first's.

    Args:
        networks: of one form and one training, as snapshots of its cycles are.
    """
    mean = copy.deepcopy(networks[0])
    states = [network.state_dict() for network in networks]
    mean.load_state_dict(
        {
            name: torch.stack([state[name].double() for state in states]).mean(dim=0).to(value.dtype)
            if value.is_floating_point()
            else value
            for name, value in states[0].items()
        }
    )
    return mean
