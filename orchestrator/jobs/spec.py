"""What a job has to know: small, and the same for every executor."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from features.settings import Settings
from features.shard_plan import ShardPlan
from orchestrator.grids.condition import ConditionSettings
from orchestrator.store.node import Kind

__all__ = ["JobSpec"]


@dataclass(frozen=True)
class JobSpec:
    """Everything a job has to know; small, and the same for every executor."""

    name: str
    kind: Kind
    signature: str
    store: str
    """What `open_store` takes."""
    node: str
    """Name of the node's folder there, as in the following."""
    attempt: int
    inputs: dict[str, tuple[str, ...]]
    """Finished nodes by role."""
    input_signatures: dict[str, tuple[str, ...]]
    manifest: str
    data_root: Path
    cpus: float = 1.0
    gpus: float = 0.0
    """Of each worker."""
    workers: int = 1
    resident_bytes: int = 0
    checkpoint_steps: int = 0
    stall_s: float = 0.0
    held_out: tuple[int, ...] = ()
    """Folds whose clips a training job does not see."""
    unrescued: str | None = None
    """The same training job without its rescue."""
    condition: ConditionSettings | None = None
    shard: ShardPlan | None = None
    settings: Settings | None = None
    """Feature settings of a shard, blend settings of a blend."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Small facts of a kind: the temperature of soft labels, the published weights of a blend, the folds whose labels a
    prediction's ancestors saw."""
