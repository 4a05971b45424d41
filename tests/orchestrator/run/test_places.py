"""Places to write to are refused before anything is done."""

from pathlib import Path

import pytest

from features.errors import InputError
from orchestrator.run.places import require_new, require_place


def test_a_folder_that_can_be_made_is_a_place(tmp_path: Path) -> None:
    require_place("--out", tmp_path / "a" / "b", tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


def test_a_file_and_a_dataset_are_no_places(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    data = tmp_path / "data"
    (data / "train_curated").mkdir(parents=True)
    (data / "train_curated" / "a.wav").touch()
    for out, words in (
        (tmp_path / "file" / "run", "file is not a folder"),
        (data, "is the dataset"),
        (data / "train_curated" / "run", "lies among the clips"),
    ):
        with pytest.raises(InputError, match=words):
            require_place("--out", out, data)
    require_place("--out", data / "runs", data)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    require_new("--csv", tmp_path / "new.csv")
    (tmp_path / "train_curated.csv").touch()
    (tmp_path / "link.csv").symlink_to(tmp_path / "gone.csv")
    taken = "is there already; choose another name"
    for path, words in (
        (tmp_path / "train_curated.csv", taken), (tmp_path / "link.csv", taken), (tmp_path, "is a folder; name a file")
    ):  # fmt: skip
        with pytest.raises(InputError, match=words):
            require_new("--csv", path)
