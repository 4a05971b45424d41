"""Losses of an epoch, summed on the device, and detection of the first one that is not finite.

Nothing here waits for the device until the sums are read: on a GPU, a check at every step would be slow.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from features.errors import NotFiniteError

__all__ = ["LossSums"]


class LossSums:
    """Sums of the losses of each stream over the steps of an epoch."""

    def __init__(self, names: Sequence[str], device: torch.device) -> None:
        self.totals = {name: torch.zeros((), device=device) for name in names}
        self._last = {name: torch.full((), math.nan, device=device) for name in names}
        """Loss of the last step at which it was finite."""
        self._bad = {name: torch.full((), -1, dtype=torch.int64, device=device) for name in names}
        """First step at which it was not."""

    def add(self, name: str, loss: Tensor, step: int) -> None:
        """Add the loss of one stream at a global step."""
        loss = loss.detach()
        self.totals[name] += loss
        finite = torch.isfinite(loss)
        good = self._bad[name] < 0
        self._last[name] = torch.where(finite & good, loss, self._last[name])
        # Not `where`, which would copy the number of the step to the device and wait.
        self._bad[name].masked_fill_(~finite & good, step)

    def means(self, steps: int) -> dict[str, float]:
        """Mean loss of each stream."""
        totals = torch.stack([*self.totals.values()]).tolist()
        return {f"loss_{name}": total / steps for name, total in zip(self.totals, totals, strict=True)}

    def check(self, network: nn.Module, step: int, steps_per_epoch: int) -> None:
        """Check that every loss since the last check, and the weights, are finite.

        Args:
            network: network after the last step.
            step: the last global step.
            steps_per_epoch: for the epoch in the message.

        Raises:
            NotFiniteError: the message names the first such stream, its epoch and step, and the last finite losses.
        """
        largest = nn.utils.get_total_norm([value.detach() for value in network.parameters()], math.inf)
        *firsts, fine = torch.stack([*self._bad.values(), largest.isfinite()]).tolist()  # the only read
        bad = {name: first for name, first in zip(self._bad, firsts, strict=True) if first >= 0}
        if bad:
            name = min(bad, key=lambda key: bad[key])
            raise self._error(f"the loss of stream {name} became nan or inf", bad[name], steps_per_epoch)
        if not fine:
            raise self._error("the weights became nan or inf", step, steps_per_epoch)

    def _error(self, what: str, step: int, steps_per_epoch: int) -> NotFiniteError:
        epoch, place = divmod(step, steps_per_epoch)
        last = [f"{name} {float(value):.4g}" for name, value in self._last.items() if math.isfinite(float(value))]
        return NotFiniteError(
            f"{what} in epoch {epoch + 1}, step {place + 1} of {steps_per_epoch}; "
            f"last finite losses: {', '.join(last) or 'none'}; try a lower lr_max",
            epoch,
        )

    def state(self) -> dict[str, Tensor]:
        """The sums for a checkpoint within an epoch."""
        return {name: total.clone() for name, total in self.totals.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Continue from the sums of `state()`."""
        for name, value in state.items():
            self.totals[name].copy_(value)
