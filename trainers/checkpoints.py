"""The progress of a training job on disk: its history, its checkpoints, and which of them it continues from.

A job's folder contains `checkpoint.safetensors`, the one before as `checkpoint-previous.safetensors`, and
`history.jsonl` (one line per epoch). A checkpoint also contains the records of all its epochs, so every line of the
history is backed by a checkpoint.
"""

import json
import logging
import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from features.errors import StoreError
from features.files import atomic
from trainers.history import CHECKPOINT, HISTORY, PREVIOUS
from trainers.weights import load_checkpoint, read_about, read_tensors, save_checkpoint

__all__ = ["CHECKPOINT", "PREVIOUS", "Checkpoints", "snapshot_path"]

log = logging.getLogger("sonogrid")


def snapshot_path(folder: Path, cycle: int) -> Path:
    """Where the snapshot of a cycle (1-based) lies."""
    return folder / f"snapshot-{cycle}.safetensors"


class Checkpoints:
    """Steps done, the records of the epochs done, and the checkpoints that keep them."""

    def __init__(self, folder: Path, steps_per_epoch: int, epochs_per_cycle: int) -> None:
        self.folder = folder
        self.steps_per_epoch, self.epochs_per_cycle = steps_per_epoch, epochs_per_cycle
        self.step = 0
        self.history: list[dict[str, Any]] = []

    @property
    def epoch(self) -> int:
        """Whole epochs done."""
        return self.step // self.steps_per_epoch

    @property
    def best(self) -> float:
        """Best lwlrap of all epochs so far."""
        return max((record["lwlrap"] for record in self.history), default=0.0)

    def save(self, network: nn.Module, optimizer: torch.optim.Optimizer, sums: dict[str, Tensor]) -> None:
        """Write a checkpoint, keep the one before, and write the history up to it."""
        path = self.folder / CHECKPOINT
        if path.exists():
            path.replace(self.folder / PREVIOUS)
        about = {"step": self.step, "epoch": self.epoch, "best_lwlrap": self.best, "history": self.history}
        save_checkpoint(path, network, optimizer, about, sums)
        self._write_history()

    def resume(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, earlier: Mapping[Path, float]
    ) -> dict[str, Tensor]:
        """Load the newest intact checkpoint and return the loss sums of its unfinished epoch.

        A damaged one is skipped with a warning; without any the job starts from the beginning.

        Args:
            network: receives the weights.
            optimizer: receives its state.
            earlier: folders of earlier attempts at this job -> number of steps up to which they are the same training.
        """
        sums: dict[str, Tensor] = {}
        for path in self._candidates({self.folder: math.inf, **earlier}):
            try:
                about = read_tensors(path)[1]
                self._take_snapshots(path.parent, about["epoch"] // self.epochs_per_cycle)
            except StoreError as error:
                log.warning("%s; using an older checkpoint, or starting from the beginning", error)
                continue
            # Outside the try: an intact checkpoint that does not fit is an error, as it may have been loaded in part.
            _, sums = load_checkpoint(path, network, optimizer)
            self.step, self.history = int(about["step"]), list(about["history"])
            log.info("continued at epoch %d, step %d", self.epoch, self.step)
            break
        self._write_history()
        return sums

    def _candidates(self, folders: Mapping[Path, float]) -> Iterator[Path]:
        """Readable checkpoints, most steps first, those of this attempt before those of earlier ones."""
        found = []
        for order, (folder, most_steps) in enumerate(folders.items()):
            for path in (folder / CHECKPOINT, folder / PREVIOUS):
                steps = read_about(path).get("step")
                if isinstance(steps, int) and steps <= most_steps:
                    found.append((-steps, order, path))
                elif steps is None and path.exists():
                    log.warning("%s is damaged; using an older checkpoint, or starting from the beginning", path)
        return (path for _, _, path in sorted(found))

    def _take_snapshots(self, folder: Path, cycles: int) -> None:
        """Verify the snapshots of all finished cycles and copy them here.

        Raises:
            StoreError: one is missing or damaged.
        """
        for cycle in range(1, cycles + 1):
            path = snapshot_path(folder, cycle)
            read_tensors(path)
            if folder != self.folder:
                with atomic(snapshot_path(self.folder, cycle)) as temporary:
                    shutil.copyfile(path, temporary)

    def _write_history(self) -> None:
        with atomic(self.folder / HISTORY) as temporary:
            temporary.write_text("".join(json.dumps(record) + "\n" for record in self.history), encoding="utf-8")
