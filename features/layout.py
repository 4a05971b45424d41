"""What the lists of a dataset say, whatever its layout: parts, rows and classes. `features.datasets` reads them."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from features.words import count, listed, short

__all__ = ["Layout", "Part", "Row", "Rows", "class_faults", "odd_classes", "repeated", "split_labels", "targets_of"]

_USE_A_CLASS = "use a class of the dataset"
_WORD = re.compile(r"\w+")
LONGEST_NAME = 1_000
"""Characters of a path inside the dataset, and of the name of a class."""
CORRECT_ROW = "correct the name or remove the row"
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
    fold: str = ""
    """Official fold, as the dataset names it; empty if it has none."""


@dataclass(frozen=True)
class Part:
    """One subset: its CSV, its folder and its usable rows in the CSV's order."""

    subset: str
    csv: Path
    """Where the labels come from: a CSV, or the folder whose subfolders are the classes."""
    folder: Path
    header: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Layout:
    """What the lists of a dataset say; no audio file has been opened."""

    root: Path
    classes: tuple[str, ...]
    parts: Mapping[str, Part]
    """By subset: 'curated', and 'noisy' and 'test' where the dataset has them."""
    problems: tuple[str, ...]
    """One sentence per row that cannot be used."""
    notes: tuple[str, ...]
    """What the user should know although it stops nothing, one sentence each."""
    group_by: str | None = None
    """Column that groups the clips unless the grid names another."""

    @property
    def official_folds(self) -> int:
        """Number of the folds that the dataset comes with; 0 if it has none."""
        return len({row.fold for row in self.parts["curated"].rows} - {""})


class Rows:
    """Collects the rows of one part: usable ones, and one sentence for each of the others."""

    def __init__(
        self, csv: Path, folder: Path, classes: Sequence[str], *, labelled: bool = True, mend: str = CORRECT_ROW
    ) -> None:
        self.problems: list[str] = []
        self.names: dict[str, Row | None] = {}
        """Every clip that was listed; None if it has a problem, which is in `problems`."""
        self._csv = csv
        self._folder = folder
        self._labelled = labelled
        self._mend = mend
        self._known = set(classes)
        self._alike = {_likeness(name): name for name in classes}
        self._repeats: list[str] = []

    def add(self, where: str, clip: str, labels: tuple[str, ...], columns: Mapping[str, str], fold: str = "") -> None:
        """Check one row; `where` names its CSV and line."""
        if clip in self.names:
            self._repeat(where, clip, labels)
            return
        self.names[clip] = None
        if fault := _name_fault(clip, self._folder):
            self.problems.append(f"{where} names {short(repr(clip), 80)}, which {fault}: {self._mend}")
        elif self._labelled and not labels:
            self.problems.append(f"{where} has no label for {clip}: add one or remove the row")
        elif self._labelled and self._known and (unknown := [label for label in labels if label not in self._known]):
            twin = self._alike.get(_likeness(unknown[0]))
            mend = f"write {twin}, they differ in case, accents or invisible marks" if twin else _USE_A_CLASS
            self.problems.append(f"{where} labels {clip} with {listed(unknown)}, not in the list of classes: {mend}")
        else:
            self.names[clip] = Row(clip, labels, columns, fold)

    @property
    def usable(self) -> tuple[Row, ...]:
        """The rows without a problem, in the order in which they were listed."""
        return tuple(row for row in self.names.values() if row is not None)

    @property
    def notes(self) -> list[str]:
        """A sentence for each of the first rows that repeat a clip."""
        notes = self._repeats[:MOST_REPEATS]
        if len(self._repeats) > MOST_REPEATS:
            more = count(len(self._repeats) - MOST_REPEATS, "more line")
            notes.append(f"{self._csv} repeats clips in {more}: each is used once")
        return notes

    def _repeat(self, where: str, clip: str, labels: tuple[str, ...]) -> None:
        first = self.names[clip]
        if first is None:
            return
        if set(first.labels) == set(labels):
            self._repeats.append(f"{where} repeats {clip}: it is used once")
        else:
            self.names[clip] = None
            self.problems.append(
                f"{where} repeats {clip} with other labels ({','.join(first.labels)} and {','.join(labels)}): "
                "keep the right row"
            )


def split_labels(text: str, separator: str = ",") -> tuple[str, ...]:
    """Labels of a cell: separated by commas, say; spaces, empty items and repeats dropped, in the order written."""
    return tuple(dict.fromkeys(label.strip() for label in text.split(separator) if label.strip()))


def class_faults(classes: Sequence[str], source: Path) -> list[str]:
    """A sentence for each reason why a list of classes can't be used; `source` is the file that has it."""
    faults: list[str] = []
    if not classes or not all(classes):
        faults.append(f"{source} names no classes or an empty one: name every class")
    elif len(classes) == 1:
        faults.append(f"{source} names one class only, {listed(classes)}: tagging needs at least two")
    if bad := [name for name in classes if name == "fname" or len(name) > LONGEST_NAME or _controls(name)]:
        faults.append(
            f"{source} has names that no class may have, {listed(bad)}: a class is not called 'fname' and has "
            f"at most {LONGEST_NAME} characters, none of them control characters"
        )
    if twice := repeated(classes):
        faults.append(f"{source} lists {listed(twice)} more than once: list each class once")
    return faults


def odd_classes(classes: Sequence[str]) -> list[str]:
    """Sentences on classes that are more likely a typing error than meant."""
    notes = []
    alike = defaultdict(list)
    for name in classes:
        alike[_likeness(name)].append(name)
    for twins in alike.values():
        if len(twins) > 1:
            notes.append(f"the classes {listed(twins)} differ in case or spelling only; they are kept apart")
    if joined := [name for name in classes if ";" in name or "|" in name]:
        notes.append(f"labels are separated by commas, so each of these is one class: {listed(joined)}")
    if mixed := [name for name in classes if any(len(_scripts(word)) > 1 for word in _WORD.findall(name))]:
        notes.append(f"{listed(mixed)} mixes letters of alphabets that look alike: check the spelling")
    return notes


def repeated(names: Sequence[str]) -> list[str]:
    """The names that occur more than once, sorted."""
    return sorted(name for name, count in Counter(names).items() if count > 1)


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


def _controls(name: str) -> bool:
    """Whether a name has line breaks or other control characters; joiners of emoji and scripts do not count."""
    return any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name)


def targets_of(labels: Sequence[Sequence[str]], classes: tuple[str, ...]) -> np.ndarray:
    """Labels of N clips as float32 (N, C), 1 where a clip has the label."""
    column = {name: index for index, name in enumerate(classes)}
    targets = np.zeros((len(labels), len(classes)), np.float32)
    for row, names in enumerate(labels):
        for name in names:
            targets[row, column[name]] = 1.0
    return targets
