"""Labels that replace those of a dataset's lists, from a CSV that somebody edited. The dataset stays as it is."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from features.csv_table import CsvTable
from features.errors import DataError
from features.layout import Layout, Part, split_labels
from features.words import count, listed, printable

__all__ = ["Relabel"]

COLUMNS = ("subset", "fname", "labels")
LABELLED = ("curated", "noisy")


@dataclass(frozen=True)
class Relabel:
    """New labels of some clips."""

    source: str
    """Name of the CSV, for messages."""
    labels: Mapping[str, Mapping[str, tuple[str, ...]]]
    """Subset -> clip -> labels; without any, the clip is left out."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a CSV with the columns subset (curated or noisy), fname and labels; others are ignored.

        Raises:
            DataError: it cannot be read, a column is missing, or rows are wrong; all of them are named.
        """
        table = CsvTable.read(path)
        if any(table.header.count(name) != 1 for name in COLUMNS):
            has = printable(", ".join(table.header)[:80])
            raise DataError([f"{path} needs the columns {', '.join(COLUMNS)}, each once; it has {has}"])
        labels: dict[str, dict[str, tuple[str, ...]]] = {}
        problems = []
        for line, fields in table.rows:
            where = f"{path} line {line}"
            if fault := table.fault(fields):
                problems.append(f"{where} {fault}")
                continue
            row = dict(zip(table.header, (field.strip() for field in fields), strict=True))
            subset, clip = row["subset"], row["fname"]
            if subset not in LABELLED:
                problems.append(f"{where} has subset {printable(repr(subset))[:40]}: write curated or noisy")
            elif clip in labels.setdefault(subset, {}):
                problems.append(f"{where} names {subset} clip {printable(clip)} again: keep one row")
            else:
                labels[subset][clip] = split_labels(row["labels"])
        if problems:
            raise DataError(problems)
        return cls(path.name, labels)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """What `to_json` returned."""
        labels = {
            subset: {clip: tuple(names) for clip, names in clips.items()} for subset, clips in value["labels"].items()
        }
        return cls(str(value["source"]), labels)

    def to_json(self) -> dict[str, Any]:
        """For run.json."""
        clips = {subset: {clip: list(names) for clip, names in of.items()} for subset, of in self.labels.items()}
        return {"source": self.source, "labels": clips}

    def apply(self, layout: Layout) -> Layout:
        """A dataset with these labels, and a note of what they change.

        Raises:
            DataError: clips that the dataset does not have, or labels that are no classes; all of them are named.
        """
        problems = [problem for subset in self.labels for problem in self._problems(layout, subset)]
        if problems:
            raise DataError(problems)
        changed: list[str] = []
        left_out: list[str] = []
        parts = dict(layout.parts)
        for subset, new in self.labels.items():
            part = layout.parts[subset]
            old = {row.clip: row.labels for row in part.rows}
            left_out += [f"{subset} {clip}" for clip, labels in new.items() if not labels and clip in old]
            changed += [f"{subset} {clip}" for clip, labels in new.items() if labels and set(labels) != set(old[clip])]
            parts[subset] = _relabelled(part, new)
        if not changed and not left_out:
            return layout
        said = []
        if changed:
            said.append(f"changes the labels of {count(len(changed), 'clip')} ({listed(changed, most=3)})")
        if left_out:
            said.append(f"leaves out {count(len(left_out), 'clip')} ({listed(left_out, most=3)})")
        note = f"{self.source} {' and '.join(said)}: scores are on these labels"
        return replace(layout, parts=parts, notes=(*layout.notes, note))

    def _problems(self, layout: Layout, subset: str) -> list[str]:
        """A sentence for each clip whose labels can't be replaced."""
        part = layout.parts.get(subset)
        known = {row.clip for row in part.rows} if part is not None else set()
        problems = []
        for clip, labels in self.labels[subset].items():
            if clip not in known:
                problems.append(f"{self.source} names {subset} clip {printable(clip)}, which the dataset does not have")
            elif unknown := [label for label in labels if label not in layout.classes]:
                problems.append(
                    f"{self.source} labels {printable(clip)} with {listed(unknown)}, not in the list of classes: use a "
                    "class of the dataset"
                )
        return problems


def _relabelled(part: Part, new: Mapping[str, tuple[str, ...]]) -> Part:
    """A part with other labels; rows whose labels stay keep them in the order of their list."""
    rows = []
    for row in part.rows:
        labels = new.get(row.clip, row.labels)
        if labels:
            rows.append(row if set(labels) == set(row.labels) else replace(row, labels=labels))
    return replace(part, rows=tuple(rows))
