"""Two runs that share a store and start at the same moment: each job is done once and both end well."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROUNDS = 10


def start(grid: Path, data: Path, place: Path, store: str, name: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"sqlite:///{place / name}.db",
        "SONOGRID_CACHE": str(place / f"cache-{name}"),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "orchestrator.cli", "launch", str(grid), "--data", str(data), "--store", store]
    command += ["--out", str(place / name), "--executor", "inline", "--only", "plain", "--folds", "0"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def both(grid: Path, data: Path, place: Path, store: str) -> None:
    place.mkdir(parents=True)
    processes = [start(grid, data, place, store, name) for name in ("one", "two")]
    said = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n---\n".join(said)


@pytest.mark.long
def test_two_launches_on_a_fresh_folder_do_each_job_once(tmp_path: Path, small_data: Path, tiny_grid: Path) -> None:
    for number in range(ROUNDS):
        place = tmp_path / str(number)
        both(tiny_grid, small_data, place, str(place / "store"))
        nodes = [
            path for path in (place / "store").iterdir() if path.is_dir() and not path.name.startswith("manifest-")
        ]
        assert len(nodes) > 2
        for node in nodes:
            assert json.loads((node / "done.json").read_text())["attempts"] == 1, node.name
            assert [path.name for path in node.glob("claim-*.json")] == ["claim-1.json"], node.name
        done = [json.loads((place / name / "report.json").read_text()) for name in ("one", "two")]
        assert done[0]["conditions"] == done[1]["conditions"]


@pytest.mark.long
def test_two_launches_on_a_fresh_bucket_do_each_job_once(
    tmp_path: Path, small_data: Path, tiny_grid: Path, s3: str
) -> None:
    from orchestrator.store.objects.open import open_object_store

    both(tiny_grid, small_data, tmp_path / "s3", f"{s3}/store")
    keys = open_object_store(f"{s3}/store").list()
    claims = [key for key in keys if "/claim-" in key and not key.startswith("manifest-")]
    assert len(claims) > 2
    assert all(key.endswith("/claim-1.json") for key in claims)
