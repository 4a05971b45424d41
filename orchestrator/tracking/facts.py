"""What a run in MLflow says about itself besides its scores: a description, its dataset, its cost."""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from features.manifest import SUBSETS
from features.words import count
from orchestrator.pages.setup import own_settings
from orchestrator.run.bound import Run
from orchestrator.run.record import read_run_json
from orchestrator.store.marks import DoneMark
from orchestrator.store.node import Node

__all__ = ["Facts", "best_of", "cost_of", "cost_of_all"]

DIGEST = 12
"""Characters of a dataset's hash, as many as a column of MLflow's table shows."""


class Facts:
    """Descriptions of the runs of a grid, in Markdown, and its dataset."""

    def __init__(self, run: Run) -> None:
        self.run = run

    @cached_property
    def dataset(self) -> tuple[str, str, str, str]:
        """Name, digest, source and profile, as `Runs.dataset` takes them."""
        manifest = self.run.manifest
        profile: dict[str, Any] = {}
        for subset in SUBSETS:
            frame = manifest.subset(subset)
            if len(frame):
                seconds = float((frame["n_samples"] / frame["sample_rate_hz"]).sum())
                profile[f"{subset}_clips"] = len(frame)
                profile[f"{subset}_minutes"] = round(seconds / 60, 2)
        profile |= {"folds": self.run.recipe.data.folds, "n_classes": len(manifest.classes)}
        profile["classes"] = list(manifest.classes)
        name, digest = self.run.data_root.name, manifest.content_hash()[:DIGEST]
        return name, digest, str(self.run.data_root), json.dumps(profile)

    def tags(self) -> dict[str, str]:
        """Tags of every run: what is shown as its source, and the dataset, by which the table is filtered."""
        return {"mlflow.source.name": "sonogrid", "mlflow.source.type": "JOB", "sonogrid.data": self.dataset[1]}

    def of_condition(self, name: str) -> str:
        """The description of a condition."""
        folds = count(self.run.recipe.data.folds, "fold")
        own = "; ".join(self._own[name]) or "those of most conditions"
        return (
            f"Condition **{name}** of grid {self.run.recipe.name}: a training for each of {folds}, scored on clips of "
            f"the fold that it held out.\n\nSettings of its own: {own}.\n\n{self._common}"
        )

    def of_fold(self, name: str, node: Node) -> str:
        """The description of a training job."""
        later = f" It is round {node.round}, which learns from the labels of the round before." if node.round else ""
        return (
            f"Fold {node.split} of condition **{name}** of grid {self.run.recipe.name}: trained on the other folds, "
            f"scored on this one after each epoch.{later}\n\n{self._common}"
        )

    def of_blend(self) -> str:
        """The description of the blend."""
        of = ", ".join(self.run.recipe.blended)
        return (
            f"The **blend** of grid {self.run.recipe.name}: a weighted mean of the scores of {of}. "
            "`oof_lwlrap_nested` is its clean score: the weights never saw the clips that it is scored on. "
            f"The artifact `report` explains all results.\n\n{self._common}"
        )

    @cached_property
    def _own(self) -> dict[str, list[str]]:
        return own_settings(self.run.recipe)

    @cached_property
    def _common(self) -> str:
        manifest = self.run.manifest
        sizes = [f"{len(manifest.subset(subset)):,} {subset}" for subset in SUBSETS if len(manifest.subset(subset))]
        classes = count(len(manifest.classes), "class", "classes")
        data = f"Dataset `{self.run.data_root}`: {', '.join(sizes)} clips, {classes}."
        typed = str((read_run_json(self.run.folder) or {}).get("asked", {}).get("command", ""))
        made = f"\n\nLaunched as:\n\n```\n{typed}\n```" if typed else ""
        return f"{data}{made}"


def cost_of(mark: DoneMark) -> tuple[dict[str, str], dict[str, float]]:
    """Tags and metrics of a finished job: where it ran, what it took. MLflow shows `system/` under System metrics."""
    tags = {f"sonogrid.version.{package}": version for package, version in mark.versions.items()}
    tags |= {"sonogrid.host": mark.host, "sonogrid.device": mark.device}
    return {name: text for name, text in tags.items() if text}, _figures([mark])


def cost_of_all(marks: Sequence[DoneMark]) -> tuple[dict[str, str], dict[str, float]]:
    """The same of a condition, over its training jobs: seconds are summed, of memory the largest is taken."""
    tags = {
        "sonogrid.host": ", ".join(sorted({mark.host for mark in marks})),
        "sonogrid.device": ", ".join(sorted({mark.device for mark in marks})),
    }
    return {name: text for name, text in tags.items() if text}, _figures(marks)


def _figures(marks: Sequence[DoneMark]) -> dict[str, float]:
    return {
        "system/wall_seconds": sum(mark.seconds for mark in marks),
        "system/device_seconds": sum(mark.seconds * mark.workers for mark in marks),
        "system/peak_memory_mb": max(mark.peak_mb for mark in marks),
    }


def best_of(history: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Metrics of a finished training's best epoch: `lwlrap` itself shows the last one."""
    best = max(history, key=lambda record: float(record["lwlrap"]), default=None)
    return {} if best is None else {"best_lwlrap": float(best["lwlrap"]), "best_epoch": float(best["epoch"])}
