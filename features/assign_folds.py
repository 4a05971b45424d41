"""Sets the fold of every clip of a dataset: official or drawn. Groups and copies of a recording stay in one fold."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from features.folds import group_kfold, kfold, official_folds, stratified_kfold
from features.layout import Layout, Part, targets_of
from features.settings import DataSettings
from features.words import count, listed, plural, short

__all__ = ["assign_folds"]


def assign_folds(
    records: Sequence[dict[str, Any]],
    layout: Layout,
    settings: DataSettings,
    group_by: str | None,
    grouped: Collection[str],
) -> tuple[list[str], list[str]]:
    """Set `fold` in the records of curated and noisy clips.

    Args:
        records: rows of the manifest, with `subset`, `clip`, `path`, `labels`, `group` and `sha256`.
        layout: the dataset.
        settings: number of folds, and how they are drawn.
        group_by: the column that groups clips; None: each clip is a group.
        grouped: subsets that have this column.

    Returns:
        Problems, one sentence each, for which no folds can be drawn; and notes.
    """
    problems: list[str] = []
    notes: list[str] = []
    for subset in ("curated", "noisy"):
        if subset in layout.parts:
            members = [record for record in records if record["subset"] == subset]
            csv = layout.parts[subset].csv
            official = {row.clip: row.fold for row in layout.parts[subset].rows if row.fold}
            if official:
                problem, note = _official_folds(members, official, csv, settings)
            else:
                column = group_by if subset in grouped else None
                problem, note = _enough_for_folds(subset, members, csv, settings, column)
                if not problem:
                    _draw_folds(members, layout.classes, settings, subset in grouped)
            problems += problem
            notes += note
    if problems:
        return problems, notes
    notes += _keep_together(records, grouped, layout.parts["curated"])
    return _empty_folds(records, layout, settings), notes + _not_grouped(records, layout, group_by)


def _official_folds(
    members: Sequence[dict[str, Any]], official: Mapping[str, str], csv: Path, settings: DataSettings
) -> tuple[list[str], list[str]]:
    """Set `fold` in the records of a subset to its official folds."""
    if lacking := next((record["clip"] for record in members if record["clip"] not in official), None):
        return [f"{csv} has no fold for {lacking}: fill it in, or remove the fold column from dataset.yaml"], []
    names, k = [official[record["clip"]] for record in members], settings.folds
    if (n := len(set(names))) < k:
        return [
            f"{csv} has {count(n, 'official fold')}, and the grid wants {k}: set data.folds to {n} or fewer, or remove "
            "the fold column from dataset.yaml to draw other folds"
        ], []
    for record, fold in zip(members, official_folds(names, k).tolist(), strict=True):
        record["fold"] = fold
    return [], [f"the {n} official folds of {csv} are put together as {k} folds"] if n > k else []


def _enough_for_folds(
    subset: str, members: Sequence[dict[str, Any]], csv: Path, settings: DataSettings, group_by: str | None
) -> tuple[list[str], list[str]]:
    """A problem if a subset is too small for the folds, and a note if some folds hold none of its clips.

    Every fold must leave something to train on, and every curated fold must hold something to score. A fold without
    noisy clips only means that all of them are trained on.
    """
    k = settings.folds
    n = len({record["group"] for record in members})
    what = f"{count(n, 'group')} of '{group_by}'" if group_by else count(n, "usable clip")
    needed = k if subset == "curated" else 2
    if n < needed:
        return [f"{csv} has {what}, and {k} folds need at least {needed}: add clips or set fewer folds"], []
    if n < k:
        return [], [f"{csv} has {what} for {k} folds: some folds hold none and train on all of them"]
    return [], []


def _draw_folds(members: list[dict[str, Any]], classes: tuple[str, ...], settings: DataSettings, grouped: bool) -> None:
    """Set `fold` in the records of one subset."""
    k = settings.folds
    groups = [record["group"] for record in members]
    if settings.stratify:
        targets = targets_of([record["labels"] for record in members], classes)
        folds = stratified_kfold(targets, k, settings.fold_seed, groups)
    elif grouped:
        folds = group_kfold(groups, k, settings.fold_seed)
    else:
        folds = kfold(len(members), k, settings.fold_seed)
    for record, fold in zip(members, folds.tolist(), strict=True):
        record["fold"] = fold


def _keep_together(records: Sequence[dict[str, Any]], grouped: Collection[str], curated: Part) -> list[str]:
    """Give all clips of one group, and all copies of one recording, the fold of the first of them.

    Folds are drawn for each subset on its own. Curated clips come first: the folds that are scored stay as they are,
    but for copies. Returns a sentence if clips had to leave an official fold.
    """
    above: dict[tuple[str, ...], tuple[str, ...]] = {}

    def top(key: tuple[str, ...]) -> tuple[str, ...]:
        while key in above:
            over = above[key]
            above[key] = above.get(over, over)  # shorter for the next one
            key = over
        return key

    trained = [record for record in records if record["subset"] != "test"]
    keys = [
        ("group", record["group"]) if record["subset"] in grouped else ("clip", record["subset"], record["clip"])
        for record in trained
    ]
    for record, key in zip(trained, keys, strict=True):
        first, second = top(("audio", record["sha256"])), top(key)
        if first != second:
            above[first] = second
    folds: dict[tuple[str, ...], int] = {}
    moved = []
    for record, key in zip(trained, keys, strict=True):
        fold = folds.setdefault(top(key), record["fold"])
        if fold != record["fold"]:
            record["fold"] = fold
            moved.append(record)
    official = [record["path"] for record in moved if record["subset"] == "curated"]
    if not official or not any(row.fold for row in curated.rows):
        return []
    return [
        f"{count(len(official), 'clip')} left {plural(len(official), 'its', 'their')} official fold, where a clip of "
        f"the same recording or group is in another: {listed(official)}"
    ]


def _empty_folds(records: Sequence[dict[str, Any]], layout: Layout, settings: DataSettings) -> list[str]:
    """A problem where groups and copies leave a fold nothing to score, or nothing to train on."""
    found = []
    for subset, needed in (("curated", settings.folds), ("noisy", 2)):
        folds = {record["fold"] for record in records if record["subset"] == subset}
        if folds and len(folds) < needed:
            found.append(
                f"{layout.parts[subset].csv} fills {count(len(folds), 'fold')} of {settings.folds}, as its groups and "
                f"copies of recordings stay together: at least {needed} are needed; remove copies or set fewer folds"
            )
    return found


def _not_grouped(records: Sequence[dict[str, Any]], layout: Layout, group_by: str | None) -> list[str]:
    """A sentence for clips that the group column can't keep out of what scores them."""
    if group_by is None:
        return []
    notes = []
    noisy, test = layout.parts.get("noisy"), layout.parts.get("test")
    if noisy is not None and group_by not in noisy.header:
        notes.append(
            f"{noisy.csv} has no column '{short(group_by)}': its clips are trained on although a group may have others "
            "that are scored; add the column"
        )
    if test is not None and group_by not in test.header:
        notes.append(
            f"{test.csv} has no column '{short(group_by)}': whether a group has clips to train on and test clips can't "
            "be told"
        )
    elif test is not None:
        trained = {record["group"] for record in records if record["subset"] != "test"}
        shared = sorted(trained & {row.columns[group_by].strip() for row in test.rows})
        if shared:
            notes.append(
                f"{count(len(shared), 'group')} of '{short(group_by)}' {plural(len(shared), 'has', 'have')} clips to "
                f"train on and test clips, such as {short(shared[0])}: test scores may be too high"
            )
    return notes
