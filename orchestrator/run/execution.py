"""How and where a grid runs. It is part of no signature, so it is set on the command line and not in a grid."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from features.errors import InputError
from features.settings import Settings
from features.words import count
from orchestrator.jobs.execution import JobExecution
from orchestrator.run.record import read_run_json

__all__ = ["Execution", "Place"]


class Place(Settings):
    """Where the jobs of one condition run, if that differs from the others; fields left out do not differ."""

    gpu: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]+$", description="type of GPU, as Ray calls it: A100")
    gpus: float | None = Field(None, ge=0, le=64, description="as gpus_per_job")
    workers: int | None = Field(None, ge=1, le=64, description="as workers")


class Execution(Settings):
    """How and where a grid runs; changes no result, except that several workers sum in another order than one."""

    executor: Literal["ray", "inline"] = "ray"
    address: str | None = Field(None, description="Ray cluster; none: RAY_ADDRESS, else one started in place")
    gpus_per_job: float | None = Field(
        None,
        ge=0,
        le=64,
        description="GPUs per training job; below 1, jobs share a device; none: one per worker if there are GPUs",
    )
    workers: int = Field(1, ge=1, le=64, description="processes of a training job, which share its batches")
    place: dict[str, Place] = Field(default_factory=dict, description="condition -> where its jobs run")
    retries: int = Field(3, ge=0, description="how often to retry a lost job that made no progress")
    checkpoint_steps: int = Field(0, ge=0, description="steps between checkpoints within an epoch; 0: none")
    stall_s: float = Field(1800.0, gt=0, description="seconds without progress after which a job is ended and retried")
    resident_gb: float | None = Field(
        None, ge=0, description="GB of features that a job copies to its GPU at most; none: half of its free memory"
    )
    cache_gb: float = Field(
        200.0, gt=0, description="GB of a host's disk for results of an object store that its jobs read, at most"
    )

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
            default = float(workers)  # one per worker there, and so here
        return default if place.gpus is None else place.gpus, workers

    def of_job(self, gpus: float = 0.0, workers: int = 1) -> JobExecution:
        """How one job is executed, with so many GPUs per worker."""
        return JobExecution(
            gpus=gpus,
            workers=workers,
            resident_bytes=None if self.resident_gb is None else int(self.resident_gb * 1e9),
            checkpoint_steps=self.checkpoint_steps,
            cache_bytes=int(self.cache_gb * 1e9),
            stall_s=self.stall_s,
        )

    def asked(self) -> dict[str, Any]:
        """What `run.json` remembers, for `resume`: not the address, which is of another day, nor what follows from this
        machine.
        """
        given = self.model_dump(mode="json", exclude_defaults=True, exclude={"address"})
        if self.address is None and self.gpus_per_job == _own_gpus(self.workers):
            given.pop("gpus_per_job", None)
        return given

    @classmethod
    def of_run(cls, folder: Path, address: str | None = None, place: Sequence[str] = (), **typed: Any) -> "Execution":
        """As the last launch of a run was executed, but for an address and other fields that are given now.

        Raises:
            InputError: another version of sonogrid made the run, or a value is not valid.
        """
        fields = {**(read_run_json(folder) or {}).get("asked", {}).get("execution", {}), **typed}
        places = fields.pop("place", {})
        executor, gpus_per_job = fields.pop("executor", "ray"), fields.pop("gpus_per_job", None)
        return cls.create(executor, address, gpus_per_job, place or places, **fields)

    @classmethod
    def create(
        cls, executor: str, address: str | None, gpus_per_job: float | None = None,
        place: Sequence[str] | Mapping[str, Any] = (), **more: Any,
    ) -> "Execution":  # fmt: skip
        """Execution on this machine or cluster: one GPU per worker if there are GPUs, unless a number is given.

        Args:
            executor: 'ray' or 'inline'.
            address: of a cluster.
            gpus_per_job: GPUs of a training job.
            place: 'CONDITION.FIELD=VALUE' for conditions that differ from the others, or the field itself.
            more: other fields.

        Raises:
            InputError: a value is not valid.
        """
        address = address or os.environ.get("RAY_ADDRESS")
        if gpus_per_job is None and address is None:
            gpus_per_job = _own_gpus(more.get("workers", 1))
        given = {
            "executor": executor,
            "address": address,
            "gpus_per_job": gpus_per_job,
            "place": place if isinstance(place, Mapping) else _places(place),
        }
        try:
            return cls.model_validate({**given, **more})
        except ValidationError as error:
            first = error.errors()[0]
            if first["loc"] in ((), ("place",)):
                raise InputError(first["msg"].removeprefix("Value error, ")) from None
            name, *rest = map(str, first["loc"])
            option = "--" + name.replace("_", "-") + (" " + ".".join(rest) if rest else "")
            raise InputError(f"{option} is {first['input']!r}: {first['msg']}") from None


def _own_gpus(workers: int) -> float:
    """GPUs of a training job on this machine, unless a number is given."""
    import torch

    return float(workers) if torch.cuda.is_available() else 0.0


def check_share(option: str, gpus: float | None, workers: int) -> None:
    """Refuse shares of GPUs that can't work.

    Raises:
        ValueError: the sentence names the option.
    """
    if gpus is None or gpus == 0:
        return
    given = f"{option}: {gpus:g} GPUs with {count(workers, 'worker')}"
    if gpus > 1 and gpus != int(gpus):
        raise ValueError(
            f"{given} can't work: above 1 only whole GPUs can be given; use {int(gpus)} or {int(gpus) + 1}"
        )
    if gpus < 1 and workers > 1:
        raise ValueError(
            f"{given} can't work: workers of one job can't share a device; give {workers} GPUs or 1 worker"
        )
    if gpus >= 1 and gpus != workers:
        raise ValueError(f"{given} can't work: a worker uses one GPU; give as many workers as GPUs")


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
