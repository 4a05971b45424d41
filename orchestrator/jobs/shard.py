"""A shard: the features of some clips, computed from their audio."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from typing_extensions import override

from features.settings import FeatureSettings
from features.shard_plan import ShardPlan
from orchestrator.jobs.encoders import encoder_file
from orchestrator.jobs.inputs import Inputs
from orchestrator.jobs.spec import Binding, JobSpec, Work
from orchestrator.store.node import Node

if TYPE_CHECKING:
    from orchestrator.jobs.attempt import Attempt

__all__ = ["ShardSpec"]


@dataclass(frozen=True)
class ShardSpec(Work):
    """Which clips, and how their features are computed."""

    plan: ShardPlan
    features: FeatureSettings
    data_root: Path
    """The dataset's folder."""

    @override
    @classmethod
    def of(cls, node: Node, binding: Binding) -> Self:
        assert node.shard is not None
        wanted = node.payload["features"]
        every = (condition.features for condition in binding.recipe.conditions.values())
        features = next(settings for settings in every if settings.signed() == wanted)
        return cls(node.shard, features, binding.data_root)

    @override
    def do(self, spec: JobSpec, inputs: Inputs, attempt: "Attempt") -> Mapping[str, Any]:
        import torch

        from features.shards import build_shard

        torch.set_num_threads(1)  # one shard per core: more threads only wait for each other
        encoder = encoder_file(attempt.store, self.features)
        return build_shard(self.plan, self.data_root, self.features, attempt.folder, attempt.progress, encoder)
