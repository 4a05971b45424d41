"""House rules that neither ruff nor import-linter can check."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent


def test_pre_commit_runs_what_make_check_runs() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = re.search(r"^check: setup\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert recipe is not None
    wanted = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe[1].splitlines()]
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [hook["entry"] for repo in config["repos"] for hook in repo["hooks"]] == wanted


def test_hooks_are_local() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    assert {hook["language"] for repo in config["repos"] for hook in repo["hooks"]} == {"system"}


def test_only_the_room_of_object_stores_imports_pyarrow_fs() -> None:
    """Import-linter sees `pyarrow` as one module, and the manifest needs the rest of it."""
    importers = {
        str(path.relative_to(ROOT))
        for package in ("features", "trainers", "orchestrator")
        for path in (ROOT / package).rglob("*.py")
        if re.search(
            r"^\s*(from pyarrow\.fs import|import pyarrow\.fs|from pyarrow import .*\bfs\b)", path.read_text(), re.M
        )
    }
    assert importers == {"orchestrator/store/objects/gcs.py"}
