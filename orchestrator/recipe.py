"""Recipe and Execution: what is computed, and how.

Only the Recipe enters signatures. A Recipe is complete: everything a grid file leaves out is filled in with defaults,
so a changed default changes the signature. Grid files are read by `orchestrator.grid`.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from features.errors import InputError
from features.settings import DataSettings, FeatureSettings, Settings
from orchestrator.blend import BlendSettings
from orchestrator.ensembles import EnsembleSettings, PublishedSettings, check_ensembles, ensemble_members
from trainers.settings import PredictSettings, TrainSettings

__all__ = ["ConditionSettings", "Execution", "Recipe"]


class ConditionSettings(Settings):
    """A row of the grid: features, training and prediction of one condition."""

    features: FeatureSettings
    train: TrainSettings
    predict: PredictSettings

    @model_validator(mode="after")
    def _features_fit(self) -> Self:
        if self.features.kind != self.train.feature_kind:
            raise ValueError(
                f"network {self.train.network.kind} reads {self.train.feature_kind} features, not {self.features.kind}"
            )
        if "noisy" in self.predict.heads and not self.train.multitask:
            raise ValueError("predict.heads: there is a noisy head only with multitask")
        return self


class Recipe(Settings):
    """A whole grid: data, conditions, blend, and what the report compares."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", description="name of the grid and of its MLflow experiment"
    )
    data: DataSettings
    conditions: dict[str, ConditionSettings] = Field(min_length=1)
    blend: BlendSettings
    members: tuple[str, ...] = Field((), strict=False, description="conditions that are blended; empty: all")
    paper_weights: dict[str, float] = Field(default_factory=dict, description="condition -> published weight")
    ensembles: dict[str, EnsembleSettings] = Field(default_factory=dict, description="fixed means of snapshots")
    published: PublishedSettings = Field(default_factory=PublishedSettings, description="figures printed beside ours")
    comparisons: dict[str, Annotated[tuple[str, ...], Field(strict=False)]] = Field(
        default_factory=dict, description="what a step bought: [from, to], each a condition or an ensemble"
    )

    @model_validator(mode="after")
    def _references_exist(self) -> Self:
        for name in (*self.members, *self.paper_weights):
            self._known(name, "members" if name in self.members else "paper_weights")
        for name, condition in self.conditions.items():
            for field, other in parents(condition.train).items():
                self._known(other, f"conditions.{name}.{field}")
        self._no_cycle()
        for name, condition in self.conditions.items():
            start = condition.train.init_from
            if start is not None and _form(self.conditions[start]) != _form(condition):
                raise ValueError(
                    f"conditions.{name}.init_from: '{start}' has another network; equal networks are needed"
                )
            if condition.train.pseudo is not None and condition.train.pseudo.folds == "crossed":
                self._can_cross(name, condition.train.pseudo.teacher)
        if self.blend.budget is not None and self.blend.budget < self.data.folds:
            raise ValueError(
                f"blend.budget is {self.blend.budget}: a member takes {self.data.folds} predictions, one a fold; "
                "give at least that"
            )
        check_ensembles(self.ensembles, self.published, self.comparisons, self.conditions)
        return self

    def _can_cross(self, name: str, teacher: str) -> None:
        """A teacher of crossed labels is trained on all folds but two, and so is all that it starts from."""
        field = f"conditions.{name}.pseudo.folds: crossed"
        if self.data.folds < 3:
            raise ValueError(f"{field} holds out two folds and needs at least 3, but data.folds is {self.data.folds}")
        above: str | None = teacher
        while above is not None:
            train = self.conditions[above].train
            if train.pseudo is not None:
                raise ValueError(f"{field} needs a teacher without pseudo labels of its own, and '{above}' has them")
            above = train.init_from

    def _known(self, name: str, field: str) -> None:
        if name not in self.conditions:
            raise ValueError(f"{field}: '{name}' is not a condition; there are {', '.join(self.conditions)}")

    def _no_cycle(self) -> None:
        done: set[str] = set()

        def visit(name: str, path: tuple[str, ...]) -> None:
            if name in path:
                raise ValueError(f"conditions depend on each other in a circle: {' <- '.join((*path, name))}")
            if name not in done:
                for other in parents(self.conditions[name].train).values():
                    visit(other, (*path, name))
                done.add(name)

        for name in self.conditions:
            visit(name, ())

    @property
    def blended(self) -> tuple[str, ...]:
        """Names of the conditions whose predictions are blended, in grid order."""
        return tuple(name for name in self.conditions if not self.members or name in self.members)

    def ensemble_predictions(self, name: str) -> int:
        """How many times a test clip is predicted for an ensemble: members x folds."""
        return len(ensemble_members(self.ensembles[name], self.conditions)) * self.data.folds


def _form(condition: ConditionSettings) -> Settings:
    """What two networks must share to exchange weights: all but what is done with the logits."""
    return condition.train.network.model_copy(update={"activation": "sigmoid"})


def parents(train: TrainSettings) -> dict[str, str]:
    """The conditions that one depends on, by the field that names them."""
    found = {"init_from": train.init_from, "pseudo.teacher": train.pseudo.teacher if train.pseudo else None}
    return {field: name for field, name in found.items() if name is not None}


class Execution(Settings):
    """How and where a grid runs; changes no number."""

    executor: Literal["ray", "inline"] = "ray"
    address: str | None = Field(None, description="Ray cluster; none: RAY_ADDRESS, else one started in place")
    gpus_per_job: float = Field(0.0, ge=0, description="GPUs of a training job; fractions share a device")
    retries: int = Field(3, ge=0, description="new attempts of a job that was lost and made no progress since")
    checkpoint_steps: int = Field(0, ge=0, description="checkpoints within an epoch, every so many steps; 0: none")
    stall_s: float = Field(1800.0, gt=0, description="a job without progress for so long is ended and tried again")
    resident_gb: float = Field(8.0, ge=0, description="features copied to a GPU when a subset takes at most this")

    @classmethod
    def create(cls, executor: str, address: str | None, **more: Any) -> "Execution":
        """Execution on this machine or cluster: a GPU a job where there are GPUs.

        Raises:
            InputError: a value is not valid.
        """
        import torch

        address = address or os.environ.get("RAY_ADDRESS")
        gpus = 1.0 if torch.cuda.is_available() else 0.0
        try:
            return cls.model_validate({"executor": executor, "address": address, "gpus_per_job": gpus, **more})
        except ValidationError as error:
            first = error.errors()[0]
            option = "--" + str(first["loc"][0]).replace("_", "-")
            raise InputError(f"{option} is {first['input']!r}: {first['msg']}") from None


def default_store(run: Path) -> Path:
    """Where the nodes of a run lie unless another store is named."""
    return run / "store"
