"""Full-length prediction: every snapshot and pad in one pass over the data, in the batches of `trainers.groups`."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from trainers.clips import ClipBank
from trainers.groups import WHOLE, batches, windows
from trainers.losses import activate
from trainers.network import Head, Tagger
from trainers.settings import Padding, ReadSettings
from trainers.transfer import on_device

__all__ = ["predict"]


@torch.inference_mode()
def predict(
    networks: Sequence[Tagger],
    bank: ClipBank,
    rows: np.ndarray,
    pads: Sequence[int],
    *,
    heads: Sequence[Head] = ("curated",),
    padding: Padding = "zeros",
    read: ReadSettings = WHOLE,
    crop: int = 0,
    progress: Callable[[], None] = lambda: None,
) -> np.ndarray:
    """Scores of whole clips by several networks and heads at several pads.

    Args:
        networks: taggers of equal shape, for instance the snapshots of one job; set to evaluation mode here.
        bank: the clips.
        rows: (N,) rows of those to predict.
        pads: padding on both sides in mel frames or samples; clips below the network's minimum get more behind them.
        heads: heads to score with; they share one pass through the trunk.
        padding: what a clip is padded with, both at its pads and up to the length of its batch.
        read: part of a clip that is predicted, its place in a batch, and how clips share a batch.
        crop: length of a part, if not the whole clip is predicted.
        progress: called after each batch.

    Returns:
        (networks, heads, pads, N, C) float32 scores in [0, 1].
    """
    for network in networks:
        network.eval()
    lengths, parts = windows(bank.lengths[rows], read, crop)
    result: Tensor | None = None  # on the device: nothing waits for a batch before the last one
    values_per_step = int(np.prod(bank.tail, dtype=int))
    for (group, longest), first in itertools.product(batches(lengths, read, values_per_step), parts):
        behind = [max(pad, networks[0].min_length - longest - pad) for pad in pads]
        # Read once, as wide as the largest pad needs: the value at a position does not depend on the pad.
        before = max(pads)
        where = on_device(group, bank.device)
        place = (longest - lengths[group]) // 2 if read.align == "centre" else np.zeros(len(group), np.int64)
        starts = first[group] - before - place
        wide = bank.crop(rows[group], starts, before + longest + max(behind), padding)  # (B, T[, n_mels])
        if read.part != "whole" and padding == "zeros":
            position = np.arange(wide.shape[1]) - (before + place)[:, None]
            inside = on_device((position >= 0) & (position < lengths[group][:, None]), wide.device)  # (B, T)
            wide = wide * inside.reshape(*inside.shape, *[1] * len(bank.tail))
        for p, pad in enumerate(pads):
            padded = wide[:, before - pad : before + longest + behind[p]].contiguous()
            prepared = networks[0].prepare(padded)
            for n, network in enumerate(networks):
                features = network.embed_prepared(prepared)  # (B, features)
                for h, head in enumerate(heads):
                    scores = activate(network.logits(features, head), network.activation)  # (B, C)
                    if result is None:
                        shape = (len(networks), len(heads), len(pads), len(rows), scores.shape[1])
                        result = torch.zeros(shape, dtype=torch.float32, device=scores.device)
                    result[n, h, p].index_add_(0, where, scores / len(parts))
        progress()
    if result is None:
        raise ValueError("there are no clips to predict")
    found: np.ndarray = result.cpu().numpy()
    return found
