"""Recipe and Execution: what is computed, and how.

Only the Recipe enters signatures. A Recipe is complete: everything a grid file leaves out is filled in with defaults,
so a changed default changes the signature. Grid files are read by `orchestrator.grid`.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from features.errors import InputError
from features.settings import DataSettings, FeatureSettings, Settings
from orchestrator.blend import BlendSettings
from orchestrator.ensembles import EnsembleSettings, PublishedSettings, check_ensembles, ensemble_members
from trainers.settings import PredictSettings, TrainSettings

__all__ = ["ConditionSettings", "Execution", "Place", "Recipe"]

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+-]{0,63}")  # part of a folder's name
MAX_TRAININGS = 50_000
MAX_CHAIN = 100
MAX_BATCH_GB = 64.0


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
        crop, clips = max(self.train.crops), 2 * self.train.batch_size  # clips and their mixup partners
        gb = 4e-9 * clips * crop * (self.features.n_mels if self.features.kind == "mel" else 1)
        if gb > MAX_BATCH_GB:
            raise ValueError(
                f"crop {crop} and batch_size {self.train.batch_size} make batches of {gb:,.0f} GB, above the limit of "
                f"{MAX_BATCH_GB:g} GB: lower one of them"
            )
        return self


class Recipe(Settings):
    """A whole grid: data, conditions, blend, and what the report compares."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$",
        max_length=64,
        description="name of the grid and of its MLflow experiment",
    )
    data: DataSettings
    conditions: dict[str, ConditionSettings] = Field(min_length=1)
    blend: BlendSettings
    members: tuple[str, ...] = Field((), strict=False, description="conditions that are blended; empty: all")
    paper_weights: dict[str, Annotated[float, Field(ge=0, le=1e6)]] = Field(
        default_factory=dict, description="condition -> published weight"
    )
    ensembles: dict[str, EnsembleSettings] = Field(default_factory=dict, description="fixed means of snapshots")
    published: PublishedSettings = Field(default_factory=PublishedSettings, description="figures printed beside ours")
    comparisons: dict[str, Annotated[tuple[str, ...], Field(strict=False)]] = Field(
        default_factory=dict, description="what a step bought: [from, to], each a condition or an ensemble"
    )

    @model_validator(mode="after")
    def _references_exist(self) -> Self:
        for name in self.conditions:
            if not NAME.fullmatch(name):
                raise ValueError(
                    f"conditions: {name[:80]!r} has to name folders too; use at most 64 letters, digits, '_', '-' and "
                    "'+', a letter or digit first"
                )
        if (trainings := len(self.conditions) * self.data.folds) > MAX_TRAININGS:
            raise ValueError(f"conditions x data.folds are {trainings} trainings; at most {MAX_TRAININGS} are planned")
        for name in (*self.members, *self.paper_weights):
            self._known(name, "members" if name in self.members else "paper_weights")
        if self.paper_weights and not any(self.paper_weights.get(name) for name in self.blended):
            raise ValueError("paper_weights: no blended condition has a weight above 0; give one or leave them out")
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
        depths: dict[str, int] = {}

        def depth(name: str, path: tuple[str, ...]) -> int:
            if name in path:
                raise ValueError(f"conditions depend on each other in a circle: {' <- '.join((*path, name))}")
            if name not in depths and len(path) <= MAX_CHAIN:
                others = parents(self.conditions[name].train).values()
                depths[name] = 1 + max((depth(other, (*path, name)) for other in others), default=0)
            if len(path) + depths.get(name, 1) > MAX_CHAIN:
                first = (*path, name)[0]
                raise ValueError(f"conditions.{first} depends on a chain of more than {MAX_CHAIN} others; shorten it")
            return depths[name]

        for name in self.conditions:
            depth(name, ())

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


class Place(Settings):
    """Where the jobs of one condition run, where that differs from the others; what is left out doesn't."""

    gpu: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]+$", description="type of GPU, as Ray calls it: A100")
    gpus: float | None = Field(None, ge=0, le=64, description="as gpus_per_job")
    workers: int | None = Field(None, ge=1, le=64, description="as workers")


class Execution(Settings):
    """How and where a grid runs; changes no number, but for the order of sums where a job has several workers."""

    executor: Literal["ray", "inline"] = "ray"
    address: str | None = Field(None, description="Ray cluster; none: RAY_ADDRESS, else one started in place")
    gpus_per_job: float | None = Field(
        0.0,
        ge=0,
        le=64,
        description="GPUs of a job; below 1: several share a device; none: one a worker where there are",
    )
    workers: int = Field(1, ge=1, le=64, description="processes of a training job, which share its batches")
    place: dict[str, Place] = Field(default_factory=dict, description="condition -> what is its own")
    retries: int = Field(3, ge=0, description="new attempts of a job that was lost and made no progress since")
    checkpoint_steps: int = Field(0, ge=0, description="checkpoints within an epoch, every so many steps; 0: none")
    stall_s: float = Field(1800.0, gt=0, description="a job without progress for so long is ended and tried again")
    resident_gb: float = Field(8.0, ge=0, description="features copied to a GPU when a subset takes at most this")

    @model_validator(mode="after")
    def _shares_work(self) -> Self:
        if self.executor == "inline" and (self.workers > 1 or self.place):
            raise ValueError("--workers and --place need --executor ray: inline, a job is this process")
        check_share("--gpus-per-job", self.gpus_per_job, self.workers)
        for name, place in self.place.items():
            check_share(f"--place {name}", *self.share_of(name))
            if place.gpu is not None and self.share_of(name)[0] == 0:
                raise ValueError(f"--place {name}.gpu={place.gpu}: its jobs take no GPU; add --place {name}.gpus=1")
        return self

    def share_of(self, condition: str | None) -> tuple[float | None, int]:
        """GPUs of a training job of a condition, and its workers."""
        place = self.place.get(condition or "", Place())
        workers = self.workers if place.workers is None else place.workers
        default = self.gpus_per_job
        if default is not None and default >= 1 and workers != self.workers:
            default = float(workers)  # one a worker there, and so here
        return default if place.gpus is None else place.gpus, workers

    @classmethod
    def create(
        cls, executor: str, address: str | None, gpus_per_job: float | None = None, place: Sequence[str] = (),
        **more: Any,
    ) -> "Execution":  # fmt: skip
        """Execution on this machine or cluster: a GPU a worker where there are GPUs, unless a number is given.

        Args:
            executor: 'ray' or 'inline'.
            address: of a cluster.
            gpus_per_job: GPUs of a training job.
            place: 'CONDITION.FIELD=VALUE' of what differs from condition to condition.
            more: other fields.

        Raises:
            InputError: a value is not valid.
        """
        import torch

        address = address or os.environ.get("RAY_ADDRESS")
        if gpus_per_job is None and address is None:
            gpus_per_job = float(more.get("workers", 1)) if torch.cuda.is_available() else 0.0
        given = {"executor": executor, "address": address, "gpus_per_job": gpus_per_job, "place": _places(place)}
        try:
            return cls.model_validate({**given, **more})
        except ValidationError as error:
            first = error.errors()[0]
            if first["loc"] in ((), ("place",)):
                raise InputError(first["msg"].removeprefix("Value error, ")) from None
            name, *rest = map(str, first["loc"])
            option = "--" + name.replace("_", "-") + (" " + ".".join(rest) if rest else "")
            raise InputError(f"{option} is {first['input']!r}: {first['msg']}") from None


def check_share(option: str, gpus: float | None, workers: int) -> None:
    """Refuse shares of GPUs that can't work.

    Raises:
        ValueError: the sentence names the option.
    """
    if gpus is None or gpus == 0:
        return
    told = f"{option}: {gpus:g} GPUs with {workers} workers"
    if gpus > 1 and gpus != int(gpus):
        raise ValueError(f"{told} can't work: above 1 only whole GPUs can be given; use {int(gpus)} or {int(gpus) + 1}")
    if gpus < 1 and workers > 1:
        raise ValueError(f"{told} can't work: workers of one job can't share a device; give {workers} GPUs or 1 worker")
    if gpus >= 1 and gpus != workers:
        raise ValueError(f"{told} can't work: a worker uses one GPU; give as many workers as GPUs")


def _places(options: Sequence[str]) -> dict[str, dict[str, Any]]:
    """CONDITION.FIELD=VALUE, each; later ones win."""
    found: dict[str, dict[str, Any]] = {}
    for option in options:
        path, equals, value = option.partition("=")
        name, dot, field = path.rpartition(".")
        if not (equals and dot and name and value) or field not in Place.model_fields:
            fields = ", ".join(Place.model_fields)
            raise InputError(
                f"--place {option[:80]}: write CONDITION.FIELD=VALUE, for instance B.gpu=A100; FIELD: {fields}"
            )
        try:
            parsed = value if field == "gpu" else float(value) if field == "gpus" else int(value)
        except ValueError:
            raise InputError(f"--place {option[:80]}: '{value[:40]}' is not a number") from None
        found.setdefault(name, {})[field] = parsed
    return found


def default_store(run: Path) -> str:
    """Where the nodes of a run lie unless another store is named."""
    return str((run / "store").resolve())
