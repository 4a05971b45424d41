"""Makes the pictures of docs/img from a finished run: `python -m tests.whole.browser.screenshots runs/demo docs/img`.

MLflow and the pages are seen in Chromium; a terminal is drawn by rich. Pictures get a palette, so they stay small.
"""

import argparse
import io
import re
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from rich.console import Console

from orchestrator.report.build import build_report
from orchestrator.report.tables import print_report
from orchestrator.review.write import PAGE as REVIEW
from orchestrator.review.write import review
from orchestrator.run.bound import Run
from tests.whole.browser.pages import browser, served

COLOURS = 255
REPORT_HEIGHT = 1_500
"""Down to the first picture."""
WIDE = {"width": 1_600, "height": 800}
HIGH = {"width": 1_600, "height": 1_100}
"""For two rows of charts."""
TRAINING = "workflowType=machine_learning"
"""Keeps MLflow from showing the menu for language models."""
ASSISTANT = "[data-component-id='mlflow.assistant.chat_panel.close']"
"""Closes a pane that MLflow opens on a first visit."""
TERMINALS = (80, 120, 160)
CLIPS = 6
"""Of each subset in the label review."""


def main() -> None:
    """Make all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("to", type=Path)
    arguments = parser.parse_args()
    arguments.to.mkdir(parents=True, exist_ok=True)
    run = Run.open(arguments.run)
    terminals(run, arguments.to)
    with tempfile.TemporaryDirectory(prefix="sonogrid-") as scratch, browser() as page:
        labels = run.folder.resolve() / "review"
        if not (labels / REVIEW).exists():
            review(run, labels, CLIPS)
        shoot(page, f"file://{labels / REVIEW}", arguments.to / "review.png")
        page.set_viewport_size({"width": 1_100, "height": REPORT_HEIGHT})
        shoot(page, f"file://{run.folder.resolve() / 'report.html'}", arguments.to / "report.png")
        page.set_viewport_size(WIDE)
        with served(run.folder, Path(scratch) / "log") as (dashboard, table, curves):
            mlflow(page, table, curves, arguments.to)
            page.set_viewport_size(HIGH)
            open_study(page, dashboard)
            picture(page, arguments.to / "optuna.png")


def terminals(run: Run, to: Path) -> None:
    """The report on terminals of several widths."""
    report = build_report(run)
    for width in TERMINALS:
        console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True)
        print_report(report, console)
        text = console.export_svg(title=f"sonogrid report, {width} columns", unique_id="sonogrid")
        (to / f"terminal-{width}.svg").write_text(text, encoding="utf-8")


def mlflow(page: Any, table: str, curves: str, to: Path) -> None:
    """The table of runs, the curves of all folds, an artifact, and what a training used."""
    page.goto(table)
    page.get_by_text("blend", exact=True).first.wait_for()
    picture(page, to / "mlflow-table.png")
    page.set_viewport_size(HIGH)
    page.goto(curves)
    page.locator(".js-plotly-plot").first.wait_for()
    picture(page, to / "mlflow-chart.png")
    page.set_viewport_size(WIDE)
    page.goto(table)
    page.get_by_text("blend", exact=True).first.click()
    page.wait_for_url(re.compile(r"/runs/[0-9a-f]{32}"))
    page.goto(re.sub(r"(/runs/[0-9a-f]{32}).*", rf"\1/artifacts/overview/reliability.png?{TRAINING}", page.url))
    page.locator("img[src^='blob:']").first.wait_for()
    picture(page, to / "mlflow-artifact.png")
    page.goto(table)
    page.get_by_text("A fold 0", exact=True).first.click()
    page.wait_for_url(re.compile(r"/runs/[0-9a-f]{32}"))
    page.goto(re.sub(r"(/runs/[0-9a-f]{32}).*", rf"\1/system-metrics?{TRAINING}", page.url))
    page.locator(".js-plotly-plot").first.wait_for()
    picture(page, to / "mlflow-system.png")


def open_study(page: Any, dashboard: str) -> None:
    """The study of the blend on all folds in Optuna Dashboard, drawn."""
    page.goto(dashboard)
    page.get_by_text("all folds").first.click()
    page.locator(".js-plotly-plot").first.wait_for()


def shoot(page: Any, url: str, path: Path) -> None:
    """The top of a page."""
    page.goto(url)
    picture(page, path)


def picture(page: Any, path: Path) -> None:
    """What is seen now."""
    page.wait_for_timeout(3_000)  # MLflow draws in steps
    if page.locator(ASSISTANT).count():
        page.locator(ASSISTANT).first.click()
        page.wait_for_timeout(1_000)
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    image.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
