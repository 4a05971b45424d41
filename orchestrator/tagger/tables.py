"""Scores of files, or of windows of recordings, as a table or as labels for Audacity, by the ending of a name.

A table is CSV, JSON, JSON Lines or Parquet. Labels are a text file for one recording, or a folder with one for each.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from features.errors import InputError
from features.files import atomic
from features.words import printable
from orchestrator.report.submission import write_scores
from orchestrator.tagger.tagger import Segment

__all__ = ["Rows", "is_labels", "require_form", "write_labels", "write_table"]

LABELS = ".txt"


@dataclass(frozen=True)
class Rows:
    """What was scored: files, or windows of files, in order."""

    names: Sequence[str]
    """(N,) the file of each row."""
    segments: Sequence[Segment]
    """(N,)"""
    windows: bool
    """Whether the rows are windows, so that a table has their times."""

    @property
    def scores(self) -> np.ndarray:
        """(N, C)"""
        return np.stack([segment.scores for segment in self.segments])


Writer = Callable[[Path, Rows, Sequence[str]], None]


def _frame(rows: Rows, classes: Sequence[str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows.scores, columns=list(classes))
    if rows.windows:
        frame.insert(0, "end_s", [segment.end_s for segment in rows.segments])
        frame.insert(0, "start_s", [segment.start_s for segment in rows.segments])
    return frame


def _write_csv(path: Path, rows: Rows, classes: Sequence[str]) -> None:
    frame = _frame(rows, classes)
    write_scores(path, rows.names, list(frame.columns), frame.to_numpy())


def _write_json(path: Path, rows: Rows, classes: Sequence[str]) -> None:
    tables: dict[str, object] = {}
    for name, segment in zip(rows.names, rows.segments, strict=True):
        if rows.windows:
            windows = tables.setdefault(name, [])
            assert isinstance(windows, list)
            windows.append(_times(segment) | {"scores": _by_class(classes, segment)})
        else:
            tables[name] = _by_class(classes, segment)
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(tables, indent=1) + "\n", encoding="utf-8")


def _write_json_lines(path: Path, rows: Rows, classes: Sequence[str]) -> None:
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for name, segment in zip(rows.names, rows.segments, strict=True):
            times = _times(segment) if rows.windows else {}
            file.write(json.dumps({"fname": name, **times, "scores": _by_class(classes, segment)}) + "\n")


def _write_parquet(path: Path, rows: Rows, classes: Sequence[str]) -> None:
    frame = _frame(rows, classes)
    # Parquet holds text only; a name of other bytes is escaped.
    text = [name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace") for name in rows.names]
    frame.insert(0, "fname", text)
    with atomic(path) as temporary:
        frame.to_parquet(temporary, index=False)


def _by_class(classes: Sequence[str], segment: Segment) -> dict[str, float]:
    return {name: round(float(score), 7) for name, score in zip(classes, segment.scores, strict=True)}


def _times(segment: Segment) -> dict[str, float]:
    return {"start_s": round(segment.start_s, 6), "end_s": round(segment.end_s, 6)}


WRITERS: dict[str, Writer] = {
    ".csv": _write_csv, ".json": _write_json, ".jsonl": _write_json_lines, ".parquet": _write_parquet,
}  # fmt: skip


def is_labels(path: Path) -> bool:
    """Whether a name stands for labels: a text file, or a folder of them, which has no ending."""
    return path.suffix.lower() in ("", LABELS)


def require_form(option: str, path: Path, *, windows: bool) -> None:
    """Refuse a name whose ending stands for nothing, and labels of whole files.

    Raises:
        InputError: the sentence names the option.
    """
    if is_labels(path):
        if not windows:
            raise InputError(
                f"{option} {path}: labels have times; add --windows SECONDS, or name a {', '.join(WRITERS)}"
            )
    elif path.suffix.lower() not in WRITERS:
        forms = ", ".join((*WRITERS, f"{LABELS} (labels)"))
        raise InputError(f"{option} {path}: the ending says the form: choose one of {forms}")


def write_table(path: Path, rows: Rows, classes: Sequence[str]) -> None:
    """Write scores in the form of the path's ending, one row or object per file or window.

    A CSV and a Parquet file have the column `fname`, of windows `start_s` and `end_s`, and one column per class.
    """
    WRITERS[path.suffix.lower()](path, rows, classes)


def write_labels(path: Path, rows: Rows, tags: Sequence[Sequence[str]]) -> None:
    """Write tags of windows as labels for Audacity: start and end in seconds and a tag, divided by tabs.

    Neighbouring windows with one tag make one label.

    Args:
        path: a text file for one recording, or a folder, which gets a file for each.
        rows: the windows.
        tags: (N,) those of each window.

    Raises:
        InputError: a text file is wanted for several recordings.
    """
    texts: dict[str, list[tuple[float, float, str]]] = {name: [] for name in rows.names}
    for name, segment, found in zip(rows.names, rows.segments, tags, strict=True):
        labels = texts[name]
        for tag in found:
            open_one = next((label for label in reversed(labels) if label[2] == tag), None)
            if open_one is not None and open_one[1] >= segment.start_s:
                labels.remove(open_one)
                labels.append((open_one[0], segment.end_s, tag))
            else:
                labels.append((segment.start_s, segment.end_s, tag))
    if path.suffix:
        if len(texts) > 1:
            raise InputError(f"--to {path} takes the labels of one recording: name a folder for {len(texts)} of them")
        places = [path]
    else:
        folders = {name: os.path.abspath(name) for name in texts}  # noqa: PTH100
        common = os.path.commonpath([os.path.dirname(place) for place in folders.values()])  # noqa: PTH120
        places = [path / f"{os.path.relpath(place, common)}{LABELS}" for place in folders.values()]
    for place, labels in zip(places, texts.values(), strict=True):
        with atomic(place) as temporary:
            lines = [f"{start:.6f}\t{end:.6f}\t{printable(tag)}\n" for start, end, tag in sorted(labels)]
            temporary.write_text("".join(lines), encoding="utf-8")
