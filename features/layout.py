"""Find the CSV files and folders of a dataset, and read the CSV files; every fault becomes one sentence.

    Kaggle                                Zenodo (record 3612637)
    train_curated.csv  train_curated/     FSDKaggle2019.meta/train_curated_post_competition.csv  ...audio_train_curated/
    train_noisy.csv    train_noisy/       FSDKaggle2019.meta/train_noisy_post_competition.csv    ...audio_train_noisy/
    sample_submission.csv  test/          FSDKaggle2019.meta/test_post_competition.csv           ...audio_test/
                                          FSDKaggle2019.meta/vocabulary.csv

Noisy and test parts are optional, and any folder with Kaggle's names is a dataset.
"""

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from features.csv_table import CsvTable
from features.errors import DataError
from features.words import count, listed, printable, short

__all__ = ["Layout", "Part", "Row", "find_layout", "split_labels"]

_USE_A_CLASS = "use a class of the dataset"
_WORD = re.compile(r"\w+")
LONGEST_NAME = 1_000
"""Characters of a path inside the dataset, and of the name of a class."""
MOST_REPEATS = 5
"""Notes on clips that a CSV lists again."""


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
    """One sentence per row that cannot be used."""
    notes: tuple[str, ...]
    """What the user should know although it stops nothing, one sentence each."""


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
        The usable rows, and one sentence per row that is not usable.

    Raises:
        DataError: the dataset as a whole cannot be read (no CSV, a wrong header, not text, no classes, no folder).
    """
    if not root.is_dir():
        raise DataError([f"{root} is not a folder: name the folder that holds train_curated.csv"])
    # A link that leads nowhere is a CSV too, one that can't be read.
    found = [names for names in _LAYOUTS if os.path.lexists(root / names.parts["curated"][0])]
    if not found:
        zipped = " (unpack its zip files first)" if any(root.glob("*.zip")) else ""
        wanted = " or ".join(names.parts["curated"][0] for names in _LAYOUTS)
        raise DataError([f"{root} has no {wanted}: name the dataset's folder{zipped}"])
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
        self._note_odd_classes(classes)
        return Layout(self.root, classes, parts, tuple(self.problems), tuple(self.notes))

    def _note_odd_classes(self, classes: tuple[str, ...]) -> None:
        """Note classes that are more likely a typing error than meant."""
        alike = defaultdict(list)
        for name in classes:
            alike[_likeness(name)].append(name)
        for twins in alike.values():
            if len(twins) > 1:
                self.notes.append(f"the classes {listed(twins)} differ in case or spelling only; they are kept apart")
        if joined := [name for name in classes if ";" in name or "|" in name]:
            self.notes.append(f"labels are separated by commas, so each of these is one class: {listed(joined)}")
        if mixed := [name for name in classes if any(len(_scripts(word)) > 1 for word in _WORD.findall(name))]:
            self.notes.append(f"{listed(mixed)} mixes letters of alphabets that look alike: check the spelling")

    def _table(self, subset: str, csv_name: str, folder_name: str) -> "CsvTable | None":
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
        if twice := _repeated(table.header):
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

    def _classes(self, test: "CsvTable | None", curated: "CsvTable | None") -> tuple[str, ...]:
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
        faults: list[str] = []
        if not classes or not all(classes):
            faults.append(f"{path} names no classes or an empty one: name every class")
        elif len(classes) == 1:
            faults.append(f"{path} names one class only, {listed(classes)}: tagging needs at least two")
        if bad := [name for name in classes if name == "fname" or len(name) > LONGEST_NAME or _controls(name)]:
            faults.append(
                f"{path} has names that no class may have, {listed(bad)}: a class is not called 'fname' and has "
                f"at most {LONGEST_NAME} characters, none of them control characters"
            )
        if twice := _repeated(classes):
            faults.append(f"{path} lists {listed(twice)} more than once: list each class once")
        # With a wrong list of classes, no label would be right.
        self.structural += faults
        return () if faults else tuple(classes)

    def _part(self, subset: str, table: "CsvTable", classes: tuple[str, ...]) -> Part:
        known, alike = set(classes), {_likeness(name): name for name in classes}
        folder = self.root / self.names.parts[subset][1]
        rows: dict[str, Row | None] = {}  # None: the clip has a problem that is listed already
        repeats: list[str] = []
        for line, fields in table.rows:
            where = f"{table.path} line {line}"
            if len(fields) != len(table.header):
                mend = "quote labels that hold commas" if len(fields) > len(table.header) else "complete or remove it"
                self.problems.append(
                    f"{where} has {len(fields)} fields where the header has {len(table.header)}: {mend}"
                )
                continue
            columns = dict(zip(table.header, fields, strict=True))
            clip = columns["fname"].strip()
            labels = () if subset == "test" else split_labels(columns["labels"])
            if clip in rows:
                self._repeat(where, clip, labels, rows, repeats)
                continue
            rows[clip] = None
            if fault := _name_fault(clip, folder):
                self.problems.append(
                    f"{where} names {short(repr(clip), 80)}, which {fault}: correct the name or remove the row"
                )
            elif subset != "test" and not labels:
                self.problems.append(f"{where} has no label for {clip}: add one or remove the row")
            elif known and (unknown := [label for label in labels if label not in known]):
                twin = alike.get(_likeness(unknown[0]))
                mend = f"write {twin}, they differ in case, accents or invisible marks" if twin else _USE_A_CLASS
                self.problems.append(
                    f"{where} labels {clip} with {listed(unknown)}, not in the list of classes: {mend}"
                )
            else:
                rows[clip] = Row(clip, labels, columns)
        usable = tuple(row for row in rows.values() if row is not None)
        self.notes += repeats[:MOST_REPEATS]
        if len(repeats) > MOST_REPEATS:
            self.notes.append(
                f"{table.path} repeats clips in {count(len(repeats) - MOST_REPEATS, 'more line')}: each is used once"
            )
        self._note_unlisted(table.path, folder, set(rows))
        return Part(subset, table.path, folder, table.header, usable)

    def _repeat(
        self, where: str, clip: str, labels: tuple[str, ...], rows: dict[str, Row | None], repeats: list[str]
    ) -> None:
        first = rows[clip]
        if first is None:
            return
        if set(first.labels) == set(labels):
            repeats.append(f"{where} repeats {clip}: it is used once")
        else:
            rows[clip] = None
            self.problems.append(
                f"{where} repeats {clip} with other labels ({','.join(first.labels)} and {','.join(labels)}): "
                "keep the right row"
            )

    def _note_unlisted(self, csv_path: Path, folder: Path, known: set[str]) -> None:
        if folder.is_dir():
            with os.scandir(folder) as entries:
                unlisted = sorted(entry.name for entry in entries if not _is_folder(entry) and entry.name not in known)
            if unlisted:
                self.notes.append(
                    f"{folder} has {count(len(unlisted), 'file')} that {csv_path.name} does not list; "
                    f"ignored: {listed(unlisted)}"
                )


def split_labels(text: str) -> tuple[str, ...]:
    """Labels of a cell: comma-separated, spaces, empty items and repeats dropped, in the order written."""
    return tuple(dict.fromkeys(label.strip() for label in text.split(",") if label.strip()))


def _name_fault(clip: str, folder: Path) -> str | None:
    """Why a name may not be used, or None; a CSV must not be able to reach files outside the audio folder."""
    plain = PurePosixPath(clip)
    if not clip or _controls(clip) or len(clip) > LONGEST_NAME:
        return "is not a file name" if len(clip) <= LONGEST_NAME else "is too long for a file's name"
    if plain.is_absolute() or ".." in plain.parts:
        return f"leaves the folder {folder.name}"
    if str(plain) != clip or clip == ".":
        return "is not a plain relative path"
    path = folder / clip
    try:
        inside = ("/" not in clip and not path.is_symlink()) or path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError) as error:
        return "cannot be a file's name" if isinstance(error, OSError) else "links to itself"
    return None if inside else f"links to a file outside the folder {folder.name}"


def _likeness(name: str) -> str:
    """A key that is equal for names that look alike: without case, encoding of accents and invisible marks."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    return "".join(character for character in plain if unicodedata.category(character) != "Cf")


def _scripts(word: str) -> set[str]:
    """Those of the alphabets with look-alikes that a word has letters of."""
    found = {unicodedata.name(character, "").split(" ")[0] for character in word}
    return found & {"LATIN", "CYRILLIC", "GREEK"}


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a cycle of links
        return False


def _controls(name: str) -> bool:
    """Whether a name has line breaks or other control characters; joiners of emoji and scripts do not count."""
    return any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name)


def _repeated(names: Sequence[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)
