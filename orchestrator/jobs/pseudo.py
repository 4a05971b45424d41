"""Pseudo labels of the noisy clips, from the predictions of their teachers."""

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

__all__ = ["PseudoSpec"]


@dataclass(frozen=True)
class PseudoSpec(Work):
    """How labels are made from predictions."""

    temperature: float | None
    """Exponent of soft labels; None for hard ones."""
    own_label: float = 1.0
    """Factor of the classes that a clip is labelled with."""

    @override
    @classmethod
    def of(cls, node: Node, binding: Binding) -> Self:
        temperature = node.payload.get("temperature")
        own_label = float(node.payload.get("own_label", 1.0))
        return cls(None if temperature is None else float(temperature), own_label)

    @override
    def do(self, spec: JobSpec, inputs: Inputs, attempt: "Attempt") -> Mapping[str, Any]:
        from trainers.pseudo import hard_labels, own_label_factors, soft_labels

        # A teacher's snapshots and pads count alike.
        teachers = [Predictions.open(folder, inputs.manifest) for folder in inputs.folders["teacher"]]
        curated = [teacher.read("noisy")[:, 0] for teacher in teachers]  # (cycles, pads, N, C) each
        stacked = np.concatenate([scores.reshape(-1, *scores.shape[2:]) for scores in curated])
        factors = own_label_factors(inputs.manifest.targets("noisy"), self.own_label)
        if self.temperature is None:
            labels = hard_labels(stacked, factors)
        else:
            labels = soft_labels(stacked, self.temperature, factors)
        save_npy(attempt.folder / "labels.npy", labels)
        return {"models": len(stacked)}
