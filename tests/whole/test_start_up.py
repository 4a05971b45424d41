"""Verbs that compute no features and run no network start without torch, which takes seconds to import."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.run.bound import Run

SCRIPT = """
import json, sys

class Forbidden:
    def find_spec(self, name, *_):
        if name in ("torch", "torchaudio", "matplotlib", "mlflow", "ray"):
            raise AssertionError(f"{name} is imported")

sys.meta_path.insert(0, Forbidden())
from orchestrator.cli.main import main
for line in sys.argv[1:]:
    print("$", line, flush=True)
    assert main(json.loads(line)) == 0
"""


@pytest.mark.long
def test_verbs_that_need_no_torch_import_none(
    copy: Run, tiny_grid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data, run, grid = str(copy.data_root), str(copy.folder), str(tiny_grid)
    planned = ["plan", grid, "--data", data]
    assert "torch is imported" in _run(planned), "what is not counted yet is counted on the networks"
    subprocess.run([sys.executable, "-m", "orchestrator.cli", *planned], check=True, capture_output=True)
    error = _run(
        ["check", data],
        planned,
        [*planned, "--out", run],
        ["report", run],
        ["status", run],
        ["logs", run, "train-A-0"],
        ["submission", run],
        ["tune", run],
        ["runs", run],
    )
    assert error == ""


def _run(*verbs: list[str]) -> str:
    """Run verbs in one process that can't import torch, and return what it says of errors."""
    lines = [json.dumps(verb) for verb in verbs]
    return subprocess.run([sys.executable, "-c", SCRIPT, *lines], check=False, capture_output=True, text=True).stderr
