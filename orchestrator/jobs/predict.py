"""A prediction: the scores of the held-out curated clips, and of all noisy and test clips, by a job's snapshots."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from typing_extensions import override

from features.errors import JobError
from features.manifest import SUBSETS
from orchestrator.blending.predictions import Predictions
from orchestrator.grids.condition import ConditionSettings
from orchestrator.jobs.execution import device_of, resident_bytes
from orchestrator.jobs.inputs import Inputs
from orchestrator.jobs.spec import Binding, JobSpec, Work
from orchestrator.store.node import Node
from orchestrator.store.results import PredictResult

if TYPE_CHECKING:
    import torch

    from orchestrator.jobs.attempt import Attempt
    from trainers.network import Tagger

__all__ = ["PredictSpec", "load_networks"]


@dataclass(frozen=True)
class PredictSpec(Work):
    """Whose snapshots predict, and which curated clips."""

    condition: ConditionSettings
    held_out: tuple[int, ...]
    """Folds of the curated clips that are predicted."""
    labels_seen: tuple[int, ...]
    """Folds whose curated labels the snapshots, or an ancestor of theirs, have seen."""

    @override
    @classmethod
    def of(cls, node: Node, binding: Binding) -> Self:
        seen = tuple(sorted(binding.labels_seen(node.signature)))
        return cls(binding.condition_of(node), node.held_out, seen)

    @override
    def do(self, spec: JobSpec, inputs: Inputs, attempt: "Attempt") -> Mapping[str, Any]:
        import torch

        from trainers.clips import ClipBank
        from trainers.predict import predict

        train, form = self.condition.train, self.condition.predict
        torch.set_num_threads(train.threads)
        manifest, device = inputs.manifest, device_of(spec.execution)
        networks = load_networks(inputs.folders["train"][0], self.condition, len(manifest.classes), device)
        result = PredictResult(len(networks), tuple(form.heads), tuple(form.pads), self.labels_seen)
        predictions = Predictions(attempt.folder, manifest, self.held_out, result)
        for subset in SUBSETS:
            rows = predictions.rows(subset)
            scores = np.zeros(predictions.shape(subset), dtype=np.float32)
            if len(rows):
                bank = ClipBank(inputs.shards(subset), device, resident_bytes=resident_bytes(spec.execution))
                with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
                    scores = predict(  # (cycles, heads, pads, N, C)
                        networks, bank, rows, form.pads,
                        heads=form.heads, padding=train.padding, progress=attempt.progress,
                    )  # fmt: skip
            if not np.isfinite(scores).all():
                raise JobError(f"{spec.name}: a score of the {subset} clips is not finite")
            predictions.write(subset, scores)
        return result.to_json()


def load_networks(folder: Path, condition: ConditionSettings, classes: int, device: "torch.device") -> "list[Tagger]":
    """The taggers of a finished training job, one per snapshot, cycle 1 first."""
    from trainers.checkpoints import snapshot_path
    from trainers.network import Tagger
    from trainers.weights import load_snapshot

    networks = []
    for cycle in range(1, condition.train.cycles + 1):
        network = Tagger(condition.train.network, classes, noisy_head=condition.train.multitask)
        load_snapshot(snapshot_path(folder, cycle), network)
        networks.append(network.to(device))
    return networks
