"""The tests mirror the packages: each module has a test file of its name, or a reason here why it has none."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("features", "trainers", "orchestrator")
MODULES = sorted(
    str(path.relative_to(ROOT)) for package in PACKAGES for path in (ROOT / package).rglob("*.py")
) + sorted(path.name for path in ROOT.glob("*.py"))

WITHOUT = {
    "orchestrator/cli/__main__.py": "three lines; every test of the command line in a process of its own runs them",
    "orchestrator/executors/ray/prometheus.py": "needs a cluster with a dashboard: tested in tests/whole/cluster",
    "orchestrator/executors/ray/train.py": "needs a cluster: tested in tests/whole/test_ray.py",
    "orchestrator/executors/ray/versions.py": "needs a cluster: tested in test_cluster.py beside it",
    "orchestrator/jobs/blend.py": "every run of a grid runs it: tests/whole/test_inline_run.py",
    "orchestrator/jobs/spec.py": "dataclasses alone: tested in test_registry.py beside it",
    "orchestrator/pages/document.py": "dataclasses alone: tested in test_html.py and test_markdown.py beside it",
    "orchestrator/store/interfaces.py": "abstract methods alone: tested where they are implemented",
    "orchestrator/store/objects/gcs.py": "one contract for all object stores: tested in test_objects.py beside it",
    "orchestrator/store/objects/local.py": "one contract for all object stores: tested in test_objects.py beside it",
}
"""Modules without a test file of their own, each with the reason."""


def mirror(module: str) -> Path:
    """The test file of a module."""
    path = Path(module)
    return ROOT / "tests" / path.parent / f"test_{path.name}"


@pytest.mark.parametrize("module", [module for module in MODULES if not module.endswith("/__init__.py")])
def test_every_module_has_a_test_file_or_a_reason(module: str) -> None:
    if mirror(module).exists():
        assert module not in WITHOUT, f"{module} has a test file: remove it from WITHOUT"
    else:
        assert module in WITHOUT, f"add {mirror(module).relative_to(ROOT)}, or a reason to WITHOUT"


def test_reasons_name_modules_that_exist() -> None:
    assert [module for module in WITHOUT if module not in MODULES] == []


@pytest.mark.parametrize("package", [module for module in MODULES if module.endswith("/__init__.py")])
def test_every_package_has_a_docstring(package: str) -> None:
    assert ast.get_docstring(ast.parse((ROOT / package).read_text(encoding="utf-8")))
