"""What the columns of a list hold: files, labels, groups, folds, and the part of the dataset a row belongs to."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from features.csv_table import CsvTable

__all__ = ["List", "group_column", "part_of"]

_LABELS = (
    "label", "labels", "class", "classes", "category", "categories", "tag", "tags", "positive_labels", "class_name",
    "label_name", "target", "species", "event", "event_label", "event_labels", "sound", "y",
)  # fmt: skip
_GROUPS = (
    "group", "src_file", "source_file", "fsid", "freesound_id", "recording", "recording_id", "source", "speaker",
    "speaker_id", "session", "session_id", "ytid", "youtube_id", "video_id", "uploader",
)  # fmt: skip
_FOLDS = ("fold", "official_fold", "cv_fold")
_SPLITS = ("split", "subset", "set", "partition", "usage", "part")
_VERIFIED = ("manually_verified", "verified", "clean", "curated")
_TRAIN = frozenset(("train", "training", "dev", "development", "val", "valid", "validation", "curated", "clean"))
_NOISY = frozenset(("noisy", "weak", "unverified"))
_TEST = frozenset(("test", "testing", "eval", "evaluation"))
_FLAGS = frozenset(("", "0", "1", "0.0", "1.0", "true", "false", "yes", "no", "x"))
_ON = frozenset(("1", "1.0", "true", "yes", "x"))
_ID_CHARACTERS = 11
"""Of a video at YouTube, which AudioSet's lists name."""
_MOST_CANDIDATES = 12
_MOST_MATCHES = 400
"""Cells that are in the name of a file, from which candidates are made."""
_ENOUGH = 0.1
"""Share of rows, or of files, that a way to name files has to reach: of AudioSet, few files are to be had."""
_MOSTLY = 0.5
"""Share of the labels between separators that have to occur in several cells."""
_MOST_FOLDS = 20


def part_of(words: str) -> str | None:
    """The subset that the words of a path or a cell name; None if they name none."""
    found = {word for word in re.split(r"[^a-z]+", words.lower()) if word}
    for subset, names in (("noisy", _NOISY), ("test", _TEST), ("curated", _TRAIN)):
        if found & names:
            return subset
    return None


def group_column(table: CsvTable, without: Collection[str] = ()) -> str | None:
    """The column that says which recording, speaker or source a clip is from, if clips share one."""
    for column in _by_name(table.header, _GROUPS, without):
        cells = _cells(table, column)
        if "" not in cells and 1 < len(set(cells)) < len(cells):
            return column
    return None


@dataclass(eq=False)
class List:
    """A CSV or JSON Lines file, and what its columns were found to hold."""

    path: str
    """Relative to the dataset's folder."""
    separator: str
    table: CsvTable
    file: str = ""
    """Path of a row's clip, relative to the dataset's folder; {COLUMN} stands for the row's cell."""
    labels: str | tuple[str, ...] | None = None
    label_separator: str | None = None
    group: str | None = None
    fold: str | None = None
    where: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    """Subset -> column -> cells of its rows; empty if the whole list is of one subset."""
    found: frozenset[str] = frozenset()
    """Audio files that it names."""

    def look(self, audio: Sequence[str]) -> bool:
        """Find out what the columns hold; False if none of them names the audio files of the dataset."""
        self.file, self.found = _file_names(self.table, part_of(self.path), audio)
        if not self.file:
            return False
        used = tuple(re.findall(r"\{([^{}]*)\}", self.file))
        header = self.table.header
        self.fold = next((c for c in _by_name(header, _FOLDS) if self._is_fold(c)), None)
        self.where = self._split() or self._verified()
        chosen = [column for of in self.where.values() for column in of]
        own = used[:1]
        self.group = group_column(self.table, (*own, *chosen))
        self._find_labels((*used, *chosen, *filter(None, (self.group, self.fold))))
        return True

    def _is_fold(self, column: str) -> bool:
        values = set(_cells(self.table, column))
        return "" not in values and 2 <= len(values) <= _MOST_FOLDS

    def _split(self) -> dict[str, dict[str, tuple[str, ...]]]:
        """Rows by a column with words such as train and test."""
        for column in _by_name(self.table.header, _SPLITS):
            values = sorted(set(_cells(self.table, column)))
            parts = {value: part_of(value) for value in values}
            if "curated" in parts.values() and None not in parts.values() and len(set(parts.values())) > 1:
                subsets = ("curated", "noisy", "test")
                of = {part: tuple(value for value in values if parts[value] == part) for part in subsets}
                return {part: {column: cells} for part, cells in of.items() if cells}
        return {}

    def _verified(self) -> dict[str, dict[str, tuple[str, ...]]]:
        """Rows by a column that says whether a person checked the labels."""
        for column in _by_name(self.table.header, _VERIFIED):
            values = sorted(set(_cells(self.table, column)))
            clean = tuple(value for value in values if value.lower() in _ON)
            if clean and {value.lower() for value in values} <= _FLAGS and len(clean) < len(values):
                rest = tuple(value for value in values if value not in clean)
                return {"curated": {column: clean}, "noisy": {column: rest}}
        return {}

    def _find_labels(self, without: Sequence[str]) -> None:
        named = [column for column in _by_name(self.table.header, _LABELS, without) if any(_cells(self.table, column))]
        if named:
            self.labels = named[0]
        else:
            others = [column for column in self.table.header if column not in without]
            flags = [c for c in others if {cell.lower() for cell in _cells(self.table, c)} <= _FLAGS]
            if len(flags) >= 2:
                self.labels = tuple(flags)
            else:
                words = [column for column in others if self._repeats_words(column)]
                self.labels = words[0] if words else None
        if isinstance(self.labels, str):
            self.label_separator = label_separator(_cells(self.table, self.labels))

    def _repeats_words(self, column: str) -> bool:
        """Whether a column has a few words again and again, as a column of labels has."""
        cells = [cell for cell in _cells(self.table, column) if cell]
        return bool(cells) and 2 <= len(set(cells)) <= max(2, len(cells) // 2) and not all(map(_is_number, cells))


def label_separator(cells: Sequence[str]) -> str | None:
    """What separates several labels in a cell, if anything does.

    A comma may be part of a name ("Crow, caw"): what is between separators has to occur in other cells too.
    """
    whole = set(cells) - {""}
    for separator in (",", ";", "|"):
        if not any(separator in cell for cell in whole):
            continue
        pieces = Counter(piece.strip() for cell in whole for piece in cell.split(separator) if piece.strip())
        alone = sum(number > 1 or piece in whole for piece, number in pieces.items())
        if alone > _MOSTLY * len(pieces):
            return separator
    return None


def _file_names(table: CsvTable, part: str | None, audio: Sequence[str]) -> tuple[str, frozenset[str]]:
    """How a row names its file, and the files found so; empty if no column names files."""
    there = set(audio)
    index: dict[str, list[str]] = {}
    for path in audio:
        name = PurePosixPath(path)
        stem = name.name[: -len(name.suffix)]
        for key in {name.name, stem, stem[:_ID_CHARACTERS], stem[1 : _ID_CHARACTERS + 1] if stem[0] == "Y" else stem}:
            index.setdefault(key, []).append(path)
    rows = [
        dict(zip(table.header, (cell.strip() for cell in fields), strict=True))
        for _, fields in table.rows
        if len(fields) == len(table.header)
    ]
    best, found = "", frozenset[str]()
    for template in _candidates(table.header, rows, index):
        hits = frozenset(path for row in rows if (path := _filled(template, row)) in there)
        # The same names may be in folders train and test: a list test.csv means the latter.
        if (len(hits), part_of(template) == part) > (len(found), part_of(best) == part):
            best, found = template, hits
    enough = _ENOUGH * min(len(rows), len(audio)) if best else 1
    return (best, found) if len(found) >= enough else ("", frozenset())


def _candidates(
    header: Sequence[str], rows: Sequence[Mapping[str, str]], index: Mapping[str, Sequence[str]]
) -> list[str]:
    """Ways to name files by columns, from rows whose cell is in the name of a file; the most frequent first."""
    counts: Counter[str] = Counter()
    header = [column for column in header if column and not set("{}") & set(column)]
    matched = 0
    for row in rows:
        if matched >= _MOST_MATCHES:
            break
        for column in header:
            cell = row[column].replace("\\", "/").removeprefix("./")
            key = PurePosixPath(cell).name
            for path in index.get(key, ())[:4]:
                tail = cell if cell in path else key if cell == key else ""
                if not tail or set("{}") & set(path):
                    continue
                ending = "" if path.endswith(tail) else PurePosixPath(path).suffix
                start = path.removesuffix(ending).rfind(tail)
                if start < 0:
                    continue
                matched += 1
                before, after = path[:start], path[start + len(tail) :]
                plain = f"{before}{{{column}}}{after}"
                counts[plain] += 3
                others = sorted((c for c in header if c != column and row[c]), key=lambda c: -len(row[c]))
                every = (before, after)
                for other in others:
                    value = row[other]
                    if value in before or value in after:
                        counts[_with(before, other, value) + f"{{{column}}}" + _with(after, other, value)] += 2
                        every = (_with(every[0], other, value), _with(every[1], other, value))
                counts[every[0] + f"{{{column}}}" + every[1]] += 1
    return [template for template, _ in counts.most_common(_MOST_CANDIDATES)]


def _with(text: str, column: str, value: str) -> str:
    """A text with a column in place of its value; what is in braces already stays."""
    pieces = re.split(r"(\{[^{}]*\})", text)
    for index in range(len(pieces) - 1, -1, -2):
        if value in pieces[index]:
            head, _, tail = pieces[index].rpartition(value)
            pieces[index] = f"{head}{{{column}}}{tail}"
            break
    return "".join(pieces)


def _filled(template: str, row: Mapping[str, str]) -> str:
    return re.sub(r"\{([^{}]*)\}", lambda match: row[match[1]].replace("\\", "/").removeprefix("./"), template)


def _by_name(header: Sequence[str], names: Sequence[str], without: Collection[str] = ()) -> list[str]:
    """The columns that have one of some names, in the order of the names."""
    lower = {column.lower().replace(" ", "_"): column for column in reversed(header)}
    return [lower[name] for name in names if name in lower and lower[name] not in without]


def _cells(table: CsvTable, column: str) -> list[str]:
    place = table.header.index(column)
    return [fields[place].strip() for _, fields in table.rows if len(fields) == len(table.header)]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
