"""What can be set about data and features. Every field is part of the Recipe and so of the signatures.

Settings are frozen and reject unknown fields. The description of a field is its documentation (docs/grids.md).
"""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

__all__ = [
    "DataSettings", "EmbeddingSettings", "FeatureSettings", "MelSettings", "Seed", "Settings", "WaveformSettings",
]  # fmt: skip

Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
"""A seed that every random number generator accepts."""


SampleRate = Annotated[int, Field(ge=1_000, le=384_000, description="sample rate that clips are resampled to, Hz")]
ShardSize = Annotated[int, Field(ge=1, le=4_096, description="largest size of a shard's array, MiB; changes no result")]


FROM_FILE: JsonDict = {"default": "from the file"}
"""For a required field that a file decides, which is read with the grid."""


class Settings(BaseModel):
    """Base of all settings: immutable, without unknown fields or silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class DataSettings(Settings):
    """How a dataset folder is read and split."""

    folds: int = Field(5, ge=2, le=100, description="number of cross-validation folds")
    fold_seed: Seed = Field(42, description="seed of the shuffle that draws the folds")
    group_by: str | None = Field(
        None, min_length=1, description="CSV column; clips with equal values are never split between folds"
    )
    stratify: bool = Field(False, description="balance the labels across the folds")


class _Features(Settings):
    """What all kinds of features have in common."""

    unsigned: ClassVar[frozenset[str]] = frozenset({"shard_mb"})
    """Fields that change no feature."""

    def signed(self) -> dict[str, Any]:
        """The settings as they enter signatures."""
        return self.model_dump(mode="json", exclude=set(self.unsigned))


class MelSettings(_Features):
    """Power mel spectrogram (docs/paper.md, Inputs: librosa's defaults, Slaney scale and norm, Hann, centred)."""

    kind: Literal["mel"] = Field("mel", description="power mel spectrogram")
    sample_rate_hz: SampleRate = 44_100
    n_mels: int = Field(128, ge=8, le=1_024, description="number of mel bands")
    n_fft_samples: int = Field(2_560, ge=64, le=1 << 20, description="length of the FFT window, in samples")
    hop_samples: int = Field(347, ge=1, le=1 << 20, description="samples between two frames")
    fmin_hz: float = Field(20.0, ge=0, description="lowest frequency of the mel bands, Hz")
    fmax_hz: float = Field(22_050.0, gt=0, description="highest frequency of the mel bands, Hz")
    shard_mb: ShardSize = 64

    @model_validator(mode="after")
    def _band_fits(self) -> Self:
        if self.fmax_hz > self.sample_rate_hz / 2:
            raise ValueError(
                f"fmax_hz is {self.fmax_hz:g}, above half of sample_rate_hz {self.sample_rate_hz}: "
                f"set it to at most {self.sample_rate_hz / 2:g}"
            )
        if self.fmin_hz >= self.fmax_hz:
            raise ValueError(f"fmin_hz {self.fmin_hz:g} is not below fmax_hz {self.fmax_hz:g}: lower it")
        if self.n_mels > (bins := self.n_fft_samples // 2 + 1):
            raise ValueError(f"n_mels {self.n_mels} is more than the {bins} bins of n_fft_samples {self.n_fft_samples}")
        return self

    @property
    def bands(self) -> int:
        """Values of a row: mel bands."""
        return self.n_mels

    def rows(self, n_samples: int) -> int:
        """Frames of a clip of `n_samples` at this rate: at least one, as frames are centred."""
        return 1 + n_samples // self.hop_samples


class WaveformSettings(_Features):
    """Mono samples as int16."""

    bands: ClassVar[int | None] = None
    """Samples have no bands."""
    kind: Literal["waveform"] = Field("waveform", description="mono samples as int16")
    sample_rate_hz: SampleRate = 44_100
    shard_mb: ShardSize = 64

    def rows(self, n_samples: int) -> int:
        """Samples of a clip."""
        return n_samples


class EmbeddingSettings(_Features):
    """Embeddings of the windows of a clip by a frozen encoder ([encoders](encoders.md)).

    `orchestrator.grids.encoders` fills in what the encoder's file says: checksum, sample rate and size of an embedding.
    """

    unsigned = frozenset({"shard_mb", "model", "seen", "seen_sha256"})
    """The checksum is signed, not the place of the file."""
    kind: Literal["embedding"] = Field("embedding", description="embeddings of a frozen encoder, one per window")
    model: str = Field(
        min_length=1, description="the encoder's file, `.onnx` or `.pt2`; relative to the current directory"
    )
    sha256: str = Field(
        pattern=r"^[0-9a-f]{64}$",
        description="checksum of the file, compared if it is given",
        json_schema_extra=FROM_FILE,
    )
    sample_rate_hz: SampleRate = Field(
        description="sample rate of the encoder, Hz; needed if the file does not declare it",
        json_schema_extra=FROM_FILE,
    )
    window_s: float = Field(2.0, ge=0.01, le=60, description="length of a window, seconds")
    hop_s: float = Field(2.0, ge=0.01, le=3_600, description="seconds between two windows")
    dims: int = Field(ge=1, le=1 << 20, description="values of an embedding", json_schema_extra=FROM_FILE)
    seen: Annotated[tuple[Literal["curated", "noisy", "test"], ...], Field(strict=False)] | str = Field(
        (),
        description="clips that the encoder was trained on: subsets of this dataset, or a text file with one Freesound "
        "id or clip name per line",
    )
    seen_sha256: str | None = Field(
        None, pattern=r"^[0-9a-f]{64}$", description="checksum of the file `seen`", json_schema_extra=FROM_FILE
    )
    shard_mb: ShardSize = 1

    @property
    def bands(self) -> int:
        """Values of a row: dimensions of an embedding."""
        return self.dims

    @property
    def window_samples(self) -> int:
        """Length of a window in samples."""
        return max(1, round(self.window_s * self.sample_rate_hz))

    @property
    def hop_samples(self) -> int:
        """Samples between two windows."""
        return max(1, round(self.hop_s * self.sample_rate_hz))

    def rows(self, n_samples: int) -> int:
        """Windows of a clip: at least one, and so many that they cover all of it."""
        return 1 + max(0, -(-(n_samples - self.window_samples) // self.hop_samples))


FeatureSettings = Annotated[MelSettings | WaveformSettings | EmbeddingSettings, Field(discriminator="kind")]
