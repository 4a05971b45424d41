"""What came of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from features.errors import InputError
from orchestrator.api.given import Place, open_run

if TYPE_CHECKING:
    from orchestrator.pages.write import Form
    from orchestrator.report.types import LabelScores, Report
    from orchestrator.review.write import Review

__all__ = ["report", "review", "score", "submission"]


def report(run: Place, *, html: Place | None = None, md: Place | None = None, csv: Place | None = None) -> Report:
    """All scores of a run that exist; also as files, if their names are given.

    Args:
        run: RUN folder.
        html: new file: one page with pictures that needs no network.
        md: new file: the same without pictures, as Markdown.
        csv: new file: one row per figure.

    Raises:
        InputError: there is no run in the folder, or a file exists.
        StoreError: a result is damaged.
    """
    from orchestrator.report.build import build_report
    from orchestrator.run.places import require_new

    named: dict[Form, Place | None] = {"html": html, "md": md, "csv": csv}
    places = {form: Path(place) for form, place in named.items() if place is not None}
    for form, path in places.items():
        require_new(f"--{form}", path)
    bound = open_run(run)
    found = build_report(bound)
    if places:
        from orchestrator.pages.write import write_pages

        write_pages(bound, found, places)
    return found


def score(run: Place, labels: Place | None = None) -> LabelScores:
    """lwlrap on the test clips, given a CSV of their labels (`fname,labels` and optionally `usage`).

    Writes RUN/score.json, and the report in RUN again with the test scores.

    Args:
        run: RUN folder.
        labels: by default, the labels that the dataset itself has of its test clips (dataset.yaml).

    Raises:
        InputError: the CSV does not fit the test clips.
        StoreError: the blend is not done yet.
    """
    from orchestrator.pages import PAGE
    from orchestrator.pages.write import write_pages
    from orchestrator.report.build import write_reports
    from orchestrator.report.labels import score_labels

    bound = open_run(run)
    scores = score_labels(bound, None if labels is None else Path(labels))
    write_pages(bound, write_reports(bound), {"html": bound.folder / PAGE})
    return scores


def review(run: Place, *, to: Place | None = None, top: int = 50) -> Review:
    """Find labels of a run's dataset that are likely wrong or missing; writes a page to listen to and a CSV to edit.

    Args:
        run: RUN folder of which a condition is done.
        to: folder for `review.html` and `labels.csv`, which must not be there yet; by default RUN/review.
        top: largest number of clips of each subset.

    Raises:
        InputError: there is no run in the folder, or a file exists.
        DataError: a clip of the dataset cannot be read.
        StoreError: a result is damaged.
    """
    from orchestrator.review.write import review as write

    if top < 1:
        raise InputError(f"--top is {top}: give at least 1")
    return write(open_run(run), Path(run) / "review" if to is None else Path(to), top)


def submission(run: Place, *, ensemble: str | None = None) -> Path:
    """Write RUN/submission.csv, or RUN/submission-NAME.csv of an ensemble of the grid: scores of the test clips.

    Raises:
        InputError: the grid has no such ensemble, or the dataset has no test clips.
        StoreError: the blend, or a prediction of the ensemble, is not done yet.
    """
    from orchestrator.report.submission import write_submission

    return write_submission(open_run(run), ensemble)
