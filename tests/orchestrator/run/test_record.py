import json
from pathlib import Path
from typing import Any

import pytest

from features.errors import InputError, StoreError
from features.files import read_json, write_json
from orchestrator.grids.load import load_grid
from orchestrator.run.bound import Run
from orchestrator.run.record import RUN_FILE_VERSION, RecordedRun, existing_run_json, read_run_json, store_of
from orchestrator.run.selection import prepare


@pytest.fixture
def run(small_data: Path, tiny_grid: Path, tmp_path: Path) -> Run:
    run = prepare(load_grid(str(tiny_grid)), small_data, tmp_path / "run")
    run.save()
    return run


def test_a_run_is_read_as_it_was_recorded(run: Run) -> None:
    recorded = RecordedRun.open(run.folder)
    assert list(recorded.nodes) == [node.name for node in run.graph.nodes.values()]
    for node in run.graph.nodes.values():
        read = recorded.nodes[node.name]
        assert (read.kind, read.signature, read.inputs) == (node.kind, node.signature, node.inputs)
    assert recorded.store.url == run.store.url


def test_a_store_inside_moves_with_its_run(run: Run, tmp_path: Path) -> None:
    raw = existing_run_json(run.folder)
    assert raw["store"] == "store"
    run.folder.rename(tmp_path / "moved")
    assert store_of(tmp_path / "moved", raw) == str(tmp_path / "moved" / "store")
    assert store_of(tmp_path, {"store": "s3://bucket/a"}) == "s3://bucket/a"


def test_no_run_is_told_from_a_damaged_one(run: Run, tmp_path: Path) -> None:
    assert read_run_json(tmp_path) is None
    with pytest.raises(InputError, match=rf"no run\.json; check the path, .* --data DATA --out {tmp_path}$"):
        existing_run_json(tmp_path)
    path = run.folder / "run.json"
    content: dict[str, Any] = read_json(path)
    assert content["schema"] == RUN_FILE_VERSION
    write_json(path, {**content, "schema": RUN_FILE_VERSION + 1})
    with pytest.raises(InputError, match="another version of sonogrid"):
        read_run_json(run.folder)
    write_json(path, {**content, "groups": []})
    with pytest.raises(StoreError, match="are in no group"):
        read_run_json(run.folder)
    path.write_text(json.dumps([1]), encoding="utf-8")
    with pytest.raises(StoreError, match="damaged"):
        read_run_json(run.folder)
