"""Labels of a student's training clips, from the predictions of its teachers.

curated.npy   (N, C) labels of the curated clips, N = all; those of the held-out folds are zeros
noisy.npy     (N, C) labels of the noisy clips, if the student trains on them
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from typing_extensions import override

from features.files import save_npy
from orchestrator.blending.predictions import Predictions
from orchestrator.jobs.inputs import Inputs
from orchestrator.jobs.spec import Binding, JobSpec, Work
from orchestrator.store.node import Node

if TYPE_CHECKING:
    from orchestrator.jobs.attempt import Attempt

__all__ = ["DistillSpec"]


@dataclass(frozen=True)
class DistillSpec(Work):
    """How labels are made from predictions."""

    share: float
    """Part of the teachers' scores in the labels of curated clips."""
    noisy: bool
    """Whether noisy clips get labels too."""
    own_label: float
    """Factor of the odds of the classes that a noisy clip is labelled with."""
    folds: tuple[int, ...]
    """Folds whose curated clips the student trains on, and its teachers have predicted."""

    @override
    @classmethod
    def of(cls, node: Node, binding: Binding) -> Self:
        payload = node.payload
        folds = tuple(fold for fold in range(binding.recipe.data.folds) if fold not in node.held_out)
        return cls(float(payload["share"]), "noisy" in payload["clips"], float(payload.get("own_label", 1.0)), folds)

    @override
    def do(self, spec: JobSpec, inputs: Inputs, attempt: "Attempt") -> Mapping[str, Any]:
        from trainers.distill import curated_labels, mean_of_teachers, noisy_labels
        from trainers.pseudo import own_label_factors

        teachers = [Predictions.open(folder, inputs.manifest, self.folds) for folder in inputs.folders["teacher"]]
        rows, targets = teachers[0].rows("curated"), inputs.manifest.targets("curated")
        labels = np.zeros(targets.shape, dtype=np.float32)
        scores = mean_of_teachers([teacher.read("curated") for teacher in teachers])
        labels[rows] = curated_labels(targets[rows], scores, self.share)
        save_npy(attempt.folder / "curated.npy", labels)
        if self.noisy:
            scores = mean_of_teachers([teacher.read("noisy") for teacher in teachers])
            factors = own_label_factors(inputs.manifest.targets("noisy"), self.own_label)
            save_npy(attempt.folder / "noisy.npy", noisy_labels(scores, factors))
        return {"conditions": len(teachers)}
