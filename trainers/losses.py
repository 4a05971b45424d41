"""The losses that `trainers.registry` declares.

A loss takes logits and targets, both (B, C), and the activation of the head, and returns a scalar. To add one, declare
it in `registry.LOSSES`, write its function here and list it in `FUNCTIONS`.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from trainers.registry import Activation

__all__ = ["FUNCTIONS", "Loss", "activate", "bce", "bce_twice", "kl", "kl_mean", "mse", "smooth"]

Loss = Callable[[Tensor, Tensor, Activation], Tensor]


def activate(logits: Tensor, activation: Activation) -> Tensor:
    """Scores in [0, 1] of logits (..., C)."""
    return torch.sigmoid(logits) if activation == "sigmoid" else torch.softmax(logits, dim=-1)


def bce(logits: Tensor, targets: Tensor, activation: Activation) -> Tensor:
    """Binary cross-entropy, mean over clips and classes; on the logits for a sigmoid head, else on the scores."""
    if activation == "sigmoid":
        return F.binary_cross_entropy_with_logits(logits, targets)
    scores = activate(logits, activation)
    # PyTorch raises for scores that are not finite, and a CUDA device is unusable afterwards; `LossSums` reports them.
    loss = F.binary_cross_entropy(scores.nan_to_num(), targets)
    return torch.where(scores.isfinite().all(), loss, torch.nan)


def bce_twice(logits: Tensor, targets: Tensor, activation: Activation) -> Tensor:
    """Binary cross-entropy that takes a sigmoid's scores for logits, so that the sigmoid is applied twice.

    The released code's loss for the noisy head of the ResNets and both heads of condition D (docs/paper.md, Paper
    versus released code). Its scores lie in 0.5..0.73, so it is at least 0.31 for a label and 0.69 for none.
    """
    if activation != "sigmoid":
        raise ValueError("the bce_twice loss needs a sigmoid head")
    return F.binary_cross_entropy_with_logits(torch.sigmoid(logits), targets)


def kl(logits: Tensor, targets: Tensor, activation: Activation) -> Tensor:
    """Kullback-Leibler divergence of the labels, scaled to sum 1, from a softmax head; mean over clips.

    BC learning's loss (Tokozume et al. 2018, section 3.2). A clip without labels contributes 0.
    """
    if activation != "softmax":
        raise ValueError("the kl loss needs a softmax head")
    shares = targets / targets.sum(dim=1, keepdim=True).clamp_min(1e-12)  # (B, C)
    return F.kl_div(F.log_softmax(logits, dim=1), shares, reduction="batchmean")


def kl_mean(logits: Tensor, targets: Tensor, activation: Activation) -> Tensor:
    """The released code's Kullback-Leibler divergence: y (log y - log p), mean over clips *and* classes.

    The labels y are not scaled, so a clip with two labels counts twice. For clips with one label it is `kl` divided by
    the number of classes, and so is its gradient: with the authors' learning rate this scale is part of the recipe.
    """
    if activation != "softmax":
        raise ValueError("the kl_mean loss needs a softmax head")
    return F.kl_div(F.log_softmax(logits, dim=1), targets, reduction="none").mean()


def mse(logits: Tensor, targets: Tensor, activation: Activation) -> Tensor:
    """Mean squared error of the scores (the loss of soft pseudo labels, docs/paper.md, Training)."""
    return F.mse_loss(activate(logits, activation), targets)


def smooth(labels: Tensor, part: float) -> Tensor:
    """Labels (B, C), a part of which is spread evenly over the classes (Szegedy et al. 2016, section 7).

    The sum of a clip's labels stays the same.
    """
    return labels if part == 0 else torch.lerp(labels, labels.mean(dim=1, keepdim=True), part)


FUNCTIONS: dict[str, Loss] = {"bce": bce, "bce_twice": bce_twice, "kl": kl, "kl_mean": kl_mean, "mse": mse}
