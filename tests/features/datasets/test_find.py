from pathlib import Path

import pytest

from features.datasets.find import dataset_folder, find_layout
from features.errors import DataError, InputError
from tests.features.datasets.conftest import Clip


def test_a_dataset_is_given_by_its_folder_or_its_file(root: Path) -> None:
    (root / "dataset.yaml").write_text("curated: {}\n")
    assert dataset_folder(root) == dataset_folder(root / "dataset.yaml") == root
    (root / "other.yaml").write_text("curated: {}\n")
    for other in (root / "other.yaml", root / "nowhere", root.parent / "dataset.yaml"):
        with pytest.raises(InputError, match="is not a folder; name the dataset's folder"):
            dataset_folder(other)


def test_a_folder_that_nothing_describes_is_told_to_init(root: Path, clip: Clip) -> None:
    clip("dog/a.wav")
    with pytest.raises(DataError, match=f"describe it with: sonogrid init {root}"):
        find_layout(root)
    (root / "data.zip").write_bytes(b"")
    with pytest.raises(DataError, match="unpack its zip files first"):
        find_layout(root)


def test_dataset_yaml_comes_before_the_challenge(tiny: Path) -> None:
    assert find_layout(tiny).classes == ("A", "B")
    (tiny / "dataset.yaml").write_text(
        "classes: [B, A]\ncurated: {audio: train_curated, csv: train_curated.csv, file: '{fname}', labels: labels}\n"
    )
    assert find_layout(tiny).classes == ("B", "A")
