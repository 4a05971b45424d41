"""The blend: ensemble weights, tuned on the out-of-fold predictions of all members."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from typing_extensions import override

from orchestrator.grids.recipe import BlendSettings
from orchestrator.jobs.inputs import Inputs
from orchestrator.jobs.spec import Binding, JobSpec, Work
from orchestrator.store.node import Node

if TYPE_CHECKING:
    from orchestrator.jobs.attempt import Attempt

__all__ = ["BlendSpec"]


@dataclass(frozen=True)
class BlendSpec(Work):
    """How the weights are searched, and which published weights they are compared with."""

    settings: BlendSettings
    paper_weights: Mapping[str, float] | None
    """Condition -> weight; None if none are published."""

    @override
    @classmethod
    def of(cls, node: Node, binding: Binding) -> Self:
        return cls(binding.recipe.blend, node.payload["paper_weights"])

    @override
    def do(self, spec: JobSpec, inputs: Inputs, attempt: "Attempt") -> Mapping[str, Any]:
        from orchestrator.blending.run import run_blend  # it needs Optuna, which other jobs do without

        return run_blend(
            inputs.folders, inputs.manifest, self.settings, self.paper_weights, attempt.folder, study=spec.node
        )
