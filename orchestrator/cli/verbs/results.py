"""Verbs about what came of a run."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from features.words import count, listed
from orchestrator import api
from orchestrator.cli import terminal
from orchestrator.cli.options import Arguments, Verbs, add_json, add_run, add_verb
from orchestrator.cli.terminal import print_json

__all__ = ["add"]

REPORT_EXAMPLES = """\
examples:
  sonogrid report runs/demo                                  tables on the terminal
  sonogrid report runs/demo --html demo.html                 one page to send or print; also --md, --csv
"""
REVIEW_EXAMPLES = """\
examples:
  sonogrid review runs/demo                                  writes runs/demo/review/review.html and labels.csv
  sonogrid launch demo --data DATA --out runs/demo --relabel runs/demo/review/labels.csv
"""


def add(verbs: Verbs) -> None:
    """Declare the verbs of this group with their options."""
    _add_report(verbs)
    _add_score(verbs)
    _add_review(verbs)
    _add_submission(verbs)


def _add_report(verbs: Verbs) -> None:
    parser = add_verb(verbs, "report", report, "print the scores of a run, or write them as a page", REPORT_EXAMPLES)
    add_run(parser)
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with pictures that needs no network")
    parser.add_argument("--md", type=Path, metavar="FILE", help="write the same without pictures, as Markdown")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the figures as CSV, one row per figure")
    add_json(parser)


def report(arguments: Arguments, console: Console) -> int:
    from orchestrator.report.tables import print_report

    files = {"html": arguments.html, "md": arguments.md, "csv": arguments.csv}
    found = api.report(arguments.run, **files)
    if arguments.json:
        print_json(found.as_dict())
        return 0
    written = [path for path in files.values() if path is not None]
    for path in written:
        console.print(f"wrote {path}", soft_wrap=True)
    if not written:
        print_report(found, console)
    return 0


def _add_score(verbs: Verbs) -> None:
    parser = add_verb(verbs, "score", score, "compute lwlrap on the test clips, given their labels")
    add_run(parser)
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="CSV",
        help="file with the columns fname,labels[,usage] (default: the dataset's own test labels)",
    )
    add_json(parser)


def score(arguments: Arguments, console: Console) -> int:
    result = api.score(arguments.run, arguments.labels)
    if arguments.json:
        print_json(result.as_dict())
        return 0
    parts = {
        "lwlrap": result.lwlrap,
        "public": result.public,
        "private": result.private,
        "mAP": result.metrics.mean_average_precision,
        "ROC AUC": result.metrics.roc_auc,
        "accuracy": result.metrics.accuracy,
    }
    for part, value in parts.items():
        if value is not None:
            console.print(f"{part}: {value:.4f}")
    if result.left_out:
        console.print(f"mAP and ROC AUC leave out classes without a test clip: {listed(result.left_out)}")
    groups = {"conditions": result.conditions, "ensembles": result.ensembles, "classes": result.classes}
    for title, values in groups.items():
        if values:
            console.print(f"{title}:")
        for name, value in values.items():
            console.print(f"  {name}: {'-' if value is None else format(value, '.4f')}")
    return 0


def _add_review(verbs: Verbs) -> None:
    parser = add_verb(
        verbs, "review", review, "list labels that are likely wrong, to hear and to edit", REVIEW_EXAMPLES
    )
    add_run(parser)
    parser.add_argument(
        "--to", type=Path, metavar="FOLDER", help="where review.html and labels.csv are written (default: RUN/review)"
    )
    parser.add_argument(
        "--top", type=terminal.whole(1, 10**6), default=50, metavar="N",
        help="largest number of clips of each subset (default: %(default)s)",
    )  # fmt: skip
    add_json(parser)


def review(arguments: Arguments, console: Console) -> int:
    found = api.review(arguments.run, to=arguments.to, top=arguments.top)
    if arguments.json:
        print_json(found.as_dict())
        return 0
    for subset, words in found.judged.items():
        doubtful = [one for one in found.suspects if one.subset == subset and (one.wrong or one.missing)]
        console.print(f"{subset}: {count(len(doubtful), 'clip')} with a doubtful label. {words}", soft_wrap=True)
    console.print(f"wrote {found.page}", soft_wrap=True)
    console.print(f"wrote {found.table}: edit its column labels and give it to launch --relabel", soft_wrap=True)
    return 0


def _add_submission(verbs: Verbs) -> None:
    current = add_verb(verbs, "submission", submission, "write RUN/submission.csv: scores of the test clips")
    former = verbs.add_parser("submit")  # without help, it is not listed
    former.set_defaults(verb=submit, parser=former)
    for parser in (current, former):
        add_run(parser)
        parser.add_argument(
            "--ensemble", metavar="NAME", help="use an ensemble of the grid and write RUN/submission-NAME.csv"
        )


def submission(arguments: Arguments, console: Console) -> int:
    path = api.submission(arguments.run, ensemble=arguments.ensemble)
    console.print(f"wrote {path}")
    return 0


def submit(arguments: Arguments, console: Console) -> int:
    print("sonogrid: the verb 'submit' is now called 'submission'; this name will be removed", file=sys.stderr)
    return submission(arguments, console)
