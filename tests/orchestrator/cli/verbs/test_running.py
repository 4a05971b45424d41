"""Verbs: grids: planned, launched, resumed, searched."""

import json
from pathlib import Path

import pytest

from orchestrator.cli.main import main
from orchestrator.run.bound import Run
from tests.fixtures.typed import said


def test_plan(inline_run: Run, tiny_grid: Path, small_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("plan", tiny_grid, "--data", small_data, "--out", inline_run.folder)
    text = said(capsys, *arguments)
    assert "cached    train-plain-0: " in text
    assert "train: 8 cached" in text
    nodes = json.loads(said(capsys, *arguments, "--json"))["nodes"]
    assert {node["action"] for node in nodes} == {"cached"}


def test_tune(copy: Run, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "tune", copy.folder, "--trials", "3")
    assert " head pad " in text
    assert "predictions: " in text
    result = json.loads(said(capsys, "tune", copy.folder, "--trials", "3", "--json"))
    assert sum(result["weights"]) == pytest.approx(1)


def test_a_demo_in_a_folder_of_another_grid_is_refused(copy: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--out", str(copy.folder)]) == 2
    assert "holds grid 'tiny', not 'demo'" in capsys.readouterr().err
    assert not (copy.folder / "data").exists()
