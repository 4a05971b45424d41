"""Verbs: what a run is doing."""

import json

import pytest

from orchestrator.run.bound import Run
from tests.fixtures.typed import said


def test_status_and_logs(inline_run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert "train-plain-0" in said(capsys, "status", inline_run.folder)
    jobs = json.loads(said(capsys, "status", inline_run.folder, "--json"))["jobs"]
    assert {job["state"] for job in jobs} <= {"done", "cached"}
    assert said(capsys, "logs", inline_run.folder, "train-plain-0")


def test_resume_and_sync(copy: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing to do" in said(capsys, "resume", copy.folder, "--executor", "inline")
    assert said(capsys, "sync", copy.folder) == "MLflow is up to date\n"
