"""`sonogrid init`: look at a folder of sounds, say what is there, and write its dataset.yaml."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.audio import open_audio, without_notes
from features.datasets.described import described_layout
from features.datasets.description import FILE_NAME, Dataset, Source
from features.datasets.guess import class_folders, lists
from features.datasets.known import known_dataset
from features.datasets.tree import walk
from features.errors import DataError, InputError
from features.files import atomic
from features.layout import Layout
from features.words import count, listed

__all__ = ["Initialised", "init"]

_HEAD = """\
# Written by `sonogrid init`. File names are relative to this folder; docs/data.md explains every field.
"""


@dataclass(frozen=True)
class Initialised:
    """What `init` found in a folder."""

    path: Path
    """Of the dataset.yaml."""
    dataset: Dataset
    written: bool
    """False if a dataset.yaml said the same already."""
    found: tuple[str, ...]
    """What is there, one sentence per part of the dataset."""
    notes: tuple[str, ...]
    """Files that are missing, not readable or not listed, and other oddities, one sentence each."""
    problems: tuple[str, ...]
    """Rows that can't be used, one sentence each."""
    clips: Mapping[str, int]
    """Subset -> its clips, in the lists."""

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "path": str(self.path), "written": self.written, "dataset": self.dataset.model_dump(mode="json"),
            "found": list(self.found), "notes": list(self.notes), "problems": list(self.problems),
            "clips": dict(self.clips),
        }  # fmt: skip


def init(root: Path, *, force: bool = False) -> Initialised:
    """Describe a folder of sounds in a dataset.yaml. No audio is copied, moved or changed.

    Args:
        root: the folder.
        force: replace a dataset.yaml that says something else.

    Raises:
        InputError: there is no such folder, or its dataset.yaml says something else.
        DataError: it holds no dataset that can be recognised; nothing is written.
    """
    if not root.is_dir():
        raise InputError(f"{root} is not a folder; name the folder that holds the audio")
    path = root / FILE_NAME
    dataset, notes = _recognise(root)
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise InputError(f"{path} is not a regular file: remove it first")
    kept = path.exists() and _same(path, dataset, force)
    layout = described_layout(root, dataset)
    oddities = [*notes, *_missing(layout), *_unreadable(layout), *layout.notes]
    classes = count(len(layout.classes), "class", "classes")
    found = [f"{root}: {dataset.about}; {classes}: {listed(layout.classes)}"]
    clips = {subset: len(layout.parts[subset].rows) for subset in dataset.parts}
    for subset, sources in dataset.parts.items():
        found += [f"{subset}: {count(clips[subset], 'clip')}, {' + '.join(_in_words(source) for source in sources)}"]
    if not kept:
        with atomic(path) as temporary:
            temporary.write_text(_HEAD + dataset.as_yaml(), encoding="utf-8")
    return Initialised(path, dataset, not kept, tuple(found), tuple(oddities), layout.problems, clips)


def _recognise(root: Path) -> tuple[Dataset, list[str]]:
    if known := known_dataset(root):
        return known
    tree = walk(root)
    if not tree.audio:
        zipped = ": unpack its zip files first" if any(root.glob("*.zip")) else ""
        other = tree.unreadable()
        what = f"only {', '.join(sorted(other))}: convert them to WAV or FLAC" if other else "no audio files"
        raise DataError([f"{root} holds {what}{zipped}"])
    dataset, notes = lists(root, tree)
    if dataset is None:
        dataset = class_folders(tree)
    if dataset is None:
        if tree.links:
            notes.append(f"links to folders are not followed: {listed(tree.links)}")
        raise DataError(
            [
                f"{root} holds {count(len(tree.audio), 'audio file')}, but no list whose column names them and has "
                f"labels beside it, and no folder per class: add one of them, or write a {FILE_NAME} by hand",
                *notes,
            ]
        )
    return dataset, notes


def _same(path: Path, dataset: Dataset, force: bool) -> bool:
    """Whether a dataset.yaml says the same; refuses one that doesn't, unless it may be replaced."""
    try:
        before = Dataset.read(path)
    except DataError as error:
        if force:
            return False
        raise InputError(f"{error}; it was not replaced: correct it, or replace it with --force") from None
    if before.model_dump(exclude={"about"}) == dataset.model_dump(exclude={"about"}):
        return True
    if force:
        return False
    fields = [name for name in Dataset.model_fields if name != "about"]
    differing = [name for name in fields if getattr(before, name) != getattr(dataset, name)]
    raise InputError(
        f"{path} is there already and differs in {listed(differing)} from what is found now: keep it, or replace it "
        "with --force"
    )


def _missing(layout: Layout) -> list[str]:
    """A sentence for each part whose list names files that are not there."""
    sentences = []
    for part in layout.parts.values():
        gone = [row.clip for row in part.rows if not (part.folder / row.clip).exists()]
        if gone:
            sentences.append(
                f"{count(len(gone), 'file')} of {len(part.rows):,} that {part.csv} lists for {part.subset} "
                f"{'is' if len(gone) == 1 else 'are'} missing: {listed(gone)}"
            )
    return sentences


def _unreadable(layout: Layout) -> list[str]:
    """A sentence for each part with files that are there and are no audio, by their headers; `check` reads them all."""

    def is_bad(path: Path) -> bool:
        try:
            with open_audio(path):
                return False
        except DataError:
            return True

    sentences = []
    for part in layout.parts.values():
        there = [row.clip for row in part.rows if (part.folder / row.clip).exists()]
        with without_notes(), ThreadPoolExecutor() as pool:
            flags = pool.map(is_bad, (part.folder / clip for clip in there))
            bad = [clip for clip, flag in zip(there, flags, strict=True) if flag]
        if bad:
            sentences.append(
                f"{count(len(bad), 'file')} of {len(part.rows):,} for {part.subset} cannot be read: {listed(bad)} "
                "('sonogrid check' says why)"
            )
    return sentences


def _in_words(source: Source) -> str:
    """What `init` says about one source."""
    if source.csv is None:
        return f"a folder per class in {source.audio}" if source.audio != "." else "a folder per class"
    words = [source.csv]
    if source.where:
        words.append("rows with " + " and ".join(f"{column} {' or '.join(of)}" for column, of in source.where.items()))
    if isinstance(source.labels, tuple):
        words.append(f"one column per class: {listed(source.labels)}")
    elif source.labels is not None:
        several = f", several separated by '{source.label_separator}'" if source.label_separator else ""
        words.append(f"labels in column {source.labels}{several}")
    if source.group is not None:
        words.append(f"grouped by {source.group}")
    if source.fold is not None:
        words.append(f"official folds in {source.fold}")
    return "; ".join(words)
