"""What may be launched into a RUN folder again."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from features.errors import InputError
from features.synthetic import generate
from orchestrator.grids.load import load_grid
from orchestrator.launch import launch
from orchestrator.run.bound import Run
from orchestrator.run.same import require_same
from orchestrator.run.selection import Selection, prepare
from tests.fixtures.harm import INLINE, QUIET


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".json", ".csv")}


def test_other_data_is_refused_and_nothing_is_overwritten(copy: Run, tiny_grid: Path, tmp_path: Path) -> None:
    generate(tmp_path / "other", seed=4, curated=16, noisy=12, test=6)
    other = prepare(load_grid(str(tiny_grid)), tmp_path / "other", copy.folder)
    before = contents(copy.folder)
    with pytest.raises(
        InputError, match=rf"holds results on {copy.data_root}, and .*/other has other audio; use anothe"
    ):
        launch(other, INLINE, Selection(), QUIET)
    assert contents(copy.folder) == before


def test_a_dataset_that_was_moved_is_the_same_also_with_other_labels(
    copy: Run, small_data: Path, tiny_grid: Path, tmp_path: Path
) -> None:
    shutil.copytree(small_data, tmp_path / "moved")
    csv = tmp_path / "moved" / "train_noisy.csv"
    moved = prepare(load_grid(str(tiny_grid)), tmp_path / "moved", copy.folder)
    require_same(moved)
    csv.write_text(csv.read_text(encoding="utf-8").replace("Siren", "Tone"), encoding="utf-8")
    require_same(prepare(load_grid(str(tiny_grid)), tmp_path / "moved", copy.folder))


def test_another_store_is_refused_unless_the_results_were_moved_there(
    copy: Run, small_data: Path, tiny_grid: Path, tmp_path: Path
) -> None:
    recipe, new = load_grid(str(tiny_grid)), tmp_path / "new"
    elsewhere = prepare(recipe, small_data, copy.folder, new)
    with pytest.raises(InputError, match=r"has its results in .*/store, not in .*/new: give --store .*/store, or use"):
        launch(elsewhere, INLINE, Selection(), QUIET)
    assert not list(new.glob("*-*"))
    shutil.copytree(copy.store.root, new, dirs_exist_ok=True)
    require_same(prepare(recipe, small_data, copy.folder, new))


def test_a_new_folder_takes_any_run(copy: Run, tmp_path: Path) -> None:
    require_same(replace(copy, folder=tmp_path / "nothing"))
