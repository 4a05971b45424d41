"""A condition: a row of the grid, trained and predicted on every fold."""

from typing import Literal, Self

from pydantic import Field, model_validator

from features.settings import FeatureSettings, Settings
from trainers.settings import PredictSettings, TrainSettings

__all__ = ["ConditionSettings", "parents"]

MAX_BATCH_GB = 64.0


class ConditionSettings(Settings):
    """A row of the grid: features, training and prediction of one condition."""

    features: FeatureSettings = Field(description="input of the network")
    train: TrainSettings = Field(description="how it is trained")
    predict: PredictSettings = Field(description="which predictions it makes")
    cv: Literal["best", "last"] = Field(
        "best", description="epoch of each fold whose lwlrap the report averages; changes no result"
    )

    @model_validator(mode="after")
    def _features_fit(self) -> Self:
        if self.features.kind != self.train.feature_kind:
            raise ValueError(
                f"network {self.train.network.kind} reads {self.train.feature_kind} features, not {self.features.kind}"
            )
        if "noisy" in self.predict.heads and not self.train.multitask:
            raise ValueError("predict.heads: a noisy head exists only with multitask")
        if self.predict.soup and self.train.cycles == 1:
            raise ValueError("predict.soup: one cycle has one snapshot, and nothing to average; leave soup out")
        crop, clips = max(self.train.crops), 2 * self.train.batch_size  # clips and their mixup partners
        gb = 4e-9 * clips * crop * (self.features.bands or 1)
        if gb > MAX_BATCH_GB:
            raise ValueError(
                f"crop {crop} and batch_size {self.train.batch_size} make batches of {gb:,.0f} GB, above the limit of "
                f"{MAX_BATCH_GB:g} GB: lower one of them"
            )
        return self

    @property
    def predicting(self) -> int:
        """Networks of a fold that predict: a snapshot per cycle and, after them, the mean of their weights."""
        return self.train.cycles + self.predict.soup


def parents(train: TrainSettings) -> dict[str, str]:
    """The conditions that a condition depends on, by the field that names them."""
    found = {"init_from": train.init_from, "pseudo.teacher": train.pseudo.teacher if train.pseudo else None}
    found |= {f"distill.teachers.{i}": name for i, name in enumerate(train.distill.teachers if train.distill else ())}
    return {field: name for field, name in found.items() if name is not None}
