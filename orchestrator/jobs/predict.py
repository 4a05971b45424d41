"""A prediction: scores of some subsets by the snapshots of a training job.

Of the curated clips, those of the held-out folds are predicted, or for the labels of a student those of the other
folds; of the noisy and the test clips, all.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from typing_extensions import override

from features.errors import JobError
from features.manifest import SUBSETS, Subset
from orchestrator.blending.predictions import Predictions
from orchestrator.grids.condition import ConditionSettings
from orchestrator.jobs.execution import device_of, resident_bytes
from orchestrator.jobs.inputs import Inputs
from orchestrator.jobs.spec import Binding, JobSpec, Work
from orchestrator.store.node import Node
from orchestrator.store.results import PredictResult
from trainers.settings import PredictSettings

if TYPE_CHECKING:
    import torch

    from orchestrator.jobs.attempt import Attempt
    from trainers.network import Tagger

__all__ = ["PredictSpec", "load_networks"]


@dataclass(frozen=True)
class PredictSpec(Work):
    """Whose snapshots predict, and what."""

    condition: ConditionSettings
    form: PredictSettings
    """Pads and heads."""
    subsets: tuple[Subset, ...]
    """Subsets whose clips are predicted."""
    folds: tuple[int, ...]
    """Folds of the curated clips that are predicted."""
    labels_seen: tuple[int, ...]
    """Folds whose curated labels the snapshots, or an ancestor of theirs, have seen."""

    @override
    @classmethod
    def of(cls, node: Node, binding: Binding) -> Self:
        seen = tuple(sorted(binding.labels_seen(node.signature)))
        form = PredictSettings.model_validate(node.payload["predict"])
        subsets = tuple(subset for subset in SUBSETS if subset in node.payload["clips"])
        return cls(binding.condition_of(node), form, subsets, node.predicted_folds, seen)

    @override
    def do(self, spec: JobSpec, inputs: Inputs, attempt: "Attempt") -> Mapping[str, Any]:
        import torch

        from trainers.clips import ClipBank
        from trainers.precision import use_precision
        from trainers.predict import predict

        train, form = self.condition.train, self.form
        torch.set_num_threads(train.threads)
        manifest, device = inputs.manifest, device_of(spec.execution)
        networks = load_networks(
            inputs.folders["train"][0], self.condition, len(manifest.classes), device, soup=form.soup
        )
        result = PredictResult(len(networks), tuple(form.heads), tuple(form.pads), self.labels_seen)
        predictions = Predictions(attempt.folder, manifest, self.folds, result)
        for subset in self.subsets:
            rows = predictions.rows(subset)
            scores = np.zeros(predictions.shape(subset), dtype=np.float32)
            if len(rows):
                bank = ClipBank(inputs.shards(subset), device, resident_bytes=resident_bytes(spec.execution))
                with use_precision(train.precision, device):
                    scores = predict(  # (cycles, heads, pads, N, C)
                        networks, bank, rows, form.pads,
                        heads=form.heads, padding=train.padding, read=form, crop=train.crops[-1],
                        progress=attempt.progress,
                    )  # fmt: skip
            if not np.isfinite(scores).all():
                raise JobError(f"{spec.name}: a score of the {subset} clips is not finite")
            predictions.write(subset, scores)
        return result.to_json()


def load_networks(
    folder: Path, condition: ConditionSettings, classes: int, device: "torch.device", *, soup: bool
) -> "list[Tagger]":
    """The taggers of a finished training job, one per snapshot, cycle 1 first, then the mean of their weights."""
    import torch

    from trainers.checkpoints import snapshot_path
    from trainers.network import Tagger
    from trainers.soup import mean_of
    from trainers.weights import load_snapshot

    networks = []
    train, bands = condition.train, condition.features.bands
    for cycle in range(1, train.cycles + 1):
        network = Tagger(train.network, classes, noisy_head=train.multitask, bands=bands)
        load_snapshot(snapshot_path(folder, cycle), network)
        networks.append(network.to(device))
    if soup:
        networks.append(mean_of(networks))
    # As in training: a convolution takes two thirds of the time on a CPU, and uses tensor cores on a GPU.
    return [network.to(memory_format=torch.channels_last) for network in networks]
