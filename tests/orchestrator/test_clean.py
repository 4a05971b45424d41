"""`sonogrid clean`: what no run needs goes, everything else stays."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from features.errors import InputError
from orchestrator.clean import clean
from orchestrator.cli.main import main
from orchestrator.run.bound import Run
from orchestrator.run.owner import own
from orchestrator.store.contents import contents


def age(root: Path) -> None:
    """Let everything in a store be two hours old."""
    then = time.time() - 7200
    for path in root.rglob("*"):
        os.utime(path, (then, then))


def forget(run: Run, kind: str) -> set[str]:
    """Let run.json no longer name the nodes of a kind; returns their folders."""
    raw = json.loads((run.folder / "run.json").read_text())
    nodes = {name: node for name, node in raw["nodes"].items() if node["kind"] != kind}
    (run.folder / "run.json").write_text(json.dumps({**raw, "nodes": nodes}))
    return {run.store.name(node) for node in run.graph.nodes.values() if node.kind == kind}


def names(root: Path) -> set[str]:
    return {one.name for one in contents(root)}


def test_nothing_of_a_finished_run_is_removed(copy: Run) -> None:
    age(copy.store.root)
    before = names(copy.store.root)
    found = clean(copy.folder, [], dry=False)
    assert (found.removed, found.of_others, found.recent) == ((), (), ())
    assert names(copy.store.root) == before
    assert found.runs == (copy.folder,)


def test_what_a_run_no_longer_needs_is_said_and_then_removed(copy: Run, capsys: pytest.CaptureFixture[str]) -> None:
    unneeded = forget(copy, "blend")
    age(copy.store.root)
    before = names(copy.store.root)
    assert main(["clean", str(copy.store.root), "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert "would be removed: 1 node (" in text
    assert names(copy.store.root) == before
    assert {one.name for one in clean(copy.folder, [], dry=False).removed} == unneeded
    assert names(copy.store.root) == before - unneeded
    assert main(["clean", str(copy.folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["removed"] == []


def test_what_was_just_written_stays(copy: Run) -> None:
    unneeded = forget(copy, "blend")
    age(copy.store.root)
    (copy.store.root / next(iter(unneeded)) / "new").write_text("")
    found = clean(copy.folder, [], dry=False)
    assert {one.name for one in found.recent} == unneeded
    assert found.removed == ()
    assert unneeded <= names(copy.store.root)


def test_a_run_that_is_alive_is_refused(copy: Run) -> None:
    forget(copy, "blend")
    age(copy.store.root)
    before = names(copy.store.root)
    with own(copy.folder), pytest.raises(InputError, match="is being run by process"):
        clean(copy.folder, [], dry=False)
    assert names(copy.store.root) == before


def test_what_another_run_computed_or_needs_stays(copy: Run, tmp_path: Path) -> None:
    """A second run that shares the store: named, it keeps what it needs; not named, what it has computed."""
    other = tmp_path / "other"
    other.mkdir()
    raw = json.loads((copy.folder / "run.json").read_text())
    (other / "run.json").write_text(json.dumps({**raw, "id": "0" * 32, "store": str(copy.store.root)}))
    unneeded = forget(copy, "blend")
    age(copy.store.root)
    assert clean(copy.folder, [other], dry=True).removed == ()
    (claim,) = (copy.store.root / next(iter(unneeded))).glob("claim-*.json")
    content = json.loads(claim.read_text())
    claim.write_text(json.dumps({**content, "run_id": f"{'0' * 32}.abc"}))
    age(copy.store.root)
    found = clean(copy.folder, [], dry=False)
    assert {one.name for one in found.of_others} == unneeded
    assert found.removed == ()


def test_runs_have_to_be_known_and_to_use_the_store(copy: Run, inline_run: Run, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    shutil.copytree(copy.store.root, alone)
    with pytest.raises(InputError, match="name every run that uses this store with --run"):
        clean(alone, [], dry=True)
    with pytest.raises(InputError, match="has its results in"):
        clean(copy.folder, [inline_run.folder], dry=True)
    with pytest.raises(InputError, match="is no folder"):
        clean(tmp_path / "missing", [], dry=True)
