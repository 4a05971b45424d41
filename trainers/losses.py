"""Losses by name. A loss takes logits and targets, both (B, C), and the head's activation, and gives a scalar.

Register a new one with a line in `LOSSES`; its name can then be used in a grid.
"""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["LOSSES", "Activation", "Loss", "activate", "bce", "kl", "mse"]

Activation = Literal["sigmoid", "softmax"]
Loss = Callable[[Tensor, Tensor, Activation], Tensor]


def activate(logits: Tensor, activation: Activation) -> Tensor:
    """Scores in [0, 1] of logits (..., C)."""
    return torch.sigmoid(logits) if activation == "sigmoid" else torch.softmax(logits, dim=-1)


def bce(logits: Tensor, targets: Tensor, activation: Activation) -> Tensor:
    """Binary cross-entropy, mean over clips and classes; on the logits for a sigmoid head, else on the scores."""
    if activation == "sigmoid":
        return F.binary_cross_entropy_with_logits(logits, targets)
    scores = activate(logits, activation)
    # PyTorch refuses scores that are not finite, on a GPU for good; the loop has a sentence for such a loss.
    loss = F.binary_cross_entropy(scores.nan_to_num(), targets)
    return torch.where(scores.isfinite().all(), loss, torch.nan)


def kl(logits: Tensor, targets: Tensor, activation: Activation) -> Tensor:
    """Kullback-Leibler divergence of the labels, scaled to sum 1, from a softmax head; mean over clips.

    BC learning's loss (Tokozume et al. 2018, section 3.2). A clip without labels contributes 0.
    """
    if activation != "softmax":
        raise ValueError("the kl loss needs a softmax head")
    shares = targets / targets.sum(dim=1, keepdim=True).clamp_min(1e-12)  # (B, C)
    return F.kl_div(F.log_softmax(logits, dim=1), shares, reduction="batchmean")


def mse(logits: Tensor, targets: Tensor, activation: Activation) -> Tensor:
    """Mean squared error of the scores (the soft pseudo label loss, recipe: Soft pseudo label)."""
    return F.mse_loss(activate(logits, activation), targets)


LOSSES: dict[str, Loss] = {"bce": bce, "kl": kl, "mse": mse}
