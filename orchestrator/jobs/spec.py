"""What a job has to know: an attempt at a node, the work to do there, and how to execute it.

Specs are small, the same for every executor, and travel to other machines. The parts that differ from kind to kind are
in the kind's own file (`shard.py`, `train.py` and so on), as a subclass of `Work`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from orchestrator.grids.condition import ConditionSettings
from orchestrator.grids.recipe import Recipe
from orchestrator.jobs.execution import JobExecution
from orchestrator.store.marks import Claim
from orchestrator.store.node import Node

if TYPE_CHECKING:
    from orchestrator.jobs.attempt import Attempt
    from orchestrator.jobs.inputs import Inputs

__all__ = ["Binding", "JobSpec", "Work"]


@dataclass(frozen=True)
class Binding:
    """What work is made from, beside its node."""

    recipe: Recipe
    data_root: Path
    folder_of: Callable[[str], str]
    """Signature of a node -> name of its folder in the store."""
    labels_seen: Callable[[str], Collection[int]]
    """Signature of a node -> folds whose curated labels it or one of its ancestors has seen."""

    def condition_of(self, node: Node) -> ConditionSettings:
        """Settings of the node's condition."""
        assert node.condition is not None, f"{node.name} belongs to no condition"
        return self.recipe.conditions[node.condition]


class Work(ABC):
    """What a job of one kind does."""

    @classmethod
    @abstractmethod
    def of(cls, node: Node, binding: Binding) -> Self:
        """The work of a node."""

    @abstractmethod
    def do(self, spec: "JobSpec", inputs: "Inputs", attempt: "Attempt") -> Mapping[str, Any] | None:
        """Do the work, in `attempt.folder`.

        Returns:
            What the done-mark keeps as its result; None if the attempt was asked to stop before its end.
        """


@dataclass(frozen=True)
class JobSpec:
    """An attempt at a node."""

    name: str
    """Name of the node."""
    signature: str
    store: str
    """What `open_store` takes."""
    node: str
    """Name of the node's folder in the store."""
    claim: Claim
    """The attempt's claim on the node."""
    manifest: str
    """Name of the manifest's folder in the store."""
    inputs: Mapping[str, tuple[str, ...]]
    """Role -> names of the folders of finished nodes."""
    input_signatures: Mapping[str, tuple[str, ...]]
    """Role -> signatures of the same."""
    work: Work
    execution: JobExecution

    @property
    def attempt(self) -> int:
        """Number of the attempt."""
        return self.claim.attempt
