"""What can be set about one condition (a row of the paper's Table 1): network, streams, augmentation, schedule.

Every field is part of the Recipe: two conditions with equal settings and inputs give equal numbers and share one job.
"""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from features.settings import Seed, Settings
from trainers import augment_mel, augment_waveform  # noqa: F401  importing them registers what they hold
from trainers.augment import AUGMENTATIONS, resolve_augmentations
from trainers.clips import Padding
from trainers.envnet import EnvNetTrunk
from trainers.losses import LOSSES, NEEDS

__all__ = [
    "EnvNetSettings",
    "MeanTeacherSettings",
    "MixMatchSettings",
    "NetworkSettings",
    "PredictSettings",
    "PseudoLabelSettings",
    "PseudoSettings",
    "ResNetSettings",
    "RescueSettings",
    "SEResNeXtSettings",
    "SemiSettings",
    "TrainSettings",
]

# Upper limits are far above what anyone trains; they keep a slip of the finger from filling a memory or a decade.
MAX_CROP = 100_000_000
MAX_PAD = 1_000_000
HeadUnits = Annotated[int, Field(ge=8, le=65_536, description="units of the two hidden layers of a head")]
Factor = Annotated[float, Field(gt=0, le=1e6)]
Temperature = Annotated[float, Field(ge=1e-3, le=1e3)]
Epochs = Annotated[float, Field(ge=0, le=1e9)]

Normalise = Annotated[
    Literal["clip", "dataset"],
    Field(description="whose mean and deviation of dB: each crop's own, or those of the fold's curated training clips"),
]


def _known_loss(name: str) -> str:
    if name not in LOSSES:
        raise ValueError(f"'{name}' is not a loss; there are {', '.join(sorted(LOSSES))}")
    return name


LossName = Annotated[str, AfterValidator(_known_loss)]


class ResNetSettings(Settings):
    """Residual network on mel power; depth 34 at width 64 is the paper's."""

    reads: ClassVar[Literal["mel", "waveform"]] = "mel"
    kind: Literal["resnet"] = "resnet"
    depth: Literal[10, 18, 34] = Field(34, description="weighted layers")
    width: int = Field(64, ge=4, le=512, description="channels of the first stage")
    head_units: HeadUnits = 1024
    activation: Literal["sigmoid", "softmax"] = "sigmoid"
    normalise: Normalise = "clip"


class SEResNeXtSettings(Settings):
    """SE-ResNeXt-50 on mel power; width 64 is 32x4d, which the authors tried."""

    reads: ClassVar[Literal["mel", "waveform"]] = "mel"
    kind: Literal["seresnext"] = "seresnext"
    width: int = Field(64, ge=4, le=512, multiple_of=4, description="channels of the stem; two of them a group")
    head_units: HeadUnits = 1024
    activation: Literal["sigmoid", "softmax"] = "sigmoid"
    normalise: Normalise = "clip"


class EnvNetSettings(Settings):
    """EnvNet-v2 on samples; width 32 is the paper's."""

    reads: ClassVar[Literal["mel", "waveform"]] = "waveform"
    kind: Literal["envnet"] = "envnet"
    width: int = Field(32, ge=4, le=256, description="channels of the first convolution")
    head_units: HeadUnits = 1024
    activation: Literal["sigmoid", "softmax"] = "sigmoid"


NetworkSettings = Annotated[ResNetSettings | SEResNeXtSettings | EnvNetSettings, Field(discriminator="kind")]


class PseudoSettings(Settings):
    """Soft pseudo labels (paper section 3.3): a third batch through the curated head."""

    teacher: str = Field(description="condition whose predictions of the noisy clips become soft labels")
    folds: Literal["same", "all", "crossed"] = Field(
        "same",
        description="same: the teacher of this fold only (clean); all: mean of all folds (leaks validation labels); "
        "crossed: mean of teachers that hold out this fold and one other (clean, and an ensemble; one more job a pair)",
    )
    weight: Factor = Field(20.0, description="factor of this stream's loss")
    temperature: Temperature = Field(2.0, description="exponent that sharpens the mean prediction")
    loss: LossName = Field("mse", description="name of a registered loss")


class PseudoLabelSettings(Settings):
    """Hard pseudo labels (Lee 2013); see `trainers.semi` for these three."""

    method: Literal["pseudo_label"] = "pseudo_label"
    threshold: float = Field(0.5, gt=0, lt=1, description="score from which a sigmoid head's class is a label")
    weight: Factor = Field(3.0, description="factor of the unlabelled clips' loss after the ramp, alpha_f")
    ramp_start: Epochs = Field(100.0, description="epochs before which the factor is 0, T1")
    ramp_end: Epochs = Field(600.0, description="epochs after which the factor is whole, T2")

    @model_validator(mode="after")
    def _ramp_rises(self) -> Self:
        if self.ramp_start > self.ramp_end:
            raise ValueError(f"ramp_start {self.ramp_start} is above ramp_end {self.ramp_end}")
        return self


class MeanTeacherSettings(Settings):
    """Mean Teacher (Tarvainen & Valpola 2017)."""

    method: Literal["mean_teacher"] = "mean_teacher"
    decay: float = Field(0.999, ge=0, lt=1, description="of the moving average of the weights, a step")
    weight: Factor = Field(100.0, description="factor of the consistency cost after the ramp")
    ramp_epochs: Epochs = Field(80.0, description="epochs in which the factor rises, sigmoid-shaped")


class MixMatchSettings(Settings):
    """MixMatch (Berthelot et al. 2019)."""

    method: Literal["mixmatch"] = "mixmatch"
    views: int = Field(2, ge=1, le=8, description="augmentations of an unlabelled clip whose scores are averaged, K")
    temperature: Temperature = Field(0.5, description="T: the guessed label is raised to 1 / T")
    alpha: float = Field(0.75, ge=1e-3, le=1e3, description="lambda ~ Beta(alpha, alpha)")
    weight: Factor = Field(75.0, description="factor of the unlabelled clips' loss after the ramp, lambda_u")
    ramp_epochs: Epochs = Field(8.0, description="epochs in which the factor rises, in a line")


SemiSettings = Annotated[PseudoLabelSettings | MeanTeacherSettings | MixMatchSettings, Field(discriminator="method")]


class PredictSettings(Settings):
    """Which predictions of a condition are made: every snapshot, at every pad."""

    # YAML has lists, not tuples: the outer type alone may be converted.
    pads: tuple[int, ...] = Field(
        (8, 32), min_length=1, max_length=64, strict=False, description="zeros on both sides: frames or samples"
    )

    heads: tuple[Literal["curated", "noisy"], ...] = Field(
        ("curated",),
        strict=False,
        min_length=1,
        description="heads whose scores are kept; the noisy one is another member for the blend, never a teacher",
    )

    @field_validator("heads")
    @classmethod
    def _curated_first(cls, heads: tuple[str, ...]) -> tuple[str, ...]:
        if heads not in (("curated",), ("curated", "noisy")):
            raise ValueError("heads is [curated] or [curated, noisy]")
        return heads

    @field_validator("pads")
    @classmethod
    def _distinct(cls, pads: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(pads)) != len(pads) or min(pads) < 0 or max(pads) > MAX_PAD:
            raise ValueError(f"pads must be distinct, not negative and at most {MAX_PAD}")
        return pads


class RescueSettings(Settings):
    """A lower learning rate for one fold from some epoch on, where its loss became nan or inf."""

    after: int = Field(
        ge=0, description="epochs that are kept as they were; a job that stopped later goes on from there"
    )
    lr_factor: float = Field(gt=0, lt=1, description="of the learning rate from then on")


class TrainSettings(Settings):
    """One condition: what is trained, on which streams, for how long."""

    network: NetworkSettings = ResNetSettings()
    crop: int | tuple[int, ...] = Field(
        512, description="length of a training crop, mel frames or samples; of several, each step draws one"
    )
    padding: Padding = Field("zeros", description="what surrounds a clip that is too short: zeros, or its repetition")
    batch_size: int = Field(64, ge=2, le=65_536, description="clips a stream and step")
    cycles: int = Field(8, ge=1, le=1_000, description="restarts of the learning rate; one snapshot each")
    epochs: int = Field(
        64, ge=1, le=1_000_000, description="epochs a cycle; an epoch is one pass over the fold's curated clips"
    )
    optimizer: Literal["adam", "sgd"] = Field("adam", description="sgd: Nesterov momentum 0.9")
    lr_max: float = Field(1e-3, gt=0)
    lr_min: float = Field(1e-6, ge=0)
    augment: dict[str, dict[str, Any]] = Field(default_factory=dict, description="augmentation -> its parameters")
    loss: LossName = Field("bce", description="loss of the curated head, a registered name")
    noisy_loss: LossName = Field("bce", description="loss of the noisy head, a registered name")
    multitask: bool = Field(False, description="train a second head on the noisy clips, losses 1:1")
    pseudo: PseudoSettings | None = None
    semi: SemiSettings | None = Field(None, description="what is learnt from the noisy clips without their labels")
    init_from: str | None = Field(None, description="condition whose last snapshot of the same fold is the start")
    precise_bn: bool = Field(
        False, description="snapshots get batch-norm statistics of unaugmented curated crops, not the running mixture"
    )
    rescue: dict[str, RescueSettings] = Field(
        default_factory=dict, description="held-out fold, like '0' (or '0-1' for a pair) -> how to go on with less"
    )
    seed: Seed = 0
    threads: int = Field(1, ge=1, le=256, description="CPU threads of the job; numbers depend on it")

    @field_validator("crop", mode="before")
    @classmethod
    def _lengths(cls, crop: Any) -> Any:
        """Ascending, and a list of one as a number: equal conditions are written alike."""
        lengths = list(crop) if isinstance(crop, list | tuple) else [crop]
        if not lengths or any(type(length) is not int or not 1 <= length <= MAX_CROP for length in lengths):
            raise ValueError(
                f"a crop is a whole number from 1 to {MAX_CROP}, or a list of such numbers, not {repr(crop)[:80]}"
            )
        if len(set(lengths)) < len(lengths):
            raise ValueError(f"a crop length is given twice in {crop!r}; list each once")
        return tuple(sorted(lengths)) if len(lengths) > 1 else lengths[0]

    @field_validator("augment")
    @classmethod
    def _resolve(cls, augment: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return resolve_augmentations(augment)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.lr_min > self.lr_max:
            raise ValueError(f"lr_min {self.lr_min} is above lr_max {self.lr_max}")
        for name in self.augment:
            self._check_input_of(name)
        if self.network.kind == "envnet" and self.crops[0] < EnvNetTrunk.min_length:
            raise ValueError(f"crop {self.crops[0]} is too short for envnet; it needs {EnvNetTrunk.min_length} samples")
        if isinstance(self.semi, PseudoLabelSettings) and self.semi.ramp_start >= self.total_epochs:
            raise ValueError(
                f"semi.ramp_start {self.semi.ramp_start} leaves nothing of the {self.total_epochs} epochs; lower it"
            )
        losses = {"loss": self.loss}
        losses |= {"noisy_loss": self.noisy_loss} if self.multitask else {}
        losses |= {"pseudo.loss": self.pseudo.loss} if self.pseudo else {}
        for field, loss in losses.items():
            needed = NEEDS.get(loss, self.network.activation)
            if needed != self.network.activation:
                raise ValueError(f"{field}: {loss} needs network.activation {needed}, not {self.network.activation}")
        return self

    def _check_input_of(self, name: str) -> None:
        inputs = AUGMENTATIONS[name].inputs
        if self.feature_kind not in inputs:
            raise ValueError(f"augment.{name} works on {' and '.join(inputs)}, not on the input of {self.network.kind}")

    @property
    def feature_kind(self) -> Literal["mel", "waveform"]:
        """The features that the network reads."""
        return self.network.reads

    @property
    def crops(self) -> tuple[int, ...]:
        """Lengths of training crops, ascending."""
        return self.crop if isinstance(self.crop, tuple) else (self.crop,)

    @property
    def total_epochs(self) -> int:
        """Epochs of all cycles."""
        return self.cycles * self.epochs
