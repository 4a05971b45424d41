"""`sonogrid runs`: RUNs of a folder and nodes of a store."""

import json
import shutil
from pathlib import Path

import pytest

from features.errors import InputError
from orchestrator.cli.main import main
from orchestrator.run.bound import Run
from orchestrator.views.stored import read_stored


def test_a_store_a_run_and_a_folder_of_runs(inline_run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    by_run, by_store = read_stored(inline_run.folder), read_stored(inline_run.store.root)
    assert by_run == by_store
    (run,) = by_run.runs
    assert (run.grid, run.done, run.nodes) == ("tiny", len(inline_run.graph.nodes), len(inline_run.graph.nodes))
    folder = read_stored(inline_run.folder.parent)
    assert (folder.store, folder.runs) == (None, (run,))
    assert main(["runs", str(inline_run.folder)]) == 0
    text = capsys.readouterr().out
    assert "tiny" in text
    assert "predict" in text
    assert inline_run.identity[:12] in text
    assert main(["runs", str(inline_run.folder.parent), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"][0]["grid"] == "tiny"


def test_a_run_that_cannot_be_read_is_named(inline_run: Run, tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    shutil.copy(inline_run.folder / "run.json", tmp_path / "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "run.json").write_text("[]")
    bad, good = read_stored(tmp_path).runs
    assert "is damaged" in bad.grid
    assert (good.grid, good.done) == ("tiny", 0)


def test_another_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds neither nodes nor RUNs"):
        read_stored(tmp_path)
    with pytest.raises(InputError, match="is no folder"):
        read_stored(tmp_path / "missing")
