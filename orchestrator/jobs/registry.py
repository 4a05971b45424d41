"""The kinds of jobs. A new kind is a file beside this one, a line below, and its name in `store.node.Kind`."""

from orchestrator.jobs.blend import BlendSpec
from orchestrator.jobs.distill import DistillSpec
from orchestrator.jobs.predict import PredictSpec
from orchestrator.jobs.pseudo import PseudoSpec
from orchestrator.jobs.shard import ShardSpec
from orchestrator.jobs.spec import Binding, Work
from orchestrator.jobs.train import TrainSpec
from orchestrator.store.node import Kind, Node

__all__ = ["KINDS", "work_of"]

KINDS: dict[Kind, type[Work]] = {
    "shard": ShardSpec,
    "train": TrainSpec,
    "predict": PredictSpec,
    "pseudo": PseudoSpec,
    "distill": DistillSpec,
    "blend": BlendSpec,
}


def work_of(node: Node, binding: Binding) -> Work:
    """What the job of a node does."""
    return KINDS[node.kind].of(node, binding)
