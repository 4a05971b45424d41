"""Folders that are no published dataset: lists whose columns name the files, or a folder per class."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from features.csv_table import read_text
from features.datasets.columns import List, part_of
from features.datasets.described import read_table
from features.datasets.description import Dataset, LabelNames, Source
from features.datasets.tree import Tree
from features.errors import DataError

__all__ = ["class_folders", "lists"]

_LISTS = frozenset((".csv", ".tsv", ".jsonl", ".ndjson"))
_MOST_LISTS = 100
_DEEPEST = 3
"""Parts of the path of a list."""
_SEPARATORS = (",", ";", "\t", "|")
_SEGMENTS = ("start_seconds", "end_seconds")
"""Columns of AudioSet's lists, of which only parts may have been downloaded."""


def lists(root: Path, tree: Tree) -> tuple[Dataset | None, list[str]]:
    """The description of a folder whose lists name its audio files; None if there is no such list.

    Returns:
        The description, and one sentence per list that is not used.
    """
    names = sorted((name for name in tree.others if _may_be_list(name)), key=lambda name: (name.count("/"), name))
    notes: list[str] = []
    if len(names) > _MOST_LISTS:
        notes.append(f"{root} has {len(names):,} CSV files, of which only the first {_MOST_LISTS} were looked at")
    opened = [one for name in names[:_MOST_LISTS] if (one := _open(root, name, notes)) is not None]
    found = [one for one in opened if one.look(tree.audio)]
    label_names = _label_names([one for one in opened if one not in found])
    for one in opened:
        if one not in found and (label_names is None or one.path != label_names.csv):
            notes.append(f"{root / one.path} is not used: no column of it names the audio files that are here")
    # The best come first: with labels, of a named part of the dataset, naming many files.
    found.sort(key=lambda one: (one.labels is None, part_of(one.path) is None, -len(one.found), one.path))
    parts: dict[str, list[Source]] = {}
    taken: set[str] = set()
    for one in found:
        subset = part_of(one.path) or "curated"
        if len(one.found & taken) > len(one.found) // 2:
            notes.append(f"{root / one.path} is not used: other lists name its files")
        elif one.labels is None and (subset != "test" or one.where):
            notes.append(f"{root / one.path} is not used: no column of it looks like labels")
        else:
            taken |= one.found
            for part, where in (one.where or {subset: {}}).items():
                parts.setdefault(part, []).append(_source(one, where))
    if "curated" not in parts:
        return None, notes
    if any(source.missing == "skip" for of in parts.values() for source in of):
        notes.append("start_seconds and end_seconds cut nothing: each file is taken to be the segment itself")
    dataset = _dataset("audio with lists of labels", parts)
    return dataset.model_copy(update={"label_names": label_names}), notes


def class_folders(tree: Tree) -> Dataset | None:
    """The description of a folder with one folder per class, perhaps inside folders such as train and test."""
    inside = Counter(PurePosixPath(name).parts[:-1] for name in tree.audio)
    tops = {folders[0] for folders in inside if folders}
    if len(tops) == 1 and all(len(folders) > 1 for folders in inside):
        top = next(iter(tops))
        below = class_folders(Tree(tuple(name.removeprefix(f"{top}/") for name in tree.audio), (), ()))
        return below and below.model_copy(
            update={
                subset: tuple(
                    source.model_copy(update={"audio": top if source.audio == "." else f"{top}/{source.audio}"})
                    for source in sources
                )
                for subset, sources in below.parts.items()
            }
        )
    parts: dict[str, list[Source]] = {}
    for top in sorted(tops):
        nested = any(folders[0] == top and len(folders) > 1 for folders in inside if folders)
        subset = part_of(top)
        # A class may be called 'clean': a folder is a part of the dataset if it holds folders of classes.
        if subset is not None and (nested or subset == "test"):
            parts.setdefault(subset, []).append(Source(audio=top))
    if "curated" not in parts:
        classes = [top for top in tops if not any(top == source.audio for of in parts.values() for source in of)]
        if len(classes) < 2:
            return None
        parts["curated"] = [Source()]
    return _dataset("a folder per class", parts)


def _dataset(about: str, parts: Mapping[str, Sequence[Source]]) -> Dataset:
    curated, noisy, test = (tuple(parts[name]) if name in parts else None for name in ("curated", "noisy", "test"))
    assert curated is not None
    return Dataset(about=about, curated=curated, noisy=noisy, test=test)


def _may_be_list(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in _LISTS and len(path.parts) <= _DEEPEST


def _open(root: Path, name: str, notes: list[str]) -> List | None:
    """A list with the separator that gives it the most columns; None if it is no table, or if a new note says why."""
    path = root / name
    separator = ","
    try:
        if path.suffix.lower() not in (".jsonl", ".ndjson"):
            start = read_text(path)[:100_000].decode("utf-8-sig", "ignore").splitlines()[:20]
            lines = [line for line in start if line.strip() and not line.startswith("#")]
            separator = max(_SEPARATORS, key=lambda mark: _columns(lines, mark))
            if _columns(lines, separator) < 2:
                return None
        table = read_table(path, separator)
    except DataError as error:
        notes += error.problems
        return None
    return List(name, separator, table) if len(set(table.header)) == len(table.header) else None


def _columns(lines: Sequence[str], separator: str) -> int:
    """How many columns most of the first lines of a file have; 0 if they do not agree."""
    try:
        widths = [len(fields) for fields in csv.reader(lines, delimiter=separator, skipinitialspace=True)]
    except csv.Error:
        return 0
    return widths[0] if widths and widths.count(widths[0]) > len(widths) // 2 else 0


def _source(one: List, where: dict[str, tuple[str, ...]]) -> Source:
    folders = PurePosixPath(one.file).parts[:-1]
    plain = next((index for index, folder in enumerate(folders) if "{" in folder), len(folders))
    audio = "/".join(folders[:plain])
    return Source(
        audio=audio or ".", csv=one.path, separator=one.separator, file=one.file[len(audio) + 1 if audio else 0 :],
        labels=one.labels, label_separator=one.label_separator, where=where, group=one.group, fold=one.fold,
        missing="skip" if set(_SEGMENTS) <= set(one.table.header) else "refuse",
    )  # fmt: skip


def _label_names(others: Sequence[List]) -> LabelNames | None:
    """A list that translates the labels of the others, as AudioSet's class_labels_indices.csv."""
    for one in others:
        if {"mid", "display_name"} <= set(one.table.header) and one.separator == ",":
            return LabelNames(csv=one.path, key="mid", name="display_name")
    return None
