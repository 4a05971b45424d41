"""The manifest: every clip of a dataset, checked, with its labels, checksum, group and fold.

All data enters sonogrid through `build_manifest`; later reads compare checksums and check nothing else.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.assign_folds import assign_folds
from features.datasets.find import find_layout
from features.errors import DataError, StoreError
from features.files import atomic, hash_of, read_json, write_json
from features.layout import Layout, Part, Row, targets_of
from features.probes import Probes
from features.relabel import Relabel
from features.settings import DataSettings
from features.words import count, listed, nearest, plural, short

__all__ = ["SUBSETS", "Manifest", "Subset", "build_manifest"]

Subset = Literal["curated", "noisy", "test"]
SUBSETS: tuple[Subset, ...] = ("curated", "noisy", "test")
"""All parts of a dataset, in the order of the manifest."""

_SCHEMA = pa.schema(
    [
        ("clip", pa.string()),
        ("subset", pa.string()),
        ("path", pa.string()),
        ("labels", pa.list_(pa.string())),
        ("n_samples", pa.int64()),
        ("sample_rate_hz", pa.int64()),
        ("channels", pa.int64()),
        ("sha256", pa.string()),
        ("group", pa.string()),
        ("fold", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Manifest:
    """All clips of a dataset; curated and noisy ones in fname order, test ones in their CSV's order."""

    clips: pd.DataFrame
    """One row per clip: clip (fname), subset ('curated', 'noisy', 'test'), path (posix, below the root), labels (list
    of str, empty for test), n_samples, sample_rate_hz, channels, sha256, group, fold (-1 for test)."""
    classes: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    """One sentence per clip that was set aside."""
    notes: tuple[str, ...] = ()

    def subset(self, name: str) -> pd.DataFrame:
        """The clips of one subset, in manifest order, with a fresh index."""
        return self.clips[self.clips["subset"] == name].reset_index(drop=True)

    def targets(self, name: str) -> np.ndarray:
        """Labels of one subset as float32 (clips, classes), 1 where a clip has the label."""
        return targets_of(self.subset(name)["labels"].tolist(), self.classes)

    def content_hash(self) -> str:
        """SHA-256 of what training can see: clips, labels, classes, audio, groups and folds, but no paths."""
        columns = ["subset", "clip", "labels", "sha256", "group", "fold"]
        return hash_of([self.classes, [self.clips[column].tolist() for column in columns]])

    def full_hash(self) -> str:
        """SHA-256 of the content, the clips that were set aside and the notes: of all that a reader is shown."""
        content = self.content_hash()
        return hash_of([content, self.skipped, self.notes]) if self.skipped or self.notes else content

    def changes(self, before: "Manifest", subset: str) -> str:
        """Differences of a subset from an earlier manifest, in words; empty if there are none."""
        if self.classes != before.classes:
            added = [name for name in self.classes if name not in before.classes]
            gone = [name for name in before.classes if name not in self.classes]
            kinds = {"new": added, "gone": gone} if added or gone else {"in another order": self.classes}
            return "classes: " + ", ".join(f"{len(some)} {what} ({some[0]})" for what, some in kinds.items() if some)
        old, new = (m.subset(subset).set_index("clip") for m in (before, self))
        both = new.index.intersection(old.index)
        old_labels, new_labels = (frame.loc[both, "labels"].map(", ".join) for frame in (old, new))
        edited = both[old_labels != new_labels]
        found = {
            "new": new.index.difference(old.index),
            "gone": old.index.difference(new.index),
            "with other audio": both[old.loc[both, "sha256"] != new.loc[both, "sha256"]],
            "in another fold": both[old.loc[both, "fold"] != new.loc[both, "fold"]],
        }
        words = [f"{len(clips)} {what} ({clips[0]})" for what, clips in found.items() if len(clips)]
        if len(edited):
            clip = edited[0]
            words.insert(0, f"{len(edited)} with other labels ({clip}: '{old_labels[clip]}' -> '{new_labels[clip]}')")
        return f"{subset} clips: {', '.join(words)}" if words else ""

    def write(self, folder: Path) -> list[Path]:
        """Write `clips.parquet` and `manifest.json` into a folder, and return their paths."""
        with atomic(folder / "clips.parquet") as temporary:
            pq.write_table(pa.Table.from_pandas(self.clips, _SCHEMA, preserve_index=False), temporary)
        write_json(folder / "manifest.json", {"classes": self.classes, "skipped": self.skipped, "notes": self.notes})
        return [folder / "clips.parquet", folder / "manifest.json"]

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Read what `write` wrote.

        Raises:
            StoreError: a file is missing or damaged.
        """
        path = folder / "clips.parquet"
        try:
            table = pq.read_table(path)
        except FileNotFoundError:
            raise StoreError(f"{path} is missing") from None
        except (OSError, pa.ArrowException) as error:
            raise StoreError(f"{path} is damaged: {error}") from None
        if not table.schema.equals(_SCHEMA):
            raise StoreError(f"{path} is not a manifest: its columns are {', '.join(table.column_names)}")
        if any(column.null_count for column in table.columns):
            raise StoreError(f"{path} is damaged: it has empty cells")
        words = read_json(folder / "manifest.json")
        lists = {name: words.get(name) if isinstance(words, dict) else None for name in ("classes", "skipped", "notes")}
        for name, items in lists.items():
            if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
                raise StoreError(f"{folder / 'manifest.json'} is damaged: it lacks the list '{name}'")
        frame = _frame(table)
        if not {label for labels in frame["labels"] for label in labels} <= set(lists["classes"] or ()):
            raise StoreError(
                f"{path} is damaged: it has labels that are not in the classes of {folder / 'manifest.json'}"
            )
        return cls(frame, **{name: tuple(items or ()) for name, items in lists.items()})


def build_manifest(
    root: Path,
    settings: DataSettings,
    *,
    skip_bad: bool = False,
    cache: Path | None = None,
    relabel: Relabel | None = None,
) -> Manifest:
    """Read and check a whole dataset folder and draw its folds.

    Args:
        root: the dataset folder, in one of the layouts of `features.datasets`.
        settings: folds and groups.
        skip_bad: set clips with a problem aside, listing them in `Manifest.skipped`, instead of stopping.
        cache: a JSON file that remembers checked files by path, size, times and inode, so that the next check is
            fast.
        relabel: labels that replace those of the lists.

    Returns:
        The manifest.

    Raises:
        DataError: every problem, one sentence each; with `skip_bad`, only problems of the dataset as a whole.
    """
    layout = find_layout(root)
    changed = layout if relabel is None else relabel.apply(layout)
    group_by = settings.group_by or layout.group_by
    column_problems, group_columns = _group_columns(layout.parts, group_by)
    if column_problems:
        raise DataError([*column_problems, *layout.problems])

    problems = list(layout.problems)
    records: list[dict[str, Any]] = []
    probes = Probes(root, cache)
    for subset, part in layout.parts.items():
        rows = part.rows if subset == "test" else sorted(part.rows, key=lambda row: row.clip)
        good, bad = _records(part, rows, group_columns.get(subset), probes)
        records += good
        problems += bad
    if problems and not skip_bad:
        probes.save(new_folder=False)
        raise DataError(problems)
    probes.save()

    notes = [*changed.notes, *_rare_classes(records, layout), *_same_audio(records), *_above_full_scale(records)]
    fold_problems, fold_notes = assign_folds(records, layout, settings, group_by, set(group_columns))
    if fold_problems:
        raise DataError(fold_problems)
    notes += fold_notes
    if changed is not layout:  # after the folds are drawn, which the labels balance: no clip changes its fold
        records = _relabelled(records, changed)
    table = pa.Table.from_pylist(records, _SCHEMA)
    return Manifest(_frame(table), layout.classes, tuple(problems), tuple(notes))


def _relabelled(records: Sequence[dict[str, Any]], layout: Layout) -> list[dict[str, Any]]:
    """Manifest rows with the labels of a layout, without clips that it leaves out."""
    labels = {(subset, row.clip): list(row.labels) for subset, part in layout.parts.items() for row in part.rows}
    found = [record for record in records if (record["subset"], record["clip"]) in labels]
    return [
        record if record["subset"] == "test" else {**record, "labels": labels[record["subset"], record["clip"]]}
        for record in found
    ]


def _group_columns(parts: Mapping[str, Part], group_by: str | None) -> tuple[list[str], dict[str, str]]:
    """Which subsets have the group column; curated must, as its folds are the ones that are scored."""
    if group_by is None:
        return [], {}
    header = parts["curated"].header
    if group_by not in header:
        # A column of files or labels is no group, however much its name looks like the one that was wanted.
        others = [name for name in header if name not in ("fname", "labels")]
        near = nearest(group_by, others)
        hint = f"did you mean '{near}'? " if near else f"it has {listed(header, most=12)}; " if header else ""
        return [
            f"{parts['curated'].csv} has no column '{short(group_by)}' to group clips by: {hint}add the column, "
            "group by another one, or draw folds clip by clip with --set data.group_by=null"
        ], {}
    return [], {name: group_by for name in SUBSETS if name in parts and group_by in parts[name].header}


def _records(
    part: Part, rows: Sequence[Row], group_column: str | None, probes: Probes
) -> tuple[list[dict[str, Any]], list[str]]:
    """Manifest rows of the usable clips of a part, and the problems of the others."""
    records: list[dict[str, Any]] = []
    problems: list[str] = []
    folder = part.folder.relative_to(probes.root)
    names = [(folder / row.clip).as_posix() for row in rows]
    for row, name, info in zip(rows, names, probes.probe(names), strict=True):
        if isinstance(info, DataError):
            problems += [_with_source(problem, part.csv) for problem in info.problems]
            continue
        group = row.columns[group_column].strip() if group_column else row.clip
        if not group and part.subset == "test":
            group = row.clip
        if not group:
            problems.append(f"{part.csv} has no '{group_column}' for {row.clip}: fill it in or remove the row")
            continue
        records.append(
            {
                "clip": row.clip,
                "subset": part.subset,
                "path": name,
                "labels": [] if part.subset == "test" else list(row.labels),
                "group": group,
                "fold": -1,
                **vars(info),
            }
        )
    return records, problems


def _with_source(problem: str, csv: Path) -> str:
    """A problem of an audio file, with the list that has it; a folder of clips has no rows to remove."""
    return problem.replace("remove its row", "remove it") if csv.is_dir() else f"{problem} (listed in {csv})"


def _rare_classes(records: Sequence[dict[str, Any]], layout: Layout) -> list[str]:
    """A sentence for the classes without a curated clip, and one for those with a single one."""
    counts = Counter(label for record in records if record["subset"] == "curated" for label in record["labels"])
    csv = layout.parts["curated"].csv
    notes = []
    if missing := [name for name in layout.classes if not counts[name]]:
        notes.append(f"{csv} has {count(len(missing), 'class', 'classes')} without a usable clip: {listed(missing)}")
    if rare := [name for name in layout.classes if counts[name] == 1]:
        notes.append(
            f"{csv} has {count(len(rare), 'class', 'classes')} with a single usable clip, {listed(rare)}: "
            "the fold that scores it cannot train on it; add clips"
        )
    return notes


def _same_audio(records: Sequence[dict[str, Any]]) -> list[str]:
    """A sentence where clips hold the same bytes under several names, and another where one of them is a test clip."""
    copies = defaultdict(list)
    for record in records:
        copies[record["sha256"]].append(record)
    twins = [found for found in copies.values() if len(found) > 1]
    scored = [found for found in twins if {"test"} < {record["subset"] for record in found}]
    notes = []
    for some, so in (
        ([found for found in twins if found not in scored], "one fold has all copies; keep one"),
        (scored, "scores are too high where one copy is trained on and another is scored; keep one copy"),
    ):
        if some:
            what = f"{count(len(some), 'recording')} {plural(len(some), 'is', 'are')}"
            names = " = ".join(record["path"] for record in some[0][:3])
            notes.append(f"{what} in the dataset under several names, such as {names}: {so}")
    return notes


def _above_full_scale(records: Sequence[dict[str, Any]]) -> list[str]:
    """A sentence where the numbers of floating-point files exceed full scale, which `read_mono` undoes."""
    loud = [record for record in records if record["peak"] > 1]
    if not loud:
        return []
    return [
        f"{count(len(loud), 'file')} {plural(len(loud), 'exceeds', 'exceed')} full scale, such as {loud[0]['path']} "
        f"with samples of up to {loud[0]['peak']:.3g}: each is scaled down to full scale"
    ]


def _frame(table: pa.Table) -> pd.DataFrame:
    """A table as a frame with labels as plain lists; one way for built and read manifests, so that both are equal."""
    frame: pd.DataFrame = table.to_pandas()
    frame["labels"] = [list(labels) for labels in table.column("labels").to_pylist()]
    return frame
