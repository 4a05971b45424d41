"""Find a dataset's CSV files and folders, and read the CSV files so that every fault has a sentence.

    Kaggle                                Zenodo (record 3612637)
    train_curated.csv  train_curated/     FSDKaggle2019.meta/train_curated_post_competition.csv  ...audio_train_curated/
    train_noisy.csv    train_noisy/       FSDKaggle2019.meta/train_noisy_post_competition.csv    ...audio_train_noisy/
    sample_submission.csv  test/          FSDKaggle2019.meta/test_post_competition.csv           ...audio_test/
                                          FSDKaggle2019.meta/vocabulary.csv

Noisy and test parts are optional, and any folder with Kaggle's names is a dataset.
"""

import csv
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from features.errors import DataError

__all__ = ["Layout", "Part", "Row", "find_layout"]


@dataclass(frozen=True)
class Row:
    """One clip as its CSV has it."""

    clip: str
    """`fname`: the path inside the part's folder."""
    labels: tuple[str, ...]
    columns: Mapping[str, str]
    """All columns, for `group_by`."""


@dataclass(frozen=True)
class Part:
    """One subset: its CSV, its folder and its usable rows in the CSV's order."""

    subset: str
    csv: Path
    folder: Path
    header: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Layout:
    """What the CSV files of a dataset say; no audio file has been opened."""

    root: Path
    classes: tuple[str, ...]
    parts: Mapping[str, Part]
    """By subset: 'curated', and 'noisy' and 'test' where the dataset has them."""
    problems: tuple[str, ...]
    """A sentence for each row that cannot be used."""
    notes: tuple[str, ...]
    """What the user should know though it stops nothing."""


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


def find_layout(root: Path) -> Layout:
    """Recognise a dataset folder and read its CSV files.

    The class order is that of sample_submission.csv's columns, else of vocabulary.csv, else the sorted curated labels.

    Args:
        root: the dataset folder.

    Returns:
        The usable rows, and a sentence for each row that is not.

    Raises:
        DataError: the dataset as a whole cannot be read (no CSV, a wrong header, not text, no classes, no folder).
    """
    if not root.is_dir():
        raise DataError([f"{root} is not a folder: name the folder that holds train_curated.csv"])
    names = next((names for names in _LAYOUTS if (root / names.parts["curated"][0]).exists()), None)
    if names is None:
        zipped = " (unpack its zip files first)" if any(root.glob("*.zip")) else ""
        wanted = " or ".join(names.parts["curated"][0] for names in _LAYOUTS)
        raise DataError([f"{root} has no {wanted}: name the dataset's folder{zipped}"])
    return _Reader(root, names).layout()


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
        used = {label for row in parts["curated"].rows for label in row.labels}
        if missing := [name for name in classes if name not in used]:
            self.notes.append(f"{parts['curated'].csv} has no clip of {len(missing)} class(es): {_some(missing)}")
        return Layout(self.root, classes, parts, tuple(self.problems), tuple(self.notes))

    def _table(self, subset: str, csv_name: str, folder_name: str) -> "_Table | None":
        """The CSV of a subset, or None when the dataset has no such part or it cannot be used."""
        path, folder = self.root / csv_name, self.root / folder_name
        if not path.exists():
            if folder.is_dir():
                self.notes.append(f"{folder} is ignored: there is no {csv_name} to say what it holds")
            return None
        try:
            table = _Table.read(path, folder)
        except DataError as error:
            self.structural += error.problems
            return None
        wanted = ("fname",) if subset == "test" else ("fname", "labels")
        if missing := [name for name in wanted if name not in table.header]:
            self.structural.append(
                f"{path} has no column {' and '.join(missing)}: its first line is '{','.join(table.header)[:80]}' "
                f"and should name the columns {','.join(wanted)}"
            )
            return None
        if twice := _repeated(table.header):
            self.structural.append(f"{path} names the column(s) {_some(twice)} twice: remove one")
            return None
        if not table.rows:
            self.structural.append(f"{path} lists no clips: fill it or remove it")
        elif not folder.is_dir():
            self.structural.append(
                f"{folder} is missing, but {path} lists {len(table.rows)} clips for it: add it or remove the CSV"
            )
        return table

    def _classes(self, test: "_Table | None", curated: "_Table | None") -> tuple[str, ...]:
        vocabulary = self.root / self.names.vocabulary
        if test is not None and test.path.name == "sample_submission.csv":
            path, classes = test.path, [name for name in test.header if name != "fname"]
        elif vocabulary.exists():
            path = vocabulary
            try:
                table = _Table.read(vocabulary, self.root)
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
            classes = sorted({label for fields in fields_of_rows for label in _labels(fields[column])})
        else:
            return ()
        if not classes or not all(classes):
            self.structural.append(f"{path} names no classes or an empty one: name every class")
        if twice := _repeated(classes):
            self.structural.append(f"{path} names the class(es) {_some(twice)} twice: remove one")
        return tuple(classes)

    def _part(self, subset: str, table: "_Table", classes: tuple[str, ...]) -> Part:
        known = set(classes)
        rows: dict[str, Row | None] = {}  # None: the clip has a problem that was told
        for line, fields in table.rows:
            where = f"{table.path} line {line}"
            if len(fields) != len(table.header):
                self.problems.append(
                    f"{where} has {len(fields)} fields where the header has {len(table.header)}: quote labels that "
                    "hold commas"
                )
                continue
            columns = dict(zip(table.header, fields, strict=True))
            clip = columns["fname"].strip()
            labels = () if subset == "test" else _labels(columns["labels"])
            if clip in rows:
                self._repeat(where, clip, labels, rows)
                continue
            rows[clip] = None
            if fault := _name_fault(clip, table.folder):
                self.problems.append(f"{where} names {clip!r}, which {fault}: correct the name or remove the row")
            elif subset != "test" and not labels:
                self.problems.append(f"{where} gives {clip} no label: add one or remove the row")
            elif unknown := [label for label in labels if label not in known]:
                self.problems.append(
                    f"{where} gives {clip} the unknown label(s) {_some(unknown)}: use a class of the dataset"
                )
            else:
                rows[clip] = Row(clip, labels, columns)
        usable = tuple(row for row in rows.values() if row is not None)
        self._note_unlisted(table, set(rows))
        return Part(subset, table.path, table.folder, table.header, usable)

    def _repeat(self, where: str, clip: str, labels: tuple[str, ...], rows: dict[str, Row | None]) -> None:
        first = rows[clip]
        if first is None:
            return
        if set(first.labels) == set(labels):
            self.notes.append(f"{where} repeats {clip}: it is used once")
        else:
            rows[clip] = None
            self.problems.append(
                f"{where} repeats {clip} with other labels ({','.join(first.labels)} and {','.join(labels)}): "
                "keep the right row"
            )

    def _note_unlisted(self, table: "_Table", listed: set[str]) -> None:
        if table.folder.is_dir():
            with os.scandir(table.folder) as entries:
                unlisted = sorted(entry.name for entry in entries if entry.is_file() and entry.name not in listed)
            if unlisted:
                self.notes.append(
                    f"{table.folder} holds {len(unlisted)} file(s) that {table.path.name} does not list; "
                    f"ignored: {_some(unlisted)}"
                )


@dataclass(frozen=True)
class _Table:
    """A CSV file as text: header, and (line number, fields) of every row that is not blank."""

    path: Path
    folder: Path
    header: tuple[str, ...]
    rows: list[tuple[int, list[str]]]

    @classmethod
    def read(cls, path: Path, folder: Path) -> "_Table":
        try:
            if not path.is_file():
                raise DataError([f"{path} is not a regular file: put the CSV itself there"])
            content = path.read_bytes()
        except OSError as error:
            raise DataError([f"{path} cannot be read ({error.strerror}): check the file"]) from None
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise DataError([f"{path} is not UTF-8 text: save it as a UTF-8 CSV"]) from None
        if "\0" in text:
            raise DataError([f"{path} is not a text file: save it as a UTF-8 CSV"])
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        try:
            lines = [(reader.line_num, fields) for fields in reader if any(field.strip() for field in fields)]
        except csv.Error as error:
            raise DataError([f"{path} line {reader.line_num} is not CSV ({error}): correct it"]) from None
        if not lines:
            raise DataError([f"{path} is empty: it should list the dataset's clips"])
        return cls(path, folder, tuple(name.strip() for name in lines[0][1]), lines[1:])


def _labels(text: str) -> tuple[str, ...]:
    """Labels of a cell: comma-separated, spaces, empty items and repeats dropped, in the order written."""
    return tuple(dict.fromkeys(label.strip() for label in text.split(",") if label.strip()))


def _name_fault(clip: str, folder: Path) -> str | None:
    """Why a name may not be used: a CSV must not be able to reach files outside the audio folder."""
    plain = PurePosixPath(clip)
    if not clip or not clip.isprintable():
        return "is no file name"
    if plain.is_absolute() or ".." in plain.parts:
        return f"leaves the folder {folder.name}"
    if str(plain) != clip:
        return "is not a plain relative path"
    path = folder / clip
    try:
        inside = ("/" not in clip and not path.is_symlink()) or path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # the name is too long, or its links run in a circle
        return "cannot be a file's name"
    return None if inside else f"links to a file outside the folder {folder.name}"


def _repeated(names: tuple[str, ...] | list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def _some(names: list[str]) -> str:
    """The first names of a list that may be long."""
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
