"""Several workers on one training job, with the results of one: each computes its share of every global batch.

- Every worker makes all draws for the global batch and then keeps its share of the clips. Which clips are drawn, how
  they are cropped, augmented and mixed, and what is dropped out does not depend on the number of workers.
- Batch norm computes its statistics over the global batch (`GlobalBatchNorm`), also on CPUs, where PyTorch's
  SyncBatchNorm does not run.
- A loss is a mean over clips; a worker's part is weighted by its share. Gradients and losses are summed once per step.

So n workers differ from one only in the order of sums, and not at all from each other: all have the same weights and
losses and stop at the same step. Every worker repeats reading and augmentation, which are cheap compared with the
passes through the network.
"""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from features.errors import PeerLostError
from features.words import short
from trainers.supervisor import Stop

__all__ = ["Group", "Share", "Workers"]

STOPS: tuple[Stop, ...] = ("no", "epoch", "now")
SILENCE = timedelta(minutes=30)
"""How long the others wait for a silent worker before they give up."""


@dataclass(frozen=True)
class Share:
    """A worker's part of a global batch."""

    rows: slice
    weight: float
    """Fraction of the clips."""
    clips: int
    """Number of clips in the global batch."""


class Group:
    """The single-worker case."""

    rank = 0
    size = 1

    def adapt(self, network: nn.Module) -> None:
        """Make layers that compute or draw over a batch do so over the global batch."""

    @contextmanager
    def share(self, clips: int) -> Iterator[Share]:
        """This worker's part of a batch of so many clips; inside the context, the network receives that part."""
        yield Share(slice(0, clips), 1.0, clips)

    def add_up(self, network: nn.Module, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:  # noqa: ARG002
        """Sum all workers' gradients, in place, and their losses."""
        return dict(losses)

    def gather(self, part: np.ndarray) -> np.ndarray:
        """The sum of the arrays of all workers: each fills in its rows and leaves the others 0."""
        return part

    def agree(self, stop: Stop) -> Stop:
        """The stop request that the first worker received."""
        return stop

    def from_first(self, state: Any, device: torch.device) -> Any:  # noqa: ARG002 - the interface
        """Tensors and plain values of the first worker."""
        return state

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """A worker that fails leaves the group, so that the others do not wait for it."""


class Workers(Group):
    """The processes of torch.distributed's default group, which must use gloo.

    Tensors on a GPU go through a second group, which uses NCCL.

    Raises of all methods:
        PeerLostError: another worker is gone.
    """

    def __init__(self, device: torch.device) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.current: Share | None = None
        """The part of a batch that the network currently receives, if any."""
        self._tensors: Any = dist.new_group(backend="nccl", timeout=SILENCE) if device.type == "cuda" else None

    def __deepcopy__(self, memo: dict[int, Any]) -> "Workers":
        return self  # a copy of a network belongs to the same group

    def adapt(self, network: nn.Module) -> None:
        """Replace batch norm and dropout by their global versions."""
        for name, child in network.named_children():
            if isinstance(child, nn.BatchNorm2d):
                norm = GlobalBatchNorm(child.num_features, child.eps, child.momentum, group=self)
                norm.load_state_dict(child.state_dict())
                network.register_module(name, norm)
            elif isinstance(child, nn.Dropout):
                network.register_module(name, GlobalDropout(child.p, group=self))
            else:
                self.adapt(child)

    @contextmanager
    def share(self, clips: int) -> Iterator[Share]:
        """Consecutive clips; shares differ by at most one clip."""
        first, last = (clips * (self.rank + end) // self.size for end in (0, 1))
        assert first < last, "a worker needs a clip"
        self.current = Share(slice(first, last), (last - first) / clips, clips)
        try:
            yield self.current
        finally:
            self.current = None

    def add_up(self, network: nn.Module, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Sum gradients and losses in one message."""
        gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
        flat = torch.cat([*(gradient.reshape(-1) for gradient in gradients), *(v.reshape(1) for v in losses.values())])
        sizes = [*(gradient.numel() for gradient in gradients), len(losses)]
        *summed, total = torch.split(self.sum(flat), sizes)
        for gradient, value in zip(gradients, summed, strict=True):
            gradient.copy_(value.view(gradient.shape))
        return dict(zip(losses, total, strict=True))

    def gather(self, part: np.ndarray) -> np.ndarray:
        """The sum of all workers' arrays."""
        total = torch.from_numpy(part.copy())
        with _peers():
            dist.all_reduce(total)
        return total.numpy()

    def agree(self, stop: Stop) -> Stop:
        """The stop request that the first worker received."""
        word = torch.tensor(STOPS.index(stop))
        with _peers():
            dist.broadcast(word, src=0)
        return STOPS[int(word)]

    def from_first(self, state: Any, device: torch.device) -> Any:
        """Tensors, on `device`, and plain values of the first worker."""
        buffer = io.BytesIO()
        torch.save(state, buffer)
        sent = [buffer.getvalue()]
        with _peers():
            dist.broadcast_object_list(sent, src=0)
        return torch.load(io.BytesIO(sent[0]), map_location=device, weights_only=True)

    def sum(self, values: Tensor) -> Tensor:
        """Sum a tensor over the workers, in place."""
        with _peers():
            dist.all_reduce(values, group=self._tensors)
        return values

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is not None and dist.is_initialized():
            dist.destroy_process_group()


@contextmanager
def _peers() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        why = short(" ".join(str(error).split()), 200)
        raise PeerLostError(f"another worker of this job is gone ({why})") from error


class GlobalDropout(nn.Dropout):
    """Drops what a single worker with the global batch would drop."""

    def __init__(self, p: float, group: Workers) -> None:
        super().__init__(p)
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        """(b, ...), this worker's part of the batch or all of it."""
        share = self.group.current
        if share is None or not self.training:
            return super().forward(x)
        kept = F.dropout(torch.ones(share.clips, *x.shape[1:], dtype=x.dtype, device=x.device), self.p)
        return x * kept[share.rows]


class GlobalBatchNorm(nn.BatchNorm2d):
    """Batch norm over the global batch while the network receives part of it."""

    def __init__(self, features: int, eps: float, momentum: float | None, group: Workers) -> None:
        super().__init__(features, eps, momentum)
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        """(b, C, H, W), this worker's part of the batch or all of it."""
        share = self.group.current
        if share is None or not self.training:
            return super().forward(x)
        count = share.clips * x.shape[2] * x.shape[3]
        y, mean, variance = _Normalise.apply(x, self.weight, self.bias, self.eps, count, self.group)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        out: Tensor = y
        return out


class _Normalise(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) * weight + bias, with mean (C,) and variance (C,) over all workers' x."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, count: int, group: Workers
    ) -> tuple[Tensor, Tensor, Tensor]:
        wide = x.float()
        own_variance, own_mean = torch.var_mean(wide, dim=(0, 2, 3), correction=0)
        # One message: the values of all workers, one row each, combined as in Chan et al. (1979).
        rows = wide.new_zeros(group.size, 3, wide.shape[1])
        rows[group.rank] = torch.stack([torch.full_like(own_mean, wide[:, 0].numel() / count), own_mean, own_variance])
        share, means, variances = group.sum(rows).unbind(dim=1)  # (workers, C) each
        mean = (share * means).sum(dim=0)
        variance = (share * (variances + (means - mean).square())).sum(dim=0)
        ctx.save_for_backward(x, weight, mean, torch.rsqrt(variance + eps))
        ctx.count, ctx.group = count, group
        ctx.mark_non_differentiable(mean, variance)
        y = F.batch_norm(wide, mean, variance, weight, bias, training=False, eps=eps)
        return y.to(x.dtype), mean, variance

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse = ctx.saved_tensors
        dy = gradients[0].float()
        normal = (x.float() - _channels(mean)) * _channels(inverse)
        own = torch.stack([dy.sum(dim=(0, 2, 3)), (dy * normal).sum(dim=(0, 2, 3))])  # (2, C)
        along_bias, along_weight = ctx.group.sum(own.clone()) / ctx.count
        dx = _channels(weight * inverse) * (dy - _channels(along_bias) - normal * _channels(along_weight))
        # For the parameters only this worker's part: `Workers.add_up` sums all gradients.
        return dx.to(x.dtype), own[1], own[0], None, None, None


def _channels(values: Tensor) -> Tensor:
    return values[None, :, None, None]
