"""The driver of a launch, on runs that are done already or refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from features.errors import GridError, InputError
from features.files import read_json
from orchestrator.grids.load import load_grid
from orchestrator.launch import LaunchResult, launch, resume
from orchestrator.run.bound import Run
from orchestrator.run.owner import own
from orchestrator.run.selection import Selection, prepare
from orchestrator.views.report import build_report
from tests.fixtures.harm import INLINE, QUIET


def test_only_forced_jobs_run_again(copy: Run) -> None:
    result = launch(copy, INLINE, Selection(force=("blend",)), QUIET)
    assert result.ok
    assert result.done == 1
    assert [entry["name"] for entry in read_json(copy.folder / "timeline.json")] == ["blend"]
    with pytest.raises(GridError, match="--force blen: the grid has no such node; did you mean 'blend'"):
        launch(copy, INLINE, Selection(force=("blen",)), QUIET)


def test_resuming_uses_what_run_json_says(copy: Run) -> None:
    assert resume(copy.folder, INLINE, QUIET).done == 0
    changed = resume(copy.folder, INLINE, QUIET, changes=["blend.trials=3"])
    assert changed.ok
    assert changed.done == 1
    assert Run.open(copy.folder).recipe.blend.trials == 3


def test_a_folder_of_another_grid_is_refused(copy: Run, small_data: Path) -> None:
    other = prepare(load_grid("demo"), small_data, copy.folder)
    with pytest.raises(InputError, match="holds grid 'tiny', not 'demo'; use another --out"):
        launch(other, INLINE, Selection(), QUIET)


def test_a_run_has_one_owner(copy: Run) -> None:
    with own(copy.folder), pytest.raises(InputError):
        launch(copy, INLINE, Selection(), QUIET)


def test_a_result_says_how_it_ended(inline_run: Run) -> None:
    result = LaunchResult(inline_run.folder, 2, {}, (), False, build_report(inline_run))
    assert result.ok
    assert repr(result).startswith(f"<LaunchResult of {inline_run.folder}: 2 jobs done, blend 0.")
    failed = replace(result, failed={"train-A-0": "no luck"}, blocked=("blend",))
    assert not failed.ok
    assert "failed: train-A-0 (no luck), 1 blocked" in repr(failed)
    assert not replace(result, stopped=True).ok
