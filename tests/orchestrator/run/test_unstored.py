from pathlib import Path

import pytest

from features.errors import InputError
from orchestrator.grids.load import load_grid
from orchestrator.run.unstored import assumed_run, unstored_run


def test_assumed_data_has_the_sizes_of_fsdkaggle2019() -> None:
    run = assumed_run(load_grid("paper"))
    assert [len(run.manifest.subset(subset)) for subset in ("curated", "noisy", "test")] == [4_970, 19_815, 4_481]
    assert len(run.manifest.classes) == 80


def test_an_unstored_run_reads_the_data_and_finds_nothing_done(tiny_grid: Path, small_data: Path) -> None:
    before = sorted(small_data.rglob("*"))
    run = unstored_run(load_grid(str(tiny_grid)), small_data, skip_bad=False)
    assert {run.store.inspected(node).state for node in run.graph.nodes.values()} == {"new"}
    assert sorted(small_data.rglob("*")) == before


def test_a_missing_folder_is_named(tiny_grid: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="missing is not a folder; name the dataset's folder"):
        unstored_run(load_grid(str(tiny_grid)), tmp_path / "missing", skip_bad=False)
