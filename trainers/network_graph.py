"""A network and what `trainers.predict` does around it, as modules that `torch.export` can turn into a graph.

A graph takes equally long clips. The length to which they are padded is computed by tensors, as it can't branch.
"""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from trainers.envnet import EnvNetTrunk
from trainers.folded import fold_norms
from trainers.losses import activate
from trainers.network import Head, Tagger
from trainers.packing import Packed, Precision, pack, unpack
from trainers.settings import Padding, ReadSettings

__all__ = ["NetworkGraph", "PadGraph"]

LONGEST = 1 << 40
"""Frames or samples. No clip is longer."""


class PadGraph(nn.Module):
    """The parts of clips that a network is given, with a pad.

    Args:
        read: which parts. A clip is padded to its own length, rounded up.
        crop: length of a part, if not the whole clip is predicted.
        padding: what surrounds a clip.
        pad: frames or samples on both sides.
        shortest: smallest input of the network.
    """

    lengths: Tensor
    steps: Tensor

    def __init__(self, read: ReadSettings, crop: int, padding: Padding, pad: int, shortest: int) -> None:
        super().__init__()
        self.read, self.crop, self.padding, self.pad, self.shortest = read, crop, padding, pad, shortest
        lengths, steps = _rounding(read.patience)
        self.register_buffer("lengths", lengths)
        self.register_buffer("steps", steps)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, T[, bands]) -> one (B, T'[, bands]) per part."""
        whole = torch.scalar_tensor(x.shape[1], dtype=torch.int64)
        length = whole if self.read.part == "whole" else whole.clamp_max(self.crop)
        step = torch.where(length >= self.lengths, self.steps, 1).amax(0)
        longest = (length + step - 1) // step * step
        behind = (self.shortest - longest - self.pad).clamp_min(self.pad)
        place = (longest - length) // 2 if self.read.align == "centre" else 0
        width = (self.pad + longest + behind).item()
        torch._check(width >= self.shortest)  # tells the exporter that no layer runs out of input
        position = torch.arange(width) - self.pad - place  # (T',) in the part
        return [self._cut(x, position, first, length, whole) for first in self._firsts(whole - length)]

    def _firsts(self, room: Tensor) -> list[Tensor]:
        """First positions of the parts."""
        if self.read.part == "crops":
            shares = np.linspace(0.0, 1.0, self.read.crops).tolist() if self.read.crops > 1 else [0.5]
            return [(share * room.double()).floor().long() for share in shares]
        return [room if self.read.part == "end" else torch.zeros_like(room)]

    def _cut(self, x: Tensor, position: Tensor, first: Tensor, length: Tensor, whole: Tensor) -> Tensor:
        if self.padding == "repeat":
            return x.index_select(1, (position + first).remainder(whole))
        inside = (position >= 0) & (position < length)
        cut = x.index_select(1, torch.where(inside, position + first, 0))
        return cut * inside.reshape(-1, *[1] * (x.ndim - 2))


class NetworkGraph(nn.Module):
    """Scores by some heads of a network, whose weights are buffers in fewer bits.

    Batch norms are folded into the convolutions before them, which leaves fewer operations.
    """

    def __init__(self, network: Tagger, heads: Sequence[Head], precision: Precision = "fp32") -> None:
        super().__init__()
        folded = copy.deepcopy(network).cpu().to(memory_format=torch.contiguous_format).eval()
        fold_norms(folded)
        if isinstance(folded.trunk, EnvNetTrunk):
            folded.trunk.maps[-1] = _MaximumOverTime()
        for head in set(folded.heads) - set(heads):
            del folded.heads[head]
        self.heads = tuple(heads)
        self.packed: dict[str, Packed] = {}
        """Name of a tensor of the network -> its weights."""
        for name, tensor in folded.state_dict().items():
            if not name.endswith("num_batches_tracked"):
                packed = pack(tensor, precision)
                self.packed[name] = packed
                for part, value in zip(("", "_scale"), packed, strict=True):
                    if value is not None:
                        self.register_buffer(name.replace(".", "_") + part, value)
        self._form = [folded.to("meta")]  # in a list, so that its own tensors don't belong to this module

    def forward(self, x: Tensor) -> Tensor:
        """(B, T[, bands]) -> (heads, B, C)."""
        weights = {f"network.{name}": unpack(self._buffers_of(name)) for name in self.packed}
        found: Tensor = torch.func.functional_call(_Scores(self._form[0], self.heads), weights, (x,))
        return found

    def unpacked(self) -> "NetworkGraph":
        """The same network with weights of 32 bits."""
        made = copy.deepcopy(self)
        for name, packed in self.packed.items():
            made.packed[name] = unpack(packed), None
            own = name.replace(".", "_")
            setattr(made, own, made.packed[name][0])
            if packed[1] is not None:
                delattr(made, f"{own}_scale")
        return made

    def _buffers_of(self, name: str) -> Packed:
        own = name.replace(".", "_")
        return getattr(self, own), getattr(self, f"{own}_scale", None)


class _Scores(nn.Module):
    def __init__(self, network: Tagger, heads: Sequence[Head]) -> None:
        super().__init__()
        self.network = network
        self.names = heads

    def forward(self, x: Tensor) -> Tensor:
        network = self.network
        features = network.embed(x)
        # Without `Tagger.logits`, whose autocast ONNX has no word for.
        return torch.stack([activate(network.heads[name](features), network.activation) for name in self.names])


class _MaximumOverTime(nn.Module):
    """EnvNet's adaptive pool, whose input has ten rows already."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.amax(dim=3, keepdim=True)


def _rounding(patience: float) -> tuple[Tensor, Tensor]:
    """`own_lengths` as a table: from which length on lengths are rounded up to multiples of which step."""
    lengths, steps, step = [LONGEST], [1], 2
    while patience * LONGEST > step:
        lengths.append(_least(step, patience))
        steps.append(step)
        step *= 2
    return torch.tensor(lengths), torch.tensor(steps)


def _least(step: int, patience: float) -> int:
    """The least length of which `patience` is a step."""
    length = int(step / patience)
    while patience * np.float64(length) < step:
        length += 1
    while patience * np.float64(length - 1) >= step:
        length -= 1
    return length
