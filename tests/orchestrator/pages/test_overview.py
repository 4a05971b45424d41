"""What MLflow shows of conditions and of the blend."""

from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.pages.overview import FOLDER, overview_files, refresh_overviews, write_overviews
from orchestrator.report.build import build_report
from orchestrator.report.labels import score_labels
from orchestrator.run.bound import Run


def names(run: Run, of: str) -> set[str]:
    return {path.name for path in overview_files(run, of)}


def test_there_are_files_that_a_browser_shows(inline_run: Run) -> None:
    for condition in inline_run.recipe.conditions:
        assert names(inline_run, condition) >= {
            "overview.html", "learning-curves.png", "learning-curves.csv", "classes.png", "classes.csv", "gain.png",
            "gain.csv",
        }  # fmt: skip
    assert "augmentations-on-one-clip-mixup.mp3" in names(inline_run, "plain")
    assert names(inline_run, "blend") >= {
        "overview.html", "the-blend.png", "the-blend.csv", "reliability.png", "reliability.csv", "classes.csv"
    }  # fmt: skip
    assert any(name.startswith("worst-clips-") and name.endswith(".mp3") for name in names(inline_run, "blend"))
    shown = {path.suffix for of in (*inline_run.recipe.conditions, "blend") for path in overview_files(inline_run, of)}
    assert shown == {".html", ".png", ".csv", ".mp3"}


def test_the_page_of_a_condition_says_its_result(inline_run: Run) -> None:
    page = (inline_run.folder / FOLDER / "A" / "overview.html").read_text(encoding="utf-8")
    one = next(one for one in build_report(inline_run).conditions if one.name == "A")
    assert f"A scores lwlrap {one.oof_lwlrap:.3f} (95 %" in page
    assert "<script" not in page


@pytest.mark.long
def test_files_are_the_same_each_time(copy: Run, tmp_path: Path) -> None:
    """So MLflow gets them once."""
    before = {path.name: path.read_bytes() for path in overview_files(copy, "plain")}
    write_overviews(copy, build_report(copy))
    assert {path.name: path.read_bytes() for path in overview_files(copy, "plain")} == before


@pytest.mark.long
def test_they_are_written_again_when_something_changed(copy: Run, small_data: Path) -> None:
    page = copy.folder / FOLDER / "A" / "overview.html"
    page.unlink()
    refresh_overviews(copy)
    assert not page.exists(), "nothing changed"
    score_labels(copy, small_data / "test_labels.csv")
    refresh_overviews(copy)
    assert "On the test clips" in page.read_text(encoding="utf-8")


def test_a_clip_that_is_gone_is_named(copy: Run, tmp_path: Path) -> None:
    write_overviews(replace(copy, data_root=tmp_path / "away"), build_report(copy))
    for name in ("plain", "blend"):
        assert "restore it" in (copy.folder / FOLDER / name / "overview.html").read_text(encoding="utf-8")


def test_what_is_not_done_has_none(copy: Run, tmp_path: Path) -> None:
    copy.store.forget(copy.graph.nodes[copy.graph.predict["plain", 0]])
    moved = copy.folder / FOLDER
    moved.rename(tmp_path / "before")
    write_overviews(copy, build_report(copy))
    assert overview_files(copy, "plain") == []
    assert overview_files(copy, "A")
