"""Verbs: what came of a run."""

import json
from pathlib import Path

import pytest

from orchestrator.cli.main import main
from orchestrator.run.bound import Run
from tests.fixtures.typed import said


def test_submission_under_both_names(copy: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "submission", copy.folder) == f"wrote {copy.folder / 'submission.csv'}\n"
    assert main(["submit", str(copy.folder), "--ensemble", "A-all"]) == 0
    out, error = capsys.readouterr()
    assert out == f"wrote {copy.folder / 'submission-A-all.csv'}\n"
    assert "is now called 'submission'" in error
    assert error.count("\n") == 1


def test_score_and_report(copy: Run, small_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "score", copy.folder, "--labels", small_data / "test_labels.csv")
    assert text.startswith("lwlrap: ")
    assert text.index("conditions:\n") < text.index("ensembles:\n") < text.index("classes:\n")
    result = json.loads(said(capsys, "score", copy.folder, "--labels", small_data / "test_labels.csv", "--json"))
    report = json.loads(said(capsys, "report", copy.folder, "--json"))
    assert report["test"]["lwlrap"] == result["lwlrap"]
    assert "out-of-fold" in said(capsys, "report", copy.folder)
