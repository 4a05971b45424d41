"""What came of a run."""

from pathlib import Path

import pytest

from features.errors import InputError
from orchestrator import api
from orchestrator.run.bound import Run


def test_files_of_a_finished_run(copy: Run, small_data: Path) -> None:
    assert api.submission(copy.folder).name == "submission.csv"
    assert api.submission(copy.folder, ensemble="A-all").name == "submission-A-all.csv"
    page = (copy.folder / "report.html").read_text()
    scores = api.score(copy.folder, small_data / "test_labels.csv")
    assert (copy.folder / "report.html").read_text() != page, "it has the test scores now"
    assert 0 <= scores.lwlrap <= 1
    test = api.report(copy.folder).test
    assert test is not None
    assert test.lwlrap == scores.lwlrap
    assert api.tune(copy.folder, trials=2).blend.members
    api.sync(copy.folder)


def test_a_report_is_written_to_new_files_only(inline_run: Run, tmp_path: Path) -> None:
    found = api.report(inline_run.folder, html=tmp_path / "a.html", csv=str(tmp_path / "a.csv"))
    assert found == api.report(inline_run.folder)
    assert (tmp_path / "a.html").read_text().startswith("<!doctype html>")
    with pytest.raises(InputError, match=r"--csv .*a\.csv is there already"):
        api.report(inline_run.folder, md=tmp_path / "a.md", csv=tmp_path / "a.csv")
    assert not (tmp_path / "a.md").exists()
