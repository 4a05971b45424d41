"""The report of a run as a file: HTML, Markdown or CSV."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from features.files import atomic
from features.words import count
from orchestrator.pages.course import course_section, finished_jobs
from orchestrator.pages.details import classes_section
from orchestrator.pages.document import Document, Section
from orchestrator.pages.html import to_html
from orchestrator.pages.learning import learning_section
from orchestrator.pages.markdown import to_markdown
from orchestrator.pages.results import blend_section, scores_section, steps_section
from orchestrator.pages.setup import aside_section, conditions_section, data_section, repeat_section
from orchestrator.pages.summary import summary
from orchestrator.pages.tidy import to_csv
from orchestrator.report.scores import finished_blend
from orchestrator.report.types import Report
from orchestrator.run.bound import Run
from orchestrator.run.record import read_run_json

__all__ = ["Form", "report_document", "write_pages"]

Form = Literal["html", "md", "csv"]


def report_document(run: Run, report: Report) -> Document:
    """The report as a document.

    Args:
        run: the run.
        report: its scores, from `build_report`.
    """
    jobs = finished_jobs(run)
    asked = (read_run_json(run.folder) or {}).get("asked", {})
    sections: list[Section] = [
        summary(run, report),
        scores_section(report),
        steps_section(report),
        blend_section(report, finished_blend(run)),
        learning_section(run, run.recipe.conditions),
        classes_section(report),
        data_section(run),
        conditions_section(run),
        course_section(jobs, len(run.graph.nodes)),
        repeat_section(run, jobs, str(asked.get("command", ""))),
        aside_section(run.manifest.skipped),
    ]
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    subtitle = f"Grid {report.grid}, {count(len(report.conditions), 'condition')}; report of {made} by sonogrid"
    return Document(f"{report.grid} on {run.data_root.name}", subtitle, sections)


def write_pages(run: Run, report: Report, places: Mapping[Form, Path]) -> None:
    """Write the report in one or several forms; files that are there are replaced.

    Args:
        run: the run.
        report: its scores, from `build_report`.
        places: form -> file.
    """
    texts = {}
    if {"html", "md"} & places.keys():
        document = report_document(run, report)
        texts = {"html": to_html, "md": to_markdown}
    for form, path in places.items():
        text = to_csv(report) if form == "csv" else texts[form](document)
        with atomic(path) as temporary:
            # File names need not be valid text.
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
