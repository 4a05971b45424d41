"""Verbs: the tagger of a run."""

import json
from pathlib import Path

import pytest

from orchestrator.cli.main import main
from orchestrator.run.bound import Run
from tests.fixtures.typed import said


def test_predict(inline_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = inline_run.data_root / inline_run.manifest.subset("test")["path"].iloc[0]
    text = said(capsys, "predict", inline_run.folder, clip, "--top", "2", "--csv", tmp_path / "scores.csv")
    assert text.startswith(f"{clip}: ")
    assert text.count("  ") == 1  # two tags
    scores = json.loads(said(capsys, "predict", inline_run.folder, clip, "--json"))[str(clip)]
    assert list(scores.values()) == sorted(scores.values(), reverse=True)
    header, row = (tmp_path / "scores.csv").read_text().splitlines()
    assert header.split(",") == ["fname", *inline_run.manifest.classes]
    assert row.startswith(f"{clip},")
    labels = tmp_path / "train_curated.csv"
    labels.write_text("fname,labels\n")
    assert main(["predict", str(inline_run.folder), str(clip), "--csv", str(labels)]) == 2
    assert "is there already; choose another name" in capsys.readouterr().err
    assert labels.read_text() == "fname,labels\n"
