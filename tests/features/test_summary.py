"""What a check says of a dataset."""

from pathlib import Path

from features.manifest import build_manifest
from features.settings import DataSettings
from features.summary import DatasetSummary, SubsetSummary


def test_classes_subsets_and_notes(tiny: Path) -> None:
    (tiny / "train_curated" / "stray.wav").write_bytes(b"")
    summary = DatasetSummary.of(build_manifest(tiny, DataSettings()))
    assert summary.classes == ("A", "B")
    assert summary.subsets == {"curated": SubsetSummary(clips=10, seconds=2.0)}
    assert "stray.wav" in summary.notes[0]
    assert repr(summary) == "<DatasetSummary: 2 classes, curated 10 clips (2.0 s), 1 note>"
    assert summary.as_dict() == {
        "classes": ["A", "B"],
        "subsets": {"curated": {"clips": 10, "seconds": 2.0}},
        "notes": list(summary.notes),
    }
