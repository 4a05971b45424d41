"""The report of a real run in all its forms."""

import csv
import io
import re
from pathlib import Path

from orchestrator.pages.tidy import COLUMNS
from orchestrator.pages.write import report_document, write_pages
from orchestrator.report.build import build_report
from orchestrator.run.bound import Run
from tests.orchestrator.pages.test_html import Page

SECTIONS = [
    "In short", "Scores", "Gain of each step", "The blend", "Learning curves", "Classes", "Data", "Conditions",
    "Cost and course", "Repeat it", "Set aside",
]  # fmt: skip


def test_a_finished_run_in_all_forms(inline_run: Run, tmp_path: Path) -> None:
    report = build_report(inline_run)
    write_pages(inline_run, report, {"html": tmp_path / "a.html", "md": tmp_path / "a.md", "csv": tmp_path / "a.csv"})
    html, markdown = (tmp_path / "a.html").read_text(), (tmp_path / "a.md").read_text()
    assert re.findall(r"<h2>(.*)</h2>", html) == SECTIONS
    assert [line[3:] for line in markdown.splitlines() if line.startswith("## ")] == SECTIONS
    page = Page(html)
    assert page.tags.count("svg") == 7, "scores, steps, weights, curves, classes, confusions, timeline"
    assert "script" not in page.tags
    words = " ".join(page.words)
    assert report.blend.oof_lwlrap_nested is not None
    for figure in (report.blend.oof_lwlrap_nested, report.conditions[1].oof_lwlrap, report.conditions[1].cv_lwlrap):
        assert f"{figure:.3f}" in words
        assert f"{figure:.3f}" in markdown
    assert "0.849" in words, "the published figure of A"
    rows = list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text())))
    assert tuple(rows[0]) == COLUMNS
    of_a = next(row for row in rows if (row["name"], row["figure"]) == ("A", "cv_best_lwlrap"))
    assert of_a["published"] == "0.849"
    nested = next(row for row in rows if row["figure"] == "oof_lwlrap_nested")
    assert float(nested["low"]) <= float(nested["value"]) <= float(nested["high"])
    assert sum(float(row["value"]) for row in rows if row["figure"] == "weight") > 0.999


def test_every_picture_has_its_figures_in_a_table(inline_run: Run) -> None:
    for section in report_document(inline_run, build_report(inline_run)).sections:
        kinds = [type(block).__name__ for block in section.blocks]
        assert "Picture" not in kinds or "Table" in kinds, section.title


def test_a_run_of_which_little_is_done_has_a_report(copy: Run, tmp_path: Path) -> None:
    for node in copy.graph.nodes.values():
        if node.shard is None:
            copy.store.forget(node)
    run = Run.open(copy.folder)
    write_pages(run, build_report(run), {"html": tmp_path / "a.html"})
    text = (tmp_path / "a.html").read_text()
    assert "Nothing is scored yet" in text
    assert "not finished" in text
