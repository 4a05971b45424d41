"""Verbs: RUNs and stores. Shells' completion has a test of its own."""

import json

import pytest

from orchestrator.run.bound import Run
from tests.fixtures.typed import said


def test_runs_and_clean(copy: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert copy.folder.name in said(capsys, "runs", copy.folder)
    assert json.loads(said(capsys, "runs", copy.folder, "--json"))["runs"]
    assert "would be removed: 0 nodes" in said(capsys, "clean", copy.folder, "--dry-run")
    assert json.loads(said(capsys, "clean", copy.folder, "--json"))["removed"] == []
