"""The example that needs numpy and onnxruntime only."""

import re
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from orchestrator.export.export import Exported
from orchestrator.run.bound import Run
from orchestrator.tagger.tagger import Tagger
from tests.docs.pages import ROOT

EXAMPLE = ROOT / "docs" / "tag_onnx.py"
GUARD = """
import runpy, sys
class Guard:
    def find_spec(self, name, path=None, target=None):
        root = name.partition(".")[0]
        if root not in sys.stdlib_module_names | {"numpy", "onnxruntime", "coloredlogs", "flatbuffers"}:
            raise ImportError(f"{name} is not installed here")
sys.meta_path.insert(0, Guard())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def check_output(run: Run, exported: Exported, python: list[str]) -> None:
    """The printed tags are those of the tagger."""
    clips = [run.data_root / path for path in run.manifest.subset("test")["path"][:2]]
    printed = subprocess.run([*python, EXAMPLE, exported.path, *clips], capture_output=True, text=True, check=True)
    tagger = Tagger.load(run.folder)
    for path, line in zip(clips, printed.stdout.splitlines(), strict=True):
        assert line.startswith(f"{path}: ")
        found = {label: float(score) for label, score in re.findall(r"(\S+) (\d\.\d+)", line.partition(": ")[2])}
        wanted = dict(tagger.tag(path, top=len(tagger.classes)))
        assert len(found) == 3
        assert all(abs(score - wanted[label]) <= 0.0006 for label, score in found.items())


def test_the_example_needs_two_packages(inline_run: Run, onnx_export: Exported) -> None:
    check_output(inline_run, onnx_export, [sys.executable, "-c", GUARD])


@pytest.mark.long
def test_the_example_runs_in_a_clean_environment(inline_run: Run, onnx_export: Exported, tmp_path: Path) -> None:
    venv.create(tmp_path / "clean", with_pip=True)
    python = str(tmp_path / "clean" / "bin" / "python")
    pins = [
        line for line in (ROOT / "constraints.txt").read_text().splitlines() if re.match(r"(numpy|onnxruntime)==", line)
    ]
    subprocess.run([python, "-m", "pip", "install", "-q", *pins], check=True)
    check_output(inline_run, onnx_export, [python])


def test_the_example_is_short() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) <= 60
