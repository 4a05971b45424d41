"""MLflow, the report and the label review in a real browser: curves and artifacts are found, and a clip plays."""

import re
from pathlib import Path
from typing import Any

import pytest

from orchestrator.pages import PAGE
from orchestrator.review.write import PAGE as REVIEW
from orchestrator.review.write import review
from orchestrator.run.bound import Run
from tests.whole.browser.pages import CHROMIUM, browser, served
from tests.whole.browser.screenshots import open_study, terminals

pytestmark = [pytest.mark.long, pytest.mark.skipif(CHROMIUM is None, reason="the browser chromium is not installed")]


def played(page: Any, player: Any) -> float:
    """Seconds that a player has played after a while."""
    seconds: float = player.evaluate(
        """async audio => { audio.muted = true; await audio.play();
        for (let n = 0; n < 300 && audio.currentTime < 1 && !audio.ended; n++)
            await new Promise(done => setTimeout(done, 100));
        return audio.currentTime; }"""
    )
    return seconds


def test_ui_leads_to_the_table_a_curve_and_an_artifact(copy: Run, own_mlflow: str, tmp_path: Path) -> None:
    with served(copy.folder, tmp_path / "log") as (dashboard, table, curves), browser() as page:
        page.goto(table)
        for name in ("blend", "plain", "A", "B", "D"):
            page.get_by_text(name, exact=True).first.wait_for()
        page.get_by_text(copy.data_root.name).first.wait_for()  # the column Dataset
        page.goto(curves)
        page.locator(".js-plotly-plot").first.wait_for()
        page.goto(table)
        page.get_by_text("A", exact=True).first.click()
        page.wait_for_url(re.compile(r"/runs/[0-9a-f]{32}"))
        page.get_by_text("Settings of its own").first.wait_for()
        page.goto(re.sub(r"(/runs/[0-9a-f]{32}).*", r"\1/artifacts/overview/classes.png", page.url))
        page.locator("img[src^='blob:']").first.wait_for()
        assert page.get_by_text("learning-curves.csv").first.is_visible()
        open_study(page, dashboard)
        page.get_by_text("greedy", exact=False).first.wait_for()  # trials that have a name


def test_a_clip_of_the_label_review_plays(inline_run: Run, tmp_path: Path) -> None:
    review(inline_run, tmp_path, 2)
    with browser() as page:
        page.goto(f"file://{tmp_path / REVIEW}")
        assert played(page, page.locator("audio").first) > 0.5
        assert page.locator("img").first.evaluate("image => image.naturalWidth") > 0


def test_the_report_is_drawn_without_an_error(inline_run: Run) -> None:
    with browser() as page:
        errors: list[object] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(f"file://{inline_run.folder / PAGE}")
        page.locator("nav a").last.click()
        assert page.locator("figure svg").first.is_visible()
        assert errors == []


def test_terminals_are_drawn(inline_run: Run, tmp_path: Path) -> None:
    terminals(inline_run, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f"terminal-{width}.svg" for width in (80, 120, 160)}
    assert "condition" in (tmp_path / "terminal-80.svg").read_text(encoding="utf-8")
