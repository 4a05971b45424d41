"""The clips that a dataset.yaml describes, as a layout; every fault becomes one sentence."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from features.csv_table import MOST_ROWS, CsvTable, read_text
from features.datasets.description import FILE_NAME, Dataset, LabelNames, Source
from features.datasets.tree import Tree, walk
from features.errors import DataError
from features.layout import CORRECT_ROW, Layout, Part, Rows, class_faults, odd_classes, repeated, split_labels
from features.words import count, listed, nearest, short

__all__ = ["GROUP", "described_layout", "read_table"]

GROUP = "group"
"""Column that has the values of a source's `group`, whatever their own column is called."""
_YES = frozenset(("1", "1.0", "true", "yes", "x", "y", "t"))
_NO = frozenset(("", "0", "0.0", "false", "no", "n", "f"))


def described_layout(root: Path, dataset: Dataset | None = None) -> Layout:
    """Read the lists of a folder as its dataset.yaml says.

    The class order is that of `classes`, else the sorted curated labels. A clip's name is its path below the folder
    that all sources of its subset share.

    Args:
        root: the folder that holds dataset.yaml.
        dataset: by default, what dataset.yaml says.

    Raises:
        DataError: dataset.yaml is wrong, or the dataset as a whole cannot be read (no CSV, no such column, no folder).
    """
    return _Reader(root, dataset or Dataset.read(root / FILE_NAME)).layout()


def read_table(path: Path, separator: str = ",") -> CsvTable:
    """Read a CSV or, by its ending, JSON Lines: a list of labels becomes one cell, joined by commas.

    Raises:
        DataError: it cannot be read.
    """
    if path.suffix.lower() not in (".jsonl", ".ndjson"):
        return CsvTable.read(path, separator)
    header: dict[str, None] = {}
    objects: list[tuple[int, dict[str, object]]] = []
    for number, line in enumerate(read_text(path).decode("utf-8-sig").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise DataError([f"{path} line {number} is not a JSON object: write one per line"])
        objects.append((number, found))
        header.update(dict.fromkeys(found))
    if not objects:
        raise DataError([f"{path} is empty: it should list the dataset's clips"])
    if len(objects) > MOST_ROWS:
        raise DataError([f"{path} lists more than {MOST_ROWS} clips, which is too many: check the file"])
    return CsvTable(path, tuple(header), [(n, [_cell(found.get(name)) for name in header]) for n, found in objects])


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ",".join(_cell(item) for item in value)
    return value if isinstance(value, str) else json.dumps(value)


@dataclass(frozen=True)
class _Listed:
    """A row of a source, or a file of a class folder."""

    where: str
    file: str
    """Relative to the root."""
    labels: tuple[str, ...]
    columns: Mapping[str, str]
    fold: str = ""


@dataclass(frozen=True)
class _Read:
    """What one source says."""

    csv: Path
    header: tuple[str, ...]
    listed: list[_Listed]
    known: frozenset[str]
    """Files that the list names, also in rows that `where` leaves out; relative to the root."""


class _Reader:
    """Reads one dataset, collecting problems instead of stopping at the first."""

    def __init__(self, root: Path, dataset: Dataset) -> None:
        self.root = root
        self.yaml = root / FILE_NAME
        self.dataset = dataset
        self.structural: list[str] = []
        self.problems: dict[str, list[str]] = {}
        self.notes: list[str] = []
        self._tables: dict[tuple[str, str], CsvTable | None] = {}

    def layout(self) -> Layout:
        names = self._label_names(self.dataset.label_names)
        read: dict[str, list[_Read]] = {}
        for subset, sources in self.dataset.parts.items():
            self.problems[subset] = []
            found = [self._source(subset, index, source, names) for index, source in enumerate(sources)]
            read[subset] = [one for one in found if one is not None]
        classes = self._classes(read["curated"])
        if self.structural:
            raise DataError(self.structural)
        parts = {subset: self._part(subset, of_part, classes) for subset, of_part in read.items()}
        if empty := [subset for subset, part in parts.items() if not part.rows and not self.problems[subset]]:
            raise DataError([f"{self.yaml}: {name} describes no clips: correct it or remove it" for name in empty])
        self._note_unlisted(read)
        grouped = any(source.group for source in self.dataset.curated)
        problems = [problem for of_part in self.problems.values() for problem in of_part]
        notes = [*self.notes, *(note for note in odd_classes(classes) if "separated by commas" not in note)]
        return Layout(self.root, classes, parts, tuple(problems), tuple(notes), GROUP if grouped else None)

    def _label_names(self, names: LabelNames | None) -> Mapping[str, str]:
        if names is None:
            return {}
        table = self._table(names.csv, ",")
        if table is None:
            return {}
        if missing := [name for name in (names.key, names.name) if name not in table.header]:
            self.structural.append(self._no_column(table, missing[0], "label_names"))
            return {}
        key, name = table.header.index(names.key), table.header.index(names.name)
        rows = [fields for _, fields in table.rows if len(fields) == len(table.header)]
        return {fields[key].strip(): fields[name].strip() for fields in rows}

    def _table(self, csv: str, separator: str) -> CsvTable | None:
        """A CSV, read once; None if it can't be used."""
        if (csv, separator) not in self._tables:
            table = None
            try:
                table = read_table(self.root / csv, separator)
            except DataError as error:
                self.structural += error.problems
            if table is not None and (twice := repeated(table.header)):
                self.structural.append(f"{table.path} has several columns named {listed(twice)}: keep one")
                table = None
            self._tables[csv, separator] = table
        return self._tables[csv, separator]

    def _no_column(self, table: CsvTable, column: str, field: str) -> str:
        near = nearest(column, table.header)
        hint = f"did you mean '{short(near)}'?" if near else f"it has {listed(table.header, most=12)}"
        return f"{table.path} has no column '{short(column)}', which {self.yaml} names in {field}: {hint}"

    def _source(self, subset: str, index: int, source: Source, names: Mapping[str, str]) -> _Read | None:
        sources = self.dataset.parts[subset]
        field = subset if len(sources) == 1 else f"{subset}.{index}"
        folder = self.root / source.audio
        if not folder.is_dir():
            self.structural.append(f"{folder} is not a folder: correct {field}.audio in {self.yaml}, or add it")
            return None
        if source.csv is None:
            return self._folders(subset, source, names)
        table = self._table(source.csv, source.separator)
        if table is None:
            return None
        labels = (source.labels,) if isinstance(source.labels, str) else source.labels or ()
        wanted = {"file": source.file_columns, "labels": labels, "where": tuple(source.where)}
        wanted |= {name: (column,) for name, column in (("group", source.group), ("fold", source.fold)) if column}
        missing = [(name, column) for name, of in wanted.items() for column in of if column not in table.header]
        if missing:
            self.structural.append(self._no_column(table, missing[0][1], f"{field}.{missing[0][0]}"))
            return None
        known: set[str] = set()
        rows = list(self._rows(subset, source, table, names, known))
        if source.missing == "skip":
            there = [row for row in rows if os.path.lexists(self.root / row.file)]
            if len(there) < len(rows):
                gone = len(rows) - len(there)
                self.notes.append(f"{gone:,} of {len(rows):,} clips of {table.path} are left out, as they are not here")
            rows = there
        header = table.header if source.group is None or GROUP in table.header else (*table.header, GROUP)
        return _Read(table.path, header, rows, frozenset(known))

    def _rows(
        self, subset: str, source: Source, table: CsvTable, names: Mapping[str, str], known: set[str]
    ) -> Iterator[_Listed]:
        for line, fields in table.rows:
            where = f"{table.path} line {line}"
            if fault := table.fault(fields):
                self.problems[subset].append(f"{where} {fault}")
                continue
            columns = dict(zip(table.header, (field.strip() for field in fields), strict=True))
            file = source.file_of(columns)
            path = f"{source.audio}/{file}" if source.audio != "." else file
            known.add(path)
            if any(columns[column] not in cells for column, cells in source.where.items()):
                continue
            if source.group is not None:
                columns[GROUP] = columns[source.group]
            labels = self._labels(subset, where, source, columns)
            if labels is not None:
                named = tuple(dict.fromkeys(names.get(label, label) for label in labels))
                yield _Listed(where, path, named, columns, columns[source.fold] if source.fold else "")

    def _labels(self, subset: str, where: str, source: Source, columns: Mapping[str, str]) -> tuple[str, ...] | None:
        """The labels of a row; None if it has a problem."""
        if source.labels is None:
            return ()
        if isinstance(source.labels, str):
            cell = columns[source.labels]
            if source.label_separator is None:
                return (cell,) if cell else ()
            return split_labels(cell, source.label_separator)
        odd = [name for name in source.labels if columns[name].lower() not in _YES | _NO]
        if odd:
            self.problems[subset].append(
                f"{where} has {short(repr(columns[odd[0]]), 80)} in column '{short(odd[0])}': write 1 or 0"
            )
            return None
        return tuple(name for name in source.labels if columns[name].lower() in _YES)

    def _folders(self, subset: str, source: Source, names: Mapping[str, str]) -> _Read:
        """A folder of which each subfolder is a class; what other sources use is left out."""
        folder = self.root / source.audio
        every = [self.root / other.audio for of in self.dataset.parts.values() for other in of]
        tree = walk(folder, [path for path in every if path != folder])
        rows, loose, odd = [], [], set()
        for name in tree.audio:
            path = name if source.audio == "." else f"{source.audio}/{name}"
            label = PurePosixPath(name).parts[0]
            if "/" not in name:
                if subset != "test":
                    loose.append(name)
                    continue
                labels: tuple[str, ...] = ()
            elif label.startswith("_"):
                odd.add(label)
                continue
            else:
                labels = (names.get(label, label),)
            rows.append(_Listed(str(folder), path, labels, {}))
        if loose:
            what = "file lies" if len(loose) == 1 else "files lie"
            self.notes.append(f"{len(loose):,} {what} in no class's folder of {folder}; ignored: {listed(loose)}")
        for label in sorted(odd):
            self.notes.append(f"{folder / label} is ignored: its name begins with '_', so it is no class")
        if tree.links:
            self.notes.append(f"links to folders are not followed: {listed(tree.links)}")
        self.notes += _left_out(tree, folder)
        return _Read(folder, (), rows, frozenset())

    def _classes(self, curated: list[_Read]) -> tuple[str, ...]:
        given = self.dataset.classes
        found = sorted({label for one in curated for row in one.listed for label in row.labels})
        if given is None and not curated:
            return ()
        classes = found if given is None else list(given)
        source = self.yaml if given is not None or len(curated) != 1 else curated[0].csv
        faults = class_faults(classes, source)
        self.structural += faults
        return () if faults else tuple(classes)

    def _part(self, subset: str, read: list[_Read], classes: tuple[str, ...]) -> Part:
        audio = [source.audio for source in self.dataset.parts[subset]]
        base = os.path.commonpath(audio) if "." not in audio else ""
        folder = self.root / base
        mend = "rename or remove it" if read[0].csv.is_dir() else CORRECT_ROW
        rows = Rows(read[0].csv, folder, classes, labelled=subset != "test", mend=mend)
        for one in read:
            for row in one.listed:
                clip = row.file[len(base) + 1 :] if base else row.file
                rows.add(row.where, clip, row.labels, row.columns, row.fold)
        self.problems[subset] += rows.problems
        self.notes += rows.notes
        header = [name for name in read[0].header if all(name in one.header for one in read)]
        return Part(subset, read[0].csv, folder, tuple(header), rows.usable)

    def _note_unlisted(self, read: Mapping[str, list[_Read]]) -> None:
        """Count the audio files of the folders of CSVs that no list names."""
        known = {file for of_part in read.values() for one in of_part for file in one.known}
        known |= {row.file for of_part in read.values() for one in of_part for row in one.listed}
        sources = [source for of in self.dataset.parts.values() for source in of if source.csv is not None]
        for audio in _outermost({source.audio for source in sources}):
            folder = self.root / audio
            tree = walk(folder)
            unlisted = [name for name in tree.audio if (name if audio == "." else f"{audio}/{name}") not in known]
            if unlisted:
                self.notes.append(
                    f"{folder} has {count(len(unlisted), 'audio file')} that no list names; ignored: {listed(unlisted)}"
                )
            self.notes += _left_out(tree, folder)


def _outermost(folders: Iterable[str]) -> list[str]:
    """Those of some folders that lie in none of the others."""
    return [one for one in sorted(folders) if not any(other != one and _lies_in(one, other) for other in folders)]


def _lies_in(folder: str, other: str) -> bool:
    return other == "." or folder.startswith(f"{other}/")


def _left_out(tree: Tree, folder: Path) -> list[str]:
    """Sentences on files that can't be clips."""
    notes = []
    if endings := tree.unreadable():
        found = ", ".join(f"{number:,} {ending}" for ending, number in sorted(endings.items()))
        notes.append(
            f"{folder} has files of formats that are not read ({found}): convert them, for instance with ffmpeg"
        )
    if tree.unnamed:
        notes.append(f"{folder} has {count(tree.unnamed, 'name')} that are not UTF-8 text; ignored: rename them")
    return notes
