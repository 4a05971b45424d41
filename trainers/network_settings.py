"""What can be set about a network. `trainers.settings` says how it is trained."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field

from features.errors import GridError
from features.files import sha256_file
from features.settings import Settings
from trainers.registry import Activation

__all__ = [
    "NETWORKS",
    "EnvNetSettings",
    "NetworkSettings",
    "PooledSettings",
    "ResNetSettings",
    "SEResNeXtSettings",
    "Statistic",
    "unless",
]


def unless(default: object) -> Callable[[object], bool]:
    """For `exclude_if` of a field that came after the first release: with its default, signatures do not contain it.

    So a new setting leaves all results of grids without it valid.
    """
    return lambda value: value == default


Statistic = Literal["mean", "deviation", "maximum", "difference", "difference_2", "difference_4", "difference_8"]
STATISTICS: tuple[Statistic, ...] = ("mean", "deviation", "maximum", "difference")
"""What `true` selects; the others came later."""
HeadUnits = Annotated[int, Field(ge=8, le=65_536, description="units of each of the two hidden layers of a head")]
HeadActivation = Annotated[Activation, Field(description="what turns logits into scores")]
Normalise = Annotated[
    Literal["clip", "dataset"],
    Field(
        description="whose mean and standard deviation (dB) normalise the input: those of each crop, or those of the "
        "fold's curated training clips"
    ),
]


def _chosen(names: Any) -> Any:
    """`true` selects four statistics and `false` none; in one order, so that equal choices have equal signatures."""
    if isinstance(names, bool):
        return STATISTICS if names else ()
    if not isinstance(names, list | tuple):
        return names  # for pydantic to reject
    if len(set(names)) < len(names):
        raise ValueError(f"a statistic is given twice in {list(names)}; list each once")
    order = get_args(Statistic)
    return tuple(sorted(names, key=lambda name: order.index(name) if name in order else -1))


Statistics = Annotated[tuple[Statistic, ...], BeforeValidator(_chosen)]
Added = Annotated[
    Statistics,
    Field(
        exclude_if=unless(()),
        description="statistics of each mel band over time, batch-normalised, beside the trunk's features; true: the "
        "first four; they are those of network `pooled`",
    ),
]


def _absolute(path: str | None) -> str | None:
    return None if path is None else str(Path(path).expanduser().absolute())


def _checksum(fields: Mapping[str, Any]) -> str | None:
    """SHA-256 of the file that the network starts from, read once, when the grid is."""
    path = fields.get("init_from")
    if path is None:
        return None
    try:
        return sha256_file(Path(path))
    except OSError as error:
        raise GridError(
            f"network.init_from: {path} can't be read ({error.strerror}): give a safetensors file of a trained network"
        ) from None


WeightsFile = Annotated[
    str | None,
    AfterValidator(_absolute),
    Field(
        exclude_if=unless(None),
        description="safetensors file, such as a snapshot of another run, with the weights that the trunk starts from; "
        "heads start afresh. What its training has seen is not known here: use files of other data",
    ),
]
Checksum = Annotated[
    Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None,
    Field(
        exclude_if=unless(None),
        description="SHA-256 of that file, in signatures in place of its path; filled in when the grid is read",
    ),
]


class ResNetSettings(Settings):
    """Residual network on mel power. The paper's is ResNet-34: depth 34, width 64."""

    reads: ClassVar[Literal["mel", "waveform"]] = "mel"
    kind: Literal["resnet"] = Field("resnet", description="ResNet on mel power")
    depth: Literal[10, 18, 34] = Field(34, description="number of layers with weights")
    init: Literal["kaiming", "released"] = Field(
        "kaiming", description="initial weights of convolutions; released: torch's default for the stem"
    )
    width: int = Field(64, ge=4, le=512, description="channels of the first stage")
    head_units: HeadUnits = 1024
    activation: HeadActivation = "sigmoid"
    normalise: Normalise = "clip"
    statistics: Added = ()
    init_from: WeightsFile = None
    init_sha256: Checksum = Field(default_factory=_checksum)

    @property
    def rough_depth(self) -> int:
        """Depth by which the cost of a training is guessed until its operations are counted."""
        return self.depth


class SEResNeXtSettings(Settings):
    """SE-ResNeXt-50 on mel power. Width 64 is the 32x4d variant, which the authors tried."""

    rough_depth: ClassVar[int] = 40
    """As in `ResNetSettings`."""
    reads: ClassVar[Literal["mel", "waveform"]] = "mel"
    kind: Literal["seresnext"] = Field("seresnext", description="SE-ResNeXt-50 on mel power")
    width: int = Field(64, ge=4, le=512, multiple_of=4, description="channels of the stem, two per group")
    head_units: HeadUnits = 1024
    activation: HeadActivation = "sigmoid"
    normalise: Normalise = "clip"
    statistics: Added = ()
    init_from: WeightsFile = None
    init_sha256: Checksum = Field(default_factory=_checksum)


class EnvNetSettings(Settings):
    """EnvNet-v2 on samples. The paper's has width 32."""

    rough_depth: ClassVar[int] = 20
    """As in `ResNetSettings`."""
    reads: ClassVar[Literal["mel", "waveform"]] = "waveform"
    min_samples: ClassVar[int] = 20_570
    """Shortest input; with fewer samples a pooling layer would have no input."""
    kind: Literal["envnet"] = Field("envnet", description="EnvNet-v2 on samples")
    width: int = Field(32, ge=4, le=256, description="channels of the first convolution")
    init: Literal["kaiming", "released"] = Field(
        "kaiming", description="initial weights of convolutions; released: torch's default"
    )
    head_units: HeadUnits = 1024
    activation: HeadActivation = "sigmoid"


class PooledSettings(Settings):
    """Statistics over time of mel bands or embeddings, and a linear layer: the model to beat on little data."""

    rough_depth: ClassVar[int] = 1
    """As in `ResNetSettings`."""
    width: ClassVar[int] = 8
    reads: Literal["mel", "embedding"] = Field(
        "mel", exclude_if=unless("mel"), description="features that are pooled: mel bands in dB, or embeddings"
    )
    kind: Literal["pooled"] = Field("pooled", description="statistics over time, standardised, and a linear layer")
    statistics: Statistics = Field(
        STATISTICS,
        min_length=1,
        description="statistics of a band in dB over the frames of a clip; difference: the deviation of the "
        "differences between neighbouring frames; difference_2, _4, _8: between frames that are so far apart",
    )
    head_units: HeadUnits | None = Field(
        None, description="units of each of the two hidden layers of a head; none: the head is one linear layer"
    )
    activation: HeadActivation = "sigmoid"

    @property
    def starts_at_shares(self) -> bool:
        """Whether its scores start at each class's share of the training clips (`Tagger.start_at_shares`)."""
        return self.head_units is None and self.activation == "sigmoid"


NetworkSettings = Annotated[
    ResNetSettings | SEResNeXtSettings | EnvNetSettings | PooledSettings, Field(discriminator="kind")
]
NETWORKS: tuple[type[Settings], ...] = get_args(get_args(NetworkSettings)[0])
