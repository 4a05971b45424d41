# ruff: noqa: ARG002 - not every method needs every argument
"""Semi-supervised methods by name, which the paper's authors tried in place of the soft pseudo label and dropped.

All use the noisy clips of the training folds without their labels, through the curated head. A method turns the batches
of a step into batches with targets; the loop computes their losses as for every stream. The sources assume one class
per clip: here a sigmoid head decides each class on its own, and a softmax head follows the source.

Choices for all three, where the sources are silent or differ:
- Targets come from a forward pass without gradient in training mode (dropout, batch statistics of these clips) that
  leaves the running batch-norm statistics unchanged. MixMatch's released code does the same.
- Ramps are in epochs, and an epoch is one pass over the curated clips, as everywhere.
- Unlabelled clips are read without the augmentations that mix clips: two mixtures are not two views of one clip.

To add a method, write a class with a `register` line here and its settings in `trainers.settings`.
"""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from trainers.batch import column
from trainers.losses import activate
from trainers.network import Tagger
from trainers.randomness import generator
from trainers.registry import Activation
from trainers.settings import MeanTeacherSettings, MixMatchSettings, PseudoLabelSettings, TrainSettings
from trainers.transfer import send

__all__ = ["METHODS", "Batches", "Method", "hard_labels", "make_method", "sharpen"]

Batches = dict[str, tuple[Tensor, Tensor]]
"""Inputs (B, T, n_mels) or (B, S) and targets (B, C) by the name of their loss."""


OwnSettings = TypeVar("OwnSettings")
"""The settings that belong to a method, the field `semi` of a condition."""


class Method(nn.Module, Generic[OwnSettings]):
    """Supervised training, which leaves the batches as they are; base class of the methods.

    Holds everything that is learnt: the network, and the moving average of its weights if there is one (`ema`, Polyak &
    Juditsky 1992). Checkpoints contain the tensors of both.
    """

    views = 0
    """Number of times that each unlabelled clip is read, each time with its own crop and augmentations."""
    mixes_curated = False
    """Whether it mixes the curated clips itself; they are then read without the augmentations that mix clips too."""

    def __init__(
        self, settings: TrainSettings, semi: OwnSettings, network: Tagger, steps_per_epoch: int, seed: int
    ) -> None:
        super().__init__()
        self.settings, self.semi, self.network = settings, semi, network
        self.steps_per_epoch, self.seed = steps_per_epoch, seed
        self.average = copy.deepcopy(network).requires_grad_(False) if settings.ema else None

    @property
    def evaluated(self) -> Tagger:
        """The network that is validated and kept as a snapshot."""
        return self.average or self.network

    def terms(self, step: int) -> dict[str, tuple[str, float]]:
        """Name of the loss and its weight at a step, for each batch that the method adds."""
        return {}

    def views_at(self, step: int) -> int:
        """How many of the views are read at a step."""
        return self.views

    def batches(self, labelled: Batches, views: Sequence[Tensor], step: int) -> Batches:
        """The batches that a step is trained on.

        Args:
            labelled: the batches of the streams with labels.
            views: inputs (B, ...) of the same unlabelled clips, `views_at(step)` of them.
            step: global step.
        """
        return labelled

    def after_step(self, step: int) -> None:
        """Called when the optimizer has changed the network."""
        if self.average is not None:
            _update_average(self.average, self.network, self.settings.ema, step)


METHODS: dict[str, type[Method[Any]]] = {}


M = TypeVar("M", bound=Method[Any])


def register(name: str) -> Callable[[type[M]], type[M]]:
    """Register a method under the name that its settings have in the field `method`."""

    def add(method: type[M]) -> type[M]:
        METHODS[name] = method
        return method

    return add


def make_method(settings: TrainSettings, network: Tagger, steps_per_epoch: int, seed: int) -> Method[Any]:
    """The method of a condition; plain supervised training if it names none."""
    if settings.semi is None:
        return Method(settings, None, network, steps_per_epoch, seed)
    return METHODS[settings.semi.method](settings, settings.semi, network, steps_per_epoch, seed)


@register("pseudo_label")
class PseudoLabel(Method[PseudoLabelSettings]):
    """Hard pseudo labels (Lee 2013): the network's own prediction of an unlabelled clip becomes its label.

    Section 2.2: the most likely class is the label, chosen at every update; its loss is that of the labelled
    clips, times alpha(t), which is 0 until T1, rises linearly, and is alpha_f from T2 on. There alpha_f = 3, T1 = 100,
    T2 = 600 epochs.

    Chosen here: the labels of a sigmoid head are all classes that reach a threshold, possibly none (the target is then
    all zeros); the labels have their own dropout draws; until T1 the clips are not read.
    """

    views = 1

    def terms(self, step: int) -> dict[str, tuple[str, float]]:
        """The loss of the curated head, times alpha(t)."""
        return {"unlabelled": (self.settings.loss, self._alpha(step))}

    def views_at(self, step: int) -> int:
        """None while alpha(t) is 0."""
        return self.views if self._alpha(step) > 0 else 0

    def _alpha(self, step: int) -> float:
        start, end = self.semi.ramp_start, self.semi.ramp_end
        return self.semi.weight * _linear(step / self.steps_per_epoch - start, end - start)

    def batches(self, labelled: Batches, views: Sequence[Tensor], step: int) -> Batches:
        """Add the unlabelled clips with the network's own hard labels."""
        if not views:
            return labelled
        (x,) = views
        labels = hard_labels(_scores(self.network, x), self.semi.threshold, self.network.activation)
        return {**labelled, "unlabelled": (x, labels)}


@register("mean_teacher")
class MeanTeacher(Method[MeanTeacherSettings]):
    """Mean Teacher (Tarvainen & Valpola 2017): the network agrees with a moving average of its own weights.

    Section 2: after every step, theta'_t = alpha theta'_(t-1) + (1 - alpha) theta_t; the consistency cost is the mean
    squared error between the student's scores of a clip and the teacher's, each with noise (augmentation, dropout) of
    its own. Appendix B: alpha 0.999; weight 100 after a ramp of exp(-5 (1 - t/T)^2) over 40,000 steps of 100 images,
    which are 80 epochs of CIFAR-10. The average starts as a plain mean, alpha = min(1 - 1/(t + 1), 0.999), as in the
    released code.

    Chosen here: the consistency cost is computed on the noisy clips; there, on the labelled ones too. As in the paper,
    the teacher is validated and predicts: snapshots contain its weights, including those of a noisy head. Its running
    batch-norm statistics are the same average of the student's, which have seen all streams.
    """

    views = 2

    def __init__(
        self, settings: TrainSettings, semi: MeanTeacherSettings, network: Tagger, steps_per_epoch: int, seed: int
    ) -> None:
        super().__init__(settings, semi, network, steps_per_epoch, seed)
        self.teacher = copy.deepcopy(network).requires_grad_(False)

    @property
    def evaluated(self) -> Tagger:
        """The teacher."""
        return self.teacher

    def terms(self, step: int) -> dict[str, tuple[str, float]]:
        """Mean squared error, with the sigmoid-shaped ramp."""
        left = 1.0 - _linear(step / self.steps_per_epoch, self.semi.ramp_epochs)
        return {"unlabelled": ("mse", self.semi.weight * math.exp(-5.0 * left**2))}

    def batches(self, labelled: Batches, views: Sequence[Tensor], step: int) -> Batches:
        """Add one view of the unlabelled clips with the teacher's scores of the other."""
        for_student, for_teacher = views
        return {**labelled, "unlabelled": (for_student, _scores(self.teacher, for_teacher))}

    def after_step(self, step: int) -> None:
        """Update the teacher."""
        _update_average(self.teacher, self.network, self.semi.decay, step)


@register("mixmatch")
class MixMatch(Method[MixMatchSettings]):
    """MixMatch (Berthelot et al. 2019, section 3 and algorithm 1): guessed labels, and all clips mixed with all others.

    A clip's guess is the mean of the scores of K views of it, sharpened. Each curated clip and each view is then mixed
    with a partner drawn from all of them, lambda ~ Beta(alpha, alpha), lambda' = max(lambda, 1 - lambda), so that it
    stays mostly itself. Loss: that of the labelled clips on the mixed curated ones, plus lambda_u times the mean
    squared error of the scores of the mixed views. There K = 2, T = 0.5, alpha = 0.75, and lambda_u (75 for CIFAR-10)
    rises linearly over the first 16,000 of 1,048,576 steps: 1/64 of the training, 8 of 512 epochs here.

    Chosen here: a sigmoid head sharpens each class against its absence; mel clips are mixed as power, before dB,
    waveforms as samples; lambda is drawn per clip, as in the released code. This replaces the augmentations that
    mix curated clips; the other streams (multitask, pseudo) keep theirs. Mixed curated clips and mixed views go
    through the trunk one after the other, as all streams here do; the released code interleaves them.
    """

    mixes_curated = True

    def __init__(
        self, settings: TrainSettings, semi: MixMatchSettings, network: Tagger, steps_per_epoch: int, seed: int
    ) -> None:
        super().__init__(settings, semi, network, steps_per_epoch, seed)
        self.views = semi.views

    def terms(self, step: int) -> dict[str, tuple[str, float]]:
        """Mean squared error, with the linear ramp."""
        share = _linear(step / self.steps_per_epoch, self.semi.ramp_epochs)
        return {"unlabelled": ("mse", self.semi.weight * share)}

    def batches(self, labelled: Batches, views: Sequence[Tensor], step: int) -> Batches:
        """The curated batch mixed, and K B mixed views with mixed guesses."""
        mean = torch.stack([_scores(self.network, view) for view in views]).mean(dim=0)  # (B, C)
        guess = sharpen(mean, self.semi.temperature, self.network.activation)
        x, y = labelled["curated"]
        clips, device = len(x), x.device
        x, y = torch.cat([x, *views]), torch.cat([y, *[guess] * len(views)])  # (B + K B, ...)
        rng = generator(self.seed, "mixmatch", step)
        order, ratio = rng.permutation(len(x)), rng.beta(self.semi.alpha, self.semi.alpha, len(x))
        partner, own = send([order, ratio.clip(min=1.0 - ratio).astype(np.float32)], device)
        x, y = (torch.lerp(v[partner], v, column(own, v.dim())) for v in (x, y))
        return {**labelled, "curated": (x[:clips], y[:clips]), "unlabelled": (x[clips:], y[clips:])}


@torch.no_grad()
def _update_average(average: Tagger, network: Tagger, decay: float, step: int) -> None:
    """Move an average of weights and buffers towards the network after a step; integers (counters) are copied.

    It starts as a plain mean: the decay is at most 1 - 1 / (steps + 1).
    """
    decay = min(1.0 - 1.0 / (step + 2), decay)
    for mean, value in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if mean.is_floating_point():
            mean.lerp_(value, 1.0 - decay)
        else:
            mean.copy_(value)


def hard_labels(scores: Tensor, threshold: float, activation: Activation) -> Tensor:
    """(B, C) zeros and ones: the classes of a sigmoid head that reach the threshold, the best one of a softmax head."""
    if activation == "sigmoid":
        return (scores >= threshold).float()
    return torch.zeros_like(scores).scatter_(1, scores.argmax(dim=1, keepdim=True), 1.0)


def sharpen(scores: Tensor, temperature: float, activation: Activation) -> Tensor:
    """p^(1/T) / sum of p^(1/T), of (B, C) scores: over the classes (softmax), or over p and 1 - p of each (sigmoid)."""
    if activation == "sigmoid":
        return torch.sigmoid(torch.logit(scores) / temperature)  # equal, and without a power that underflows
    return torch.softmax(scores.log() / temperature, dim=1)


def _linear(epochs: float, ramp_epochs: float) -> float:
    """The fraction of a ramp that is done, 0..1; a ramp without length is a step."""
    return min(max(epochs / ramp_epochs, 0.0), 1.0) if ramp_epochs > 0 else float(epochs >= 0)


@torch.no_grad()
def _scores(network: Tagger, x: Tensor) -> Tensor:
    """(B, C) scores of the curated head in training mode that leave the batch-norm statistics unchanged."""
    with _statistics_kept(network):
        return activate(network(x, "curated").float(), network.activation)


@contextmanager
def _statistics_kept(network: nn.Module) -> Iterator[None]:
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
