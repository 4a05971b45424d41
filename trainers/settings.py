"""What can be set about one condition (a row of the paper's Table 1): network, streams, augmentation, schedule.

Every field is part of the Recipe: two conditions with equal settings and inputs have equal results and share one job.
Imports no torch. The names, parameters and bounds of augmentations and losses are declared in `trainers.registry`.
"""

from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import AfterValidator, Field, field_validator, model_validator

from features.settings import Seed, Settings
from trainers.network_settings import (
    NETWORKS,
    EnvNetSettings,
    NetworkSettings,
    PooledSettings,
    ResNetSettings,
    SEResNeXtSettings,
    unless,
)
from trainers.registry import AUGMENTATIONS, LOSSES, Augmentations, resolve_augmentations

__all__ = [
    "NETWORKS",
    "SEMI_METHODS",
    "DistillSettings",
    "EnvNetSettings",
    "MeanTeacherSettings",
    "MixMatchSettings",
    "NetworkSettings",
    "Padding",
    "PooledSettings",
    "PredictSettings",
    "PseudoLabelSettings",
    "PseudoSettings",
    "ReadSettings",
    "ResNetSettings",
    "RescueSettings",
    "SEResNeXtSettings",
    "SemiSettings",
    "TrainSettings",
]

# Upper limits are far above what anyone trains. They catch slips that would fill the memory or run for years.
MAX_CROP = 100_000_000
MAX_PAD = 1_000_000
Padding = Literal["zeros", "repeat"]
"""What position p outside a clip of length n reads: zero, or position p mod n."""
Factor = Annotated[float, Field(gt=0, le=1e6)]
Temperature = Annotated[float, Field(ge=1e-3, le=1e3)]
Epochs = Annotated[float, Field(ge=0, le=1e9)]


def _known_loss(name: str) -> str:
    if name not in LOSSES:
        raise ValueError(f"'{name}' is not a loss; there are {', '.join(sorted(LOSSES))}")
    return name


LossName = Annotated[str, AfterValidator(_known_loss)]


def _distinct(pads: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(pads)) != len(pads) or min(pads) < 0 or max(pads) > MAX_PAD:
        raise ValueError(f"pads must be distinct, not negative and at most {MAX_PAD}")
    return pads


# YAML has lists, not tuples, so fields of this type have `strict=False`, which converts only the outer type.
Pads = Annotated[tuple[int, ...], Field(min_length=1, max_length=64), AfterValidator(_distinct)]


class PseudoSettings(Settings):
    """Pseudo labels by another condition (paper section 3.3): a third batch through the curated head."""

    teacher: str = Field(
        description="condition whose predictions of the noisy clips become labels; it may have learnt from such labels "
        "itself"
    )
    rounds: int = Field(
        1,
        ge=1,
        le=20,
        exclude_if=unless(1),
        description="number of trainings, one after the other; from the second on, the labels are predictions by the "
        "training before, in place of the teacher",
    )
    folds: Literal["same", "all", "crossed"] = Field(
        "same",
        description="which of the teacher's models: same: the model of this fold only (no leak); all: the mean of all "
        "folds (leaks validation labels); crossed: the mean of models that hold out this fold and one other (no leak, "
        "an ensemble; one more training job per pair of folds)",
    )
    labels: Literal["soft", "hard"] = Field(
        "soft", description="soft: the mean prediction, sharpened; hard: 1 for its most likely class, 0 for the others"
    )
    pads: Pads = Field((0,), strict=False, description="pads at which the teacher predicts the noisy clips")
    partners: Literal["balanced", "uniform"] = Field(
        "balanced",
        description="how mixup partners are drawn in this stream; balanced: curated or noisy with equal probability, "
        "as clips are; uniform: every clip with equal probability (released code)",
    )
    weight: Factor = Field(20.0, description="factor of this stream's loss")
    temperature: Temperature = Field(
        2.0,
        description="power T of the mean prediction that soft labels are; above 1 it sharpens them; may be written "
        "`power`",
    )
    own_label: float = Field(
        1.0,
        ge=1,
        le=1e6,
        exclude_if=unless(1.0),
        description="factor of the mean prediction of the classes that a noisy clip is labelled with, so that its "
        "label counts as evidence; (1 - e) (C - 1) / e if a share e of the labels of C classes is wrong, 1: ignored",
    )
    loss: LossName = Field("mse", description="loss of this stream, a declared name")

    @model_validator(mode="before")
    @classmethod
    def _power_is_temperature(cls, fields: Any) -> Any:
        if not isinstance(fields, dict) or "power" not in fields:
            return fields
        if "temperature" in fields:
            raise ValueError("temperature and power are two names of one setting; give one of them")
        return {"temperature" if name == "power" else name: value for name, value in fields.items()}

    @model_validator(mode="after")
    def _rounds_can_teach(self) -> Self:
        if self.rounds > 1 and self.folds == "crossed":
            raise ValueError(
                "rounds above 1 don't go with 'folds: crossed', whose teachers have no pseudo labels of their own; use "
                "'folds: same'"
            )
        return self


def _different(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) != len(names):
        raise ValueError(f"a condition is named twice in {', '.join(names)}; name each once")
    return names


class DistillSettings(Settings):
    """Knowledge distillation (Hinton et al. 2015): a small network learns the scores of several conditions.

    The teachers of a fold are the models that held it out, so that nothing a student learns from has seen its fold.
    """

    teachers: Annotated[tuple[str, ...], Field(strict=False, min_length=1), AfterValidator(_different)] = Field(
        description="conditions whose mean score is learnt, each by its own predictions (`predict`), all counting alike"
    )
    share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="part of the teachers' mean score in the labels of curated clips; the rest is their own label",
    )
    noisy: bool = Field(
        True,
        description="a second batch, of curated and noisy clips, whose noisy labels are the teachers' mean score alone",
    )
    own_label: float = Field(
        1.0,
        ge=1,
        le=1e6,
        description="factor of the odds of the classes that a noisy clip is labelled with, as in `pseudo`; 1: ignored",
    )


class PseudoLabelSettings(Settings):
    """Hard pseudo labels (Lee 2013). `trainers.semi` describes the three methods."""

    trained_views: ClassVar[int] = 1
    """Views of an unlabelled clip that the network is trained on; as many are predicted for their targets."""
    method: Literal["pseudo_label"] = Field("pseudo_label", description="hard labels by the network itself (Lee 2013)")
    threshold: float = Field(0.5, gt=0, lt=1, description="score from which a class of a sigmoid head becomes a label")
    weight: Factor = Field(3.0, description="factor of the unlabelled clips' loss after the ramp, alpha_f")
    ramp_start: Epochs = Field(100.0, description="epoch until which the factor is 0, T1")
    ramp_end: Epochs = Field(600.0, description="epoch from which the factor has its full value, T2")

    @model_validator(mode="after")
    def _ramp_rises(self) -> Self:
        if self.ramp_start > self.ramp_end:
            raise ValueError(f"ramp_start {self.ramp_start} is above ramp_end {self.ramp_end}")
        return self


class MeanTeacherSettings(Settings):
    """Mean Teacher (Tarvainen & Valpola 2017)."""

    trained_views: ClassVar[int] = 1
    """As in `PseudoLabelSettings`; the teacher predicts a second view."""
    method: Literal["mean_teacher"] = Field(
        "mean_teacher", description="agreement with a moving average of the weights (Tarvainen & Valpola 2017)"
    )
    decay: float = Field(0.999, ge=0, lt=1, description="decay of the moving average of the weights, per step")
    weight: Factor = Field(100.0, description="factor of the consistency cost after the ramp")
    ramp_epochs: Epochs = Field(80.0, description="epochs over which the factor rises along a sigmoid-shaped curve")


class MixMatchSettings(Settings):
    """MixMatch (Berthelot et al. 2019)."""

    method: Literal["mixmatch"] = Field(
        "mixmatch", description="guessed labels, all clips mixed with all others (Berthelot et al. 2019)"
    )
    views: int = Field(2, ge=1, le=8, description="augmented views of an unlabelled clip whose scores are averaged, K")
    temperature: Temperature = Field(0.5, description="T; the guessed label is raised to the power 1 / T")
    alpha: float = Field(0.75, ge=1e-3, le=1e3, description="the mixing ratio is drawn from Beta(alpha, alpha)")
    weight: Factor = Field(75.0, description="factor of the unlabelled clips' loss after the ramp, lambda_u")
    ramp_epochs: Epochs = Field(8.0, description="epochs over which the factor rises linearly")

    @property
    def trained_views(self) -> int:
        """As in `PseudoLabelSettings`."""
        return self.views


SemiSettings = Annotated[PseudoLabelSettings | MeanTeacherSettings | MixMatchSettings, Field(discriminator="method")]
SEMI_METHODS: tuple[type[Settings], ...] = get_args(get_args(SemiSettings)[0])


class ReadSettings(Settings):
    """What of a clip is predicted, and how clips share a batch."""

    part: Literal["whole", "start", "end", "crops"] = Field(
        "whole",
        description="part of a clip that is predicted: all of it, the first or the last crop, or the mean of evenly "
        "spaced crops; a crop is as long as the largest one in training",
    )
    crops: int = Field(5, ge=1, le=100, description="number of crops with 'part: crops'")
    align: Literal["left", "centre"] = Field(
        "left", description="where a clip lies in a batch of longer ones; the released code centres waveforms"
    )
    pad_to: Literal["own", "longest"] = Field(
        "own",
        description="length to which a clip is padded to share a batch; own: its length, rounded up, so that its score "
        "does not depend on other clips; longest: that of the longest clip of its batch (released code)",
    )
    patience: float = Field(
        0.1, ge=0, le=1, description="by how much a clip may be padded for this at most; 0.1: by 10 % of its length"
    )


class PredictSettings(ReadSettings):
    """Which predictions of a condition are made: by every snapshot, at every pad."""

    pads: Pads = Field(
        (8, 32),
        strict=False,
        description="zeros added on both sides of a clip, in frames or samples; one prediction per pad",
    )
    heads: tuple[Literal["curated", "noisy"], ...] = Field(
        ("curated",),
        strict=False,
        min_length=1,
        description="heads whose scores are kept; the noisy head adds members to the blend and is never a teacher",
    )

    soup: bool = Field(
        False,
        exclude_if=unless(False),
        description="also predict with the mean of the weights of all cycles' snapshots; as a member, it is the cycle "
        "after the last",
    )

    @field_validator("heads")
    @classmethod
    def _curated_first(cls, heads: tuple[str, ...]) -> tuple[str, ...]:
        if heads not in (("curated",), ("curated", "noisy")):
            raise ValueError("heads is [curated] or [curated, noisy]")
        return heads


class RescueSettings(Settings):
    """A lower learning rate for one fold from some epoch on, for a loss that became nan or inf."""

    after: int = Field(
        ge=0, description="epochs that stay as they were; a job that stopped later continues from this epoch"
    )
    lr_factor: float = Field(gt=0, lt=1, description="factor of the learning rate after these epochs")


class TrainSettings(Settings):
    """One condition: what is trained, on which streams, for how long."""

    network: NetworkSettings = Field(ResNetSettings(), description="what is trained")
    crop: int | tuple[int, ...] = Field(
        512, description="length of a training crop in mel frames or samples; given several, each step draws one"
    )
    padding: Padding = Field("zeros", description="what surrounds a clip that is too short: zeros, or its repetition")
    batch_size: int = Field(64, ge=2, le=65_536, description="clips per stream and step")
    cycles: int = Field(
        8, ge=1, le=1_000, description="cycles of the learning rate, each of which ends with a snapshot"
    )
    epochs: int = Field(
        64, ge=1, le=1_000_000, description="epochs per cycle; an epoch is one pass over the fold's curated clips"
    )
    optimizer: Literal["adam", "adamw", "sgd"] = Field(
        "adam", description="adam, adamw (Adam with decoupled weight decay), or sgd with Nesterov momentum 0.9"
    )
    weight_decay: float = Field(
        0.0,
        ge=0,
        le=1e3,
        exclude_if=unless(0.0),
        description="part of a weight that adamw removes at each step, times the learning rate",
    )
    lr_max: float = Field(1e-3, gt=0, description="learning rate at the start of a cycle")
    lr_min: float = Field(1e-6, ge=0, description="learning rate at the end of a cycle")
    ema: float = Field(
        0.0,
        ge=0,
        lt=1,
        exclude_if=unless(0.0),
        description="decay per step of a moving average of the weights, which is validated and kept as the snapshot in "
        "their place; 0: none",
    )
    augment: Augmentations = Field(default_factory=dict, description="augmentation -> its parameters")
    loss: LossName = Field("bce", description="loss of the curated head, a declared name")
    noisy_loss: LossName = Field("bce", description="loss of the noisy head, a declared name")
    label_smoothing: float = Field(
        0.0,
        ge=0,
        lt=1,
        exclude_if=unless(0.0),
        description="part of the labels of curated and noisy clips that is spread evenly over all classes",
    )
    multitask: bool = Field(False, description="train a second head on the noisy clips")
    noisy_weight: Factor = Field(1.0, description="factor of the second head's loss; the paper's ratio is 1:1")
    noisy: Literal["all", "folds"] = Field(
        "all", description="noisy clips that train the second head: all of them, or those outside the held-out folds"
    )
    validate_noisy: bool = Field(
        False, description="after each epoch, score the noisy clips of the held-out folds by the second head"
    )
    pseudo: PseudoSettings | None = Field(None, description="train on labels that another condition predicts")
    distill: DistillSettings | None = Field(
        None,
        exclude_if=unless(None),
        description="learn the scores of other conditions; such a student is scored like any condition, and not "
        "blended unless `members` names it",
    )
    semi: SemiSettings | None = Field(
        None, description="semi-supervised method that uses the noisy clips without their labels"
    )
    init_from: str | None = Field(
        None, description="condition whose last snapshot of the same fold the training starts from"
    )
    precise_bn: bool = Field(
        False,
        description="recompute the batch-norm statistics of snapshots from unaugmented curated crops instead of "
        "keeping the running statistics of all streams",
    )
    rescue: dict[str, RescueSettings] = Field(
        default_factory=dict,
        description="held-out fold, such as '0' (or '0-1' for a pair) -> lower learning rate after a diverged loss; "
        "not inherited from a base row",
    )
    precision: Literal["bf16", "fp32"] = Field(
        "bf16",
        description="number format of the networks' trunks on a GPU, in training and prediction; heads, losses and "
        "scores are float32, and so is everything on a CPU",
    )
    seed: Seed = Field(0, description="seed of weights, draws and dropout")
    threads: int = Field(1, ge=1, le=256, description="CPU threads of the job; results depend on it in the last bits")

    @field_validator("crop", mode="before")
    @classmethod
    def _lengths(cls, crop: Any) -> Any:
        """Sort lengths and turn a list of one into a number, so that equal conditions have equal signatures."""
        lengths = list(crop) if isinstance(crop, list | tuple) else [crop]
        if not lengths or any(type(length) is not int or not 1 <= length <= MAX_CROP for length in lengths):
            raise ValueError(
                f"a crop is a whole number from 1 to {MAX_CROP}, or a list of such numbers, not {repr(crop)[:80]}"
            )
        if len(set(lengths)) < len(lengths):
            raise ValueError(f"a crop length is given twice in {crop!r}; list each once")
        return tuple(sorted(lengths)) if len(lengths) > 1 else lengths[0]

    @field_validator("augment", mode="before")
    @classmethod
    def _resolve(cls, augment: Any) -> Any:
        """Fill in defaults. Values of another form are left for pydantic to reject."""
        if not isinstance(augment, dict) or not all(isinstance(value, dict) for value in augment.values()):
            return augment
        return resolve_augmentations(augment)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.lr_min > self.lr_max:
            raise ValueError(f"lr_min {self.lr_min} is above lr_max {self.lr_max}")
        if self.weight_decay and self.optimizer != "adamw":
            raise ValueError(f"weight_decay needs 'optimizer: adamw', not {self.optimizer}")
        if self.distill is not None and (self.pseudo is not None or self.semi is not None):
            other = "pseudo" if self.pseudo is not None else "semi"
            raise ValueError(f"distill and {other} both say what the noisy clips teach; leave one of them out")
        for name in self.augment:
            self._check_input_of(name)
        if self.network.kind == "envnet" and self.crops[0] < self.network.min_samples:
            raise ValueError(
                f"crop {self.crops[0]} is too short for envnet; it needs {self.network.min_samples} samples"
            )
        if isinstance(self.semi, PseudoLabelSettings) and self.semi.ramp_start >= self.total_epochs:
            raise ValueError(
                f"semi.ramp_start {self.semi.ramp_start} leaves nothing of the {self.total_epochs} epochs; lower it"
            )
        if self.ema and isinstance(self.semi, MeanTeacherSettings):
            raise ValueError("ema: mean_teacher keeps an average of its own; set semi.decay")
        if self.validate_noisy and not (self.multitask and self.noisy == "folds"):
            raise ValueError("validate_noisy needs 'multitask: true', and 'noisy: folds' so that clips are held out")
        losses = {"loss": self.loss}
        losses |= {"noisy_loss": self.noisy_loss} if self.multitask else {}
        losses |= {"pseudo.loss": self.pseudo.loss} if self.pseudo else {}
        for field, loss in losses.items():
            needed = LOSSES[loss].needs or self.network.activation
            if needed != self.network.activation:
                raise ValueError(f"{field}: {loss} needs network.activation {needed}, not {self.network.activation}")
        return self

    def _check_input_of(self, name: str) -> None:
        inputs = AUGMENTATIONS[name].inputs
        if self.feature_kind not in inputs:
            raise ValueError(f"augment.{name} works on {' and '.join(inputs)}, not on the input of {self.network.kind}")

    @property
    def feature_kind(self) -> Literal["mel", "waveform", "embedding"]:
        """The features that the network reads."""
        return self.network.reads

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the batches of labelled clips that each step trains on."""
        third = self.pseudo is not None or (self.distill is not None and self.distill.noisy)
        return ("curated", *(["noisy"] if self.multitask else []), *(["pseudo"] if third else []))

    @property
    def uses_noisy(self) -> bool:
        """Whether the noisy clips are trained on."""
        return len(self.streams) > 1 or self.semi is not None

    @property
    def crops(self) -> tuple[int, ...]:
        """Lengths of training crops, ascending."""
        return self.crop if isinstance(self.crop, tuple) else (self.crop,)

    @property
    def total_epochs(self) -> int:
        """Epochs of all cycles."""
        return self.cycles * self.epochs
