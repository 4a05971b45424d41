"""The challenge's layouts: find their CSV files and folders, and read the CSV files; every fault becomes one sentence.

    Kaggle                                Zenodo (record 3612637)
    train_curated.csv  train_curated/     FSDKaggle2019.meta/train_curated_post_competition.csv  ...audio_train_curated/
    train_noisy.csv    train_noisy/       FSDKaggle2019.meta/train_noisy_post_competition.csv    ...audio_train_noisy/
    sample_submission.csv  test/          FSDKaggle2019.meta/test_post_competition.csv           ...audio_test/
                                          FSDKaggle2019.meta/vocabulary.csv

Noisy and test parts are optional, and any folder with Kaggle's names is a dataset.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from features.csv_table import CsvTable
from features.errors import DataError
from features.layout import Layout, Part, Rows, class_faults, odd_classes, repeated, split_labels
from features.words import count, listed, printable

__all__ = ["challenge_layout"]


@dataclass(frozen=True)
class _Names:
    """Where a layout keeps things, relative to the root: (CSV, folder) of each subset, and the list of classes."""

    parts: Mapping[str, tuple[str, str]]
    vocabulary: str


_ZENODO = "FSDKaggle2019"
_LAYOUTS = (
    _Names(
        {
            "curated": ("train_curated.csv", "train_curated"),
            "noisy": ("train_noisy.csv", "train_noisy"),
            "test": ("sample_submission.csv", "test"),
        },
        "vocabulary.csv",
    ),
    _Names(
        {
            "curated": (f"{_ZENODO}.meta/train_curated_post_competition.csv", f"{_ZENODO}.audio_train_curated"),
            "noisy": (f"{_ZENODO}.meta/train_noisy_post_competition.csv", f"{_ZENODO}.audio_train_noisy"),
            "test": (f"{_ZENODO}.meta/test_post_competition.csv", f"{_ZENODO}.audio_test"),
        },
        f"{_ZENODO}.meta/vocabulary.csv",
    ),
)


def challenge_layout(root: Path) -> Layout | None:
    """Recognise the challenge's files in a folder and read its CSV files.

    The class order is that of sample_submission.csv's columns, else of vocabulary.csv, else the sorted curated labels.

    Args:
        root: the dataset folder.

    Returns:
        The usable rows, and one sentence per row that is not usable; None if the folder has another layout.

    Raises:
        DataError: the dataset as a whole cannot be read (a wrong header, not text, no classes, no folder).
    """
    # A link that leads nowhere is a CSV too, one that can't be read.
    found = [names for names in _LAYOUTS if os.path.lexists(root / names.parts["curated"][0])]
    if not found:
        return None
    reader = _Reader(root, found[0])
    if len(found) > 1:
        reader.notes.append(f"{root / found[1].parts['curated'][0]} is ignored: {found[0].parts['curated'][0]} is used")
    return reader.layout()


class _Reader:
    """Reads one dataset, collecting problems instead of stopping at the first."""

    def __init__(self, root: Path, names: _Names) -> None:
        self.root = root
        self.names = names
        self.structural: list[str] = []
        self.problems: list[str] = []
        self.notes: list[str] = []

    def layout(self) -> Layout:
        tables = {subset: self._table(subset, *where) for subset, where in self.names.parts.items()}
        classes = self._classes(tables["test"], tables["curated"])
        parts = {}
        for subset, table in tables.items():
            if table is not None:
                parts[subset] = self._part(subset, table, classes)
        if self.structural:
            raise DataError([*self.structural, *self.problems])
        notes = [*self.notes, *odd_classes(classes)]
        return Layout(self.root, classes, parts, tuple(self.problems), tuple(notes))

    def _table(self, subset: str, csv_name: str, folder_name: str) -> CsvTable | None:
        """The CSV of a subset, or None when the dataset has no such part or it cannot be used."""
        path, folder = self.root / csv_name, self.root / folder_name
        if not os.path.lexists(path):
            if folder.is_dir():
                self.notes.append(f"{folder} is ignored: there is no {csv_name} to say what it holds")
            return None
        try:
            table = CsvTable.read(path)
        except DataError as error:
            self.structural += error.problems
            return None
        wanted = ("fname",) if subset == "test" else ("fname", "labels")
        if missing := [name for name in wanted if name not in table.header]:
            first = printable(",".join(table.header)[:80])
            self.structural.append(
                f"{path} has no column {' and '.join(missing)}: its first line is '{first}' "
                f"and should name the columns {','.join(wanted)}"
            )
            return None
        if twice := repeated(table.header):
            self.structural.append(f"{path} has several columns named {listed(twice)}: keep one")
            return None
        if not table.rows:
            self.structural.append(f"{path} lists no clips: fill it or remove it")
        elif not folder.is_dir():
            what = "is not a folder" if os.path.lexists(folder) else "is missing"
            self.structural.append(
                f"{folder} {what}, but {path} lists {count(len(table.rows), 'clip')} for it: add it or remove the CSV"
            )
        return table

    def _classes(self, test: CsvTable | None, curated: CsvTable | None) -> tuple[str, ...]:
        vocabulary = self.root / self.names.vocabulary
        if test is not None and test.path.name == "sample_submission.csv":
            path, classes = test.path, [name for name in test.header if name != "fname"]
            if os.path.lexists(vocabulary):
                self.notes.append(f"{vocabulary} is ignored: the classes are the columns of {path}")
        elif os.path.lexists(vocabulary):
            path = vocabulary
            try:
                table = CsvTable.read(vocabulary)
            except DataError as error:
                self.structural += error.problems
                return ()
            lines = [list(table.header), *(fields for _, fields in table.rows)]
            if any(len(line) != 2 or line[0] != str(index) for index, line in enumerate(lines)):
                self.structural.append(f"{path} should hold lines 'index,class' counted from 0, without a header")
                return ()
            classes = [line[1].strip() for line in lines]
        elif curated is not None:
            path = curated.path
            column = curated.header.index("labels")
            fields_of_rows = (fields for _, fields in curated.rows if len(fields) == len(curated.header))
            classes = sorted({label for fields in fields_of_rows for label in split_labels(fields[column])})
        else:
            return ()
        # With a wrong list of classes, no label would be right.
        faults = class_faults(classes, path)
        self.structural += faults
        return () if faults else tuple(classes)

    def _part(self, subset: str, table: CsvTable, classes: tuple[str, ...]) -> Part:
        folder = self.root / self.names.parts[subset][1]
        rows = Rows(table.path, folder, classes, labelled=subset != "test")
        for line, fields in table.rows:
            where = f"{table.path} line {line}"
            if fault := table.fault(fields):
                rows.problems.append(f"{where} {fault}")
                continue
            columns = dict(zip(table.header, fields, strict=True))
            labels = () if subset == "test" else split_labels(columns["labels"])
            rows.add(where, columns["fname"].strip(), labels, columns)
        self.problems += rows.problems
        self.notes += rows.notes
        self._note_unlisted(table.path, folder, set(rows.names))
        return Part(subset, table.path, folder, table.header, rows.usable)

    def _note_unlisted(self, csv_path: Path, folder: Path, known: set[str]) -> None:
        if folder.is_dir():
            with os.scandir(folder) as entries:
                unlisted = sorted(entry.name for entry in entries if not _is_folder(entry) and entry.name not in known)
            if unlisted:
                self.notes.append(
                    f"{folder} has {count(len(unlisted), 'file')} that {csv_path.name} does not list; "
                    f"ignored: {listed(unlisted)}"
                )


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a cycle of links
        return False
