"""Two runs that share a store and start at the same moment: each job is done once and both end well."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.store.objects.open import open_object_store

pytestmark = pytest.mark.long

ROUNDS = 10


def start(grid: Path, data: Path, place: Path, store: str, name: str, executor: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": f"sqlite:///{place / name}.db",
        "SONOGRID_CACHE": str(place / f"cache-{name}"),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "orchestrator.cli", "launch", str(grid), "--data", str(data), "--store", store]
    command += ["--out", str(place / name), "--executor", executor, "--only", "plain", "--folds", "0"]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize("kind", ["folder", "s3"])
@pytest.mark.parametrize("executor", ["inline", pytest.param("ray", marks=pytest.mark.ray)])
def test_two_launches_on_a_fresh_store_do_each_job_once(
    tmp_path: Path, small_data: Path, tiny_grid: Path, request: pytest.FixtureRequest, executor: str, kind: str
) -> None:
    for number in range(ROUNDS):
        place = tmp_path / str(number)
        place.mkdir()
        store = str(place / "store") if kind == "folder" else f"{request.getfixturevalue('s3')}/{number}"
        drivers = [start(tiny_grid, small_data, place, store, name, executor) for name in ("one", "two")]
        said = [driver.communicate(timeout=600)[0] for driver in drivers]
        assert [driver.returncode for driver in drivers] == [0, 0], "\n---\n".join(said)

        objects = open_object_store(store)
        keys = [key for key in objects.list() if "/" in key and not key.startswith(("manifest-", ".ray/"))]
        nodes = {key.partition("/")[0] for key in keys}
        assert len(nodes) > 2
        assert sorted(key for key in keys if "/claim-" in key) == sorted(f"{node}/claim-1.json" for node in nodes)
        assert all(json.loads(objects.read(f"{node}/done.json"))["attempts"] == 1 for node in nodes)
        first, second = (json.loads((place / name / "report.json").read_text()) for name in ("one", "two"))
        assert first["conditions"] == second["conditions"]
