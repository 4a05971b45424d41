"""The page and the CSV of a review of a real run."""

import csv
import io
from pathlib import Path

import pytest

from features.datasets.find import find_layout
from features.errors import InputError
from features.relabel import Relabel
from orchestrator.cli.main import main
from orchestrator.review.write import COLUMNS, review
from orchestrator.run.bound import Run
from tests.orchestrator.pages.test_html import Page


def test_a_review_has_a_page_and_a_table_of_the_same_clips(inline_run: Run, tmp_path: Path) -> None:
    found = review(inline_run, tmp_path / "review", 5)
    page = Page(found.page.read_text())
    assert page.tags.count("audio") == page.tags.count("img") == page.tags.count("article") == 10
    assert "script" not in page.tags
    sources = [value or "" for name, value in page.attributes if name == "src"]
    assert {source[:12] for source in sources} == {"data:audio/m", "data:image/p"}
    rows = list(csv.DictReader(io.StringIO(found.table.read_text())))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["subset"], row["fname"]) for row in rows] == [(one.subset, one.clip) for one in found.suspects]
    assert f"--relabel {found.table}" in " ".join(page.words)


def test_a_table_that_nobody_edited_changes_nothing(inline_run: Run, tmp_path: Path) -> None:
    found = review(inline_run, tmp_path, 100)
    layout = find_layout(inline_run.data_root)
    relabel = Relabel.read(found.table)
    assert sum(map(len, relabel.labels.values())) == 28
    assert relabel.apply(layout) is layout


def test_an_edited_table_is_not_replaced(inline_run: Run, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("edited")
    with pytest.raises(InputError, match=r"labels\.csv is there already"):
        review(inline_run, tmp_path, 5)
    assert not (tmp_path / "review.html").exists()


def test_the_verb_says_who_judged_and_what_to_do(copy: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["review", str(copy.folder), "--top", "3"]) == 0
    out = capsys.readouterr().out
    assert "curated: " in out
    assert "Judged by the blend" in out
    assert f"wrote {copy.folder / 'review' / 'labels.csv'}: edit its column labels" in out
