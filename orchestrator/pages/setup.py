"""Sections: the data, what differs between conditions, how to repeat it, and what was set aside."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from features.manifest import SUBSETS
from features.words import count
from orchestrator.grids.load import settings_of
from orchestrator.grids.recipe import Recipe
from orchestrator.pages.course import Job
from orchestrator.pages.document import Block, Code, Section, Table, Words
from orchestrator.pages.summary import duration
from orchestrator.run.bound import Run

__all__ = ["aside_section", "conditions_section", "data_section", "own_settings", "repeat_section"]

MOST_ASIDE = 200
"""Clips that are listed one by one."""


def data_section(run: Run) -> Section:
    """Sizes of the dataset, and what its check noted."""
    rows = []
    for subset in SUBSETS:
        frame = run.manifest.subset(subset)
        seconds = frame["n_samples"] / frame["sample_rate_hz"]
        if len(frame) == 0:
            continue
        labels = [len(labels) for labels in frame["labels"]]
        rows.append(
            [
                subset,
                f"{len(frame):,}",
                duration(float(seconds.sum())),
                f"{seconds.min():.1f} to {seconds.max():.1f} s",
                "-" if subset == "test" else f"{sum(labels) / len(labels):.2f}",
                f"{frame['group'].nunique():,}",
                ", ".join(f"{rate:,}" for rate in sorted(frame["sample_rate_hz"].unique())[:4]),
            ]
        )
    columns = ["subset", "clips", "length", "clips of", "labels per clip", "groups", "Hz"]
    data = run.recipe.data
    folds = f"{data.folds} folds, drawn with seed {data.fold_seed}"
    folds += f", clips with equal '{data.group_by}' together" if data.group_by else ""
    folds += ", labels balanced" if data.stratify else ""
    blocks: list[Block] = [
        Table(columns, rows),
        Words(f"Folds: {folds}. Content of the dataset: {run.manifest.content_hash()[:16]} (SHA-256).", "note"),
        *(Words(f"Note: {note}", "note") for note in (*run.manifest.notes, *run.notes)),
    ]
    return Section("Data", blocks)


def conditions_section(run: Run) -> Section:
    """What is the same in all conditions is left out; each row is a condition with what is its own."""
    rows = [[name, "; ".join(own) or "the usual settings"] for name, own in own_settings(run.recipe).items()]
    text = "Settings that differ from those of most conditions. 'Repeat it' has the whole grid."
    return Section("Conditions", [Words(text, "note"), Table(["condition", "its own settings"], rows, words=2)])


def own_settings(recipe: Recipe) -> dict[str, list[str]]:
    """For each condition, its settings that differ from those of most conditions, such as 'epochs 20'."""
    flat = {name: settings_of(condition) for name, condition in recipe.conditions.items()}
    keys = dict.fromkeys(key for settings in flat.values() for key in settings)
    usual = {key: Counter(_value(of.get(key)) for of in flat.values()).most_common(1)[0][0] for key in keys}
    return {
        name: [
            f"{key.removeprefix('train.')} {_value(value)}"
            for key, value in settings.items()
            if _value(value) != usual[key]
        ]
        for name, settings in flat.items()
    }


def _value(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value)


def repeat_section(run: Run, jobs: Sequence[Job], command: str) -> Section:
    """The command, the grid with every setting, and the versions that made the results."""
    blocks: list[Block] = [Words("This launch, typed again with the same data, reaches the same results:")]
    if command:
        blocks.append(Code(command))
    else:
        blocks[0] = Words("No command is recorded: the grid was launched from Python, or by an older version.")
    grid = json.dumps(run.recipe.model_dump(mode="json"), indent=1, ensure_ascii=False)
    blocks.append(Code(grid, f"Grid {run.recipe.name} with every setting filled in"))
    versions: dict[str, Counter[str]] = {}
    for job in jobs:
        for package, version in job.mark.versions.items():
            versions.setdefault(package, Counter())[version] += 1
    rows = [[package, _versions(found)] for package, found in versions.items()]
    blocks.append(Table(["package", "version"], rows, "versions that computed the results", words=2))
    return Section("Repeat it", blocks)


def _versions(found: Counter[str]) -> str:
    if len(found) == 1:
        return next(iter(found))
    return ", ".join(f"{version} ({count(jobs, 'job')})" for version, jobs in found.most_common())


def aside_section(skipped: Iterable[str]) -> Section:
    """Clips that were set aside, one sentence each."""
    sentences = list(skipped)
    if not sentences:
        return Section("Set aside", [Words("No clip was set aside.", "note")])
    shown = [[sentence] for sentence in sentences[:MOST_ASIDE]]
    title = count(len(sentences), "clip") + (f", the first {MOST_ASIDE}" if len(sentences) > MOST_ASIDE else "")
    return Section("Set aside", [Table(["why"], shown, title)])
