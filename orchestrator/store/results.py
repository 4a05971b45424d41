"""What jobs return, as the done-marks of their nodes keep it, for those who read it without running jobs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from features.errors import StoreError
from orchestrator.store.marks import DoneMark

__all__ = ["PredictResult", "TrainResult"]


@dataclass(frozen=True)
class TrainResult:
    """The result of a training job."""

    best_lwlrap: float
    """Of its best epoch, on the held-out fold."""
    last_lwlrap: float
    snapshots: tuple[str, ...] = ()
    """File names, cycle 1 first."""

    @classmethod
    def of(cls, mark: DoneMark) -> Self:
        """The result in a done-mark.

        Raises:
            StoreError: it is not one of a training job.
        """
        match mark.result:
            case {"best_lwlrap": int() | float() as best, "last_lwlrap": int() | float() as last, **rest}:
                return cls(float(best), float(last), tuple(rest.get("snapshots", ())))
        raise _damaged(mark, "training")

    def to_json(self) -> Mapping[str, Any]:
        """For the done-mark."""
        return {"best_lwlrap": self.best_lwlrap, "last_lwlrap": self.last_lwlrap, "snapshots": [*self.snapshots]}


@dataclass(frozen=True)
class PredictResult:
    """The result of a prediction: the axes of its arrays (cycles, heads, pads, N, C), and what its labels are worth."""

    cycles: int
    heads: tuple[str, ...]
    pads: tuple[int, ...]
    """Silence around a clip, in frames."""
    labels_seen: tuple[int, ...] = ()
    """Folds whose curated labels the prediction's ancestors have seen."""

    @classmethod
    def of(cls, mark: DoneMark) -> Self:
        """The result in a done-mark.

        Raises:
            StoreError: it is not one of a prediction.
        """
        match mark.result:
            case {"cycles": int(cycles), "heads": [*heads], "pads": [*pads], **rest}:
                return cls(cycles, tuple(heads), tuple(pads), tuple(rest.get("labels_seen", ())))
        raise _damaged(mark, "prediction")

    def to_json(self) -> Mapping[str, Any]:
        """For the done-mark."""
        return {
            "cycles": self.cycles, "heads": [*self.heads], "pads": [*self.pads], "labels_seen": [*self.labels_seen]
        }  # fmt: skip


def _damaged(mark: DoneMark, what: str) -> StoreError:
    return StoreError(
        f"{mark.FILE} of {mark.name} is damaged: its 'result' is not one of a {what}; remove it and launch again"
    )
