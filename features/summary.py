"""What `check` returns: the classes, subsets and oddities of a dataset that has no problems."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from features.words import count

if TYPE_CHECKING:
    from features.manifest import Manifest

__all__ = ["DatasetSummary", "SubsetSummary"]


@dataclass(frozen=True)
class SubsetSummary:
    """Size of a subset: 'curated', 'noisy' or 'test'."""

    clips: int
    seconds: float
    """Of audio, to a tenth of a second."""


@dataclass(frozen=True, repr=False)
class DatasetSummary:
    """A dataset whose files were all checked."""

    classes: tuple[str, ...]
    """In the order of score columns."""
    subsets: dict[str, SubsetSummary]
    notes: tuple[str, ...]
    """What the user should know although it stops nothing, one sentence each."""

    @classmethod
    def of(cls, manifest: "Manifest") -> "DatasetSummary":
        """Count the clips of a manifest."""
        clips = manifest.clips
        seconds = clips["n_samples"] / clips["sample_rate_hz"]
        subsets = {
            str(name): SubsetSummary(int(number), round(float(seconds[clips["subset"] == name].sum()), 1))
            for name, number in clips["subset"].value_counts(sort=False).items()
        }
        return cls(tuple(manifest.classes), subsets, tuple(manifest.notes))

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        subsets = {name: asdict(subset) for name, subset in self.subsets.items()}
        return {"classes": list(self.classes), "subsets": subsets, "notes": list(self.notes)}

    def __repr__(self) -> str:
        sizes = [f"{name} {count(one.clips, 'clip')} ({one.seconds} s)" for name, one in self.subsets.items()]
        parts = [count(len(self.classes), "class", "classes"), *sizes, count(len(self.notes), "note")]
        return f"<DatasetSummary: {', '.join(parts)}>"
