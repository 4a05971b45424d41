"""Scores of files as a table: CSV, JSON, JSON Lines or Parquet, by the ending of its name."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from features.errors import InputError
from features.files import atomic
from orchestrator.report.submission import write_scores
from orchestrator.tagger.tagger import Scores

__all__ = ["require_table", "write_table"]

Writer = Callable[[Path, Sequence[str], Sequence[str], Scores], None]


def _write_json(path: Path, names: Sequence[str], classes: Sequence[str], scores: Scores) -> None:
    tables = {name: _by_class(classes, row) for name, row in zip(names, scores, strict=True)}
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(tables, indent=1) + "\n", encoding="utf-8")


def _write_json_lines(path: Path, names: Sequence[str], classes: Sequence[str], scores: Scores) -> None:
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for name, row in zip(names, scores, strict=True):
            file.write(json.dumps({"fname": name, "scores": _by_class(classes, row)}) + "\n")


def _write_parquet(path: Path, names: Sequence[str], classes: Sequence[str], scores: Scores) -> None:
    frame = pd.DataFrame(scores, columns=list(classes))
    # Parquet holds text only; a name of other bytes is escaped.
    text = [name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace") for name in names]
    frame.insert(0, "fname", text)
    with atomic(path) as temporary:
        frame.to_parquet(temporary, index=False)


def _by_class(classes: Sequence[str], row: Scores) -> dict[str, float]:
    return {name: round(float(score), 7) for name, score in zip(classes, row, strict=True)}


WRITERS: dict[str, Writer] = {
    ".csv": write_scores, ".json": _write_json, ".jsonl": _write_json_lines, ".parquet": _write_parquet,
}  # fmt: skip


def require_table(option: str, path: Path) -> None:
    """Refuse a name whose ending stands for no table.

    Raises:
        InputError: the sentence names the option.
    """
    if path.suffix.lower() not in WRITERS:
        raise InputError(f"{option} {path}: the ending says the form: choose one of {', '.join(WRITERS)}")


def write_table(path: Path, names: Sequence[str], classes: Sequence[str], scores: Scores) -> None:
    """Write scores (N, C) of files in the form of the path's ending, one row or object per file.

    A CSV and a Parquet file have the column `fname` and one column per class.
    """
    WRITERS[path.suffix.lower()](path, names, classes, scores)
