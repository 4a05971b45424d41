"""The driver of a launch, on runs that are done already or refused."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from features.errors import GridError, InputError
from features.files import read_json, write_json
from features.relabel import Relabel
from orchestrator.grids.load import load_grid
from orchestrator.launch import LaunchResult, launch, resume
from orchestrator.report.build import build_report
from orchestrator.run.bound import Run
from orchestrator.run.owner import own
from orchestrator.run.selection import Selection, prepare, read_asked
from tests.fixtures.harm import INLINE, QUIET
from tests.fixtures.services import free_port


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


def test_resuming_keeps_the_labels_of_the_launch(copy: Run, tmp_path: Path) -> None:
    noisy = copy.manifest.subset("noisy").iloc[0]
    other = next(name for name in copy.manifest.classes if name not in noisy["labels"])
    (tmp_path / "new.csv").write_text(f"subset,fname,labels\nnoisy,{noisy['clip']},{other}\n")
    relabel = Relabel.read(tmp_path / "new.csv")
    run = prepare(copy.recipe, copy.data_root, copy.folder, relabel=relabel)
    run.save(Selection(relabel=relabel).asked())
    (tmp_path / "new.csv").unlink()
    assert read_asked(copy.folder).relabel == relabel
    resume(copy.folder, INLINE, QUIET, selection=Selection(failed=True))
    kept = Run.open(copy.folder).manifest
    assert kept.subset("noisy").iloc[0]["labels"] == [other]
    assert any("new.csv changes the labels of 1 clip" in note for note in kept.notes)


@pytest.mark.usefixtures("registers")
def test_a_new_blend_is_registered_and_the_launch_says_so(
    copy: Run, own_mlflow: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (first,) = launch(copy, INLINE, Selection(), QUIET).registered
    assert (first.version, first.champion) == ("1", True)
    assert launch(copy, INLINE, Selection(), QUIET).registered == ()
    printed = Console(file=io.StringIO())
    (second,) = launch(copy, INLINE, Selection(force=("blend",)), printed).registered
    assert not second.champion, "it scores as the first does"
    score = f"{second.score:.4f}"
    assert f"registered tiny v2, not champion (lwlrap {score}, the champion has {score})" in _text(printed)


@pytest.mark.usefixtures("registers")
def test_a_launch_succeeds_while_the_registry_is_away(
    copy: Run, own_mlflow: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", f"http://127.0.0.1:{free_port()}")
    printed = Console(file=io.StringIO())
    result = launch(copy, INLINE, Selection(), printed)
    assert result.ok
    assert result.registered == ()
    assert "warning: the blend is not registered (MLflow at sqlite:///" in _text(printed)
    assert f"later: sonogrid register {copy.folder}" in _text(printed)


def _text(console: Console) -> str:
    """What was printed, in one line."""
    assert isinstance(console.file, io.StringIO)
    return " ".join(console.file.getvalue().split())


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


def test_resume_takes_the_part_of_the_grid_that_the_launch_was_asked_for(
    copy: Run, small_data: Path, tiny_grid: Path, tmp_path: Path
) -> None:
    out = tmp_path / "part"
    run = prepare(load_grid(str(tiny_grid)), small_data, out, copy.store.url)
    part = Selection(("plain",), (0,), skip_bad=True)
    assert launch(run, INLINE, part, QUIET).ok
    assert read_asked(out) == part
    wanted: list[Selection] = []

    def look(run: Run, execution: object, selection: Selection, *_: object) -> None:
        wanted.append(selection)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("orchestrator.launch.launch", look)
        resume(out, INLINE, QUIET)
        resume(out, INLINE, QUIET, selection=Selection(failed=True))
        resume(out, INLINE, QUIET, everything=True)
    assert wanted == [part, replace(part, failed=True), Selection(skip_bad=True)]
    run.save()
    assert read_asked(out) == part, "`tune` keeps it"
    assert resume(out, INLINE, QUIET, everything=True).report.blend.oof_lwlrap is not None
    assert read_asked(out) == Selection(skip_bad=True)


def test_a_run_of_an_older_version_was_asked_for_everything(copy: Run) -> None:
    facts = read_json(copy.folder / "run.json")
    facts.pop("asked", None)
    write_json(copy.folder / "run.json", facts)
    assert read_asked(copy.folder) == Selection()
    assert resume(copy.folder, INLINE, QUIET).ok
