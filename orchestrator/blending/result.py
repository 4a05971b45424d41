"""The result of a blend: ensemble weights, their scores, and the file `blend.json` that keeps them."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from features.files import read_json, write_json
from orchestrator.grids.ensembles import Member

__all__ = ["Blend", "BlendResult"]

FILE = "blend.json"


@dataclass(frozen=True)
class BlendResult:
    """Ensemble weights and their lwlrap on out-of-fold predictions."""

    weights: tuple[float, ...]
    """(M,), at least 0, sum 1."""
    oof_lwlrap: float
    """Of these weights, on the clips they were tuned on."""
    oof_lwlrap_nested: float
    """Of the same procedure, each fold scored with weights tuned on the others: the figure to report."""
    uniform_oof_lwlrap: float
    paper_oof_lwlrap: float | None
    greedy_oof_lwlrap: float
    """Of greedy weights, on the clips they were chosen on."""
    predictions: int
    """Members with a weight x folds: how often each test clip is predicted."""
    mixture: dict[str, float] = field(default_factory=dict)
    """How the weights were made from greedy selections (`bagging.Mixture`); empty in blends of earlier versions."""
    fold_weights: tuple[tuple[float, ...], ...] = ()
    """(F, M) weights tuned without each fold; a fold without labels has the weights of all."""

    def scores(self) -> dict[str, float | None]:
        """Every lwlrap by its name."""
        return {name: value for name, value in asdict(self).items() if "lwlrap" in name}


@dataclass(frozen=True)
class Blend:
    """A blend as `blend.json` keeps it: which members there are, and the result of tuning their weights."""

    members: tuple[Member, ...]
    """(M,)"""
    result: BlendResult

    def weighted(self) -> Iterator[tuple[Member, float]]:
        """The members that have a weight, with it."""
        pairs = zip(self.members, self.result.weights, strict=True)
        return ((member, weight) for member, weight in pairs if weight > 0)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        result = asdict(self.result) | {
            "weights": list(self.result.weights),
            "fold_weights": [list(weights) for weights in self.result.fold_weights],
        }
        return {"members": [asdict(member) for member in self.members], **result}

    def write(self, folder: Path) -> None:
        """Write `blend.json` to a folder."""
        write_json(folder / FILE, self.as_dict())

    @classmethod
    def read(cls, folder: Path) -> "Blend":
        """Read the `blend.json` of a folder of the store, whose checksum the store has verified.

        Raises:
            StoreError: the file is missing or is not JSON.
        """
        values = read_json(folder / FILE)
        members = tuple(Member(**member) for member in values.pop("members"))
        tuples = {
            "weights": tuple(values["weights"]),
            "fold_weights": tuple(map(tuple, values.get("fold_weights", ()))),
        }
        return cls(members, BlendResult(**(values | tuples)))
