"""`sonogrid score`: scores on the test clips, given a CSV of their labels."""

from pathlib import Path

import numpy as np

from features.csv_table import CsvTable
from features.datasets.find import find_layout
from features.errors import DataError, InputError
from features.files import write_json
from features.layout import Row, split_labels
from features.words import printable
from orchestrator.report.scores import (
    blended_test,
    classes_without_clips,
    mean_predictions,
    require_test_clips,
    scores_on_test,
)
from orchestrator.report.types import LabelScores
from orchestrator.run.bound import Run
from trainers.lwlrap import lwlrap, lwlrap_per_class
from trainers.metrics import metrics_of

__all__ = ["own_labels", "score_labels"]

LABEL_COLUMNS = ("fname", "labels", "usage")
"""Columns of a CSV of test labels, in upper or lower case."""


def score_labels(run: Run, labels_csv: Path | None = None) -> LabelScores:
    """lwlrap of the blend, of each condition and of each ensemble on the test clips.

    Writes `score.json`: the result, and the labels, which later reports use.

    Args:
        run: a finished run.
        labels_csv: `fname,labels` and, optionally, `usage` (Public or Private); rows of other clips are refused. By
            default the labels are those of the dataset's own test clips (`own_labels`).

    Raises:
        InputError: the CSV does not fit the test clips.
        StoreError: the blend is not done yet.
    """
    clips = require_test_clips(run)
    classes = run.manifest.classes
    truth, usage = _own_truth(run) if labels_csv is None else _read_labels(labels_csv, run)
    blended = blended_test(run)
    per_class, weight = lwlrap_per_class(truth, blended)
    means = mean_predictions(run)
    scores = {name: lwlrap(truth, mean.test) for name, mean in means.items()}
    overall = scores_on_test(truth, blended, usage)
    result = LabelScores(
        lwlrap=overall.lwlrap,
        public=overall.public,
        private=overall.private,
        conditions={name: scores.get(name) for name in run.recipe.conditions},
        ensembles={name: scores.get(name) for name in run.recipe.ensembles},
        classes={
            name: None if np.isnan(value) else float(value) for name, value in zip(classes, per_class, strict=True)
        },
        pairs={name: round(float(w * truth.sum())) for name, w in zip(classes, weight, strict=True)},
        metrics=metrics_of(truth, blended),
        condition_metrics={
            name: metrics_of(truth, means[name].test) for name in run.recipe.conditions if name in means
        },
        left_out=classes_without_clips(run, truth),
    )
    labels = [[name for name, true in zip(classes, row, strict=True) if true] for row in truth]
    given = {"clips": clips, "labels": labels, "usage": None if usage is None else usage.tolist()}
    write_json(run.folder / "score.json", {**result.as_dict(), "truth": given})
    return result


def own_labels(run: Run) -> dict[str, Row]:
    """Rows of the test clips of which the dataset itself has labels (dataset.yaml), by clip; empty if it has none.

    Raises:
        DataError: the dataset is gone, or its lists are wrong.
    """
    test = find_layout(run.data_root).parts.get("test")
    found = {row.clip: row for row in test.rows} if test is not None else {}
    return found if any(row.labels for row in found.values()) else {}


def _own_truth(run: Run) -> tuple[np.ndarray, np.ndarray | None]:
    """Labels (T, C) and, where the dataset has that column, usage (T,) of the test clips."""
    rows = own_labels(run)
    if not rows:
        raise InputError(f"{run.data_root} has no labels of its test clips: give them with --labels CSV")
    column = {name: index for index, name in enumerate(run.manifest.classes)}
    clips = run.manifest.subset("test")["clip"].tolist()
    truth = np.zeros((len(clips), len(column)), dtype=np.float32)
    problems = []
    for index, clip in enumerate(clips):
        labels = rows[clip].labels if clip in rows else ()
        known = [label for label in labels if label in column]
        truth[index, [column[label] for label in known]] = 1.0
        if not known or len(known) < len(labels):
            said = ", ".join(labels) or "no label"
            problems.append(f"{run.data_root}: test clip {clip} has {said}, which is not a class of this run")
    if problems:
        raise DataError(problems)
    usage = [rows[clip].columns.get("usage", "") for clip in clips]
    return truth, np.array(usage) if {*usage} <= {"Public", "Private"} else None


def _label_rows(path: Path) -> tuple[dict[str, dict[str, str]], bool, list[str]]:
    """Rows of a CSV of labels by clip, whether it has a column usage, and one sentence for each problem."""
    if not path.exists():
        raise InputError(f"{path} does not exist; give the test labels with --labels")
    table = CsvTable.read(path)
    header = [name.lower() if name.lower() in LABEL_COLUMNS else name for name in table.header]
    if not {"fname", "labels"} <= set(header) or len(set(header)) < len(header):
        shown = printable(", ".join(table.header)[:80])
        raise InputError(f"{path} needs the columns fname and labels, each column once; it has {shown}")
    problems: list[str] = []
    rows: dict[str, dict[str, str]] = {}
    for line, fields in table.rows:
        if len(fields) != len(header):
            problems.append(
                f"{path} line {line} has {len(fields)} fields where the header has {len(header)}: quote labels "
                "that hold commas"
            )
            continue
        row = dict(zip(header, fields, strict=True))
        clip = row["fname"].strip()
        if clip in rows:
            problems.append(f"{path}: {clip} is listed twice; keep one row")
        if (part := row.get("usage", "").strip()) not in ("", "Public", "Private"):
            problems.append(f"{path} line {line} has usage '{part}'; write Public or Private, or nothing")
        rows[clip] = row
    return rows, "usage" in header, problems


def _read_labels(path: Path, run: Run) -> tuple[np.ndarray, np.ndarray | None]:
    """Labels (T, C) and, where the CSV has that column, usage (T,) of the test clips."""
    clips, classes = run.manifest.subset("test")["clip"].tolist(), run.manifest.classes
    rows, has_usage, problems = _label_rows(path)
    # With --skip-bad, labels of the skipped clips are expected, although they have no prediction.
    if not run.manifest.skipped:
        others = rows.keys() - set(clips)
        problems += [f"{path}: {clip} is not a test clip of this run; remove its row" for clip in sorted(others)]
    truth = np.zeros((len(clips), len(classes)), dtype=np.float32)
    column = {name: index for index, name in enumerate(classes)}
    for index, clip in enumerate(clips):
        if clip not in rows:
            problems.append(f"{path}: {clip} has no row; every test clip needs its labels")
            continue
        labels = split_labels(rows[clip]["labels"])
        if not labels:
            problems.append(f"{path}: {clip} has no label; fill it in")
        for label in labels:
            if label in column:
                truth[index, column[label]] = 1.0
            else:
                problems.append(f"{path}: {clip} has label '{label}', which is not a class of this run")
    if problems:
        raise DataError(problems)
    usage = np.array([rows[clip]["usage"].strip() for clip in clips]) if has_usage else None
    return truth, usage
