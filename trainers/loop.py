"""The training loop of one job: a condition on a fold, from its first step or last checkpoint to its last snapshot.

Files in the job's folder: `history.jsonl` (a line an epoch), `checkpoint.safetensors` (the last epoch),
`snapshot-<cycle>.safetensors` (one a cycle). Interrupted at any moment and called again, it goes on at the last
checkpoint and gives, on a CPU, the same bits as a run that was left alone.
"""

import copy
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from features.errors import JobError
from features.files import atomic
from trainers.augment import AUGMENTATIONS
from trainers.clips import ClipBank, ClipSource
from trainers.losses import LOSSES
from trainers.lwlrap import lwlrap
from trainers.network import Head, Tagger
from trainers.predict import predict
from trainers.randomness import seed_of
from trainers.schedule import cyclic_cosine
from trainers.semi import make_method
from trainers.settings import TrainSettings
from trainers.streams import Pool, Stream
from trainers.weights import load_checkpoint, save_checkpoint, save_snapshot, warm_start

__all__ = ["FoldClips", "TrainJob", "read_history", "snapshot_path", "train"]


@dataclass(frozen=True)
class FoldClips:
    """The clips of one subset, split for one fold."""

    shards: ClipSource
    targets: np.ndarray
    """(N, C) labels of all clips of the shard set."""
    train_rows: np.ndarray
    valid_rows: np.ndarray


@dataclass(frozen=True)
class TrainJob:
    """All that one job needs."""

    settings: TrainSettings
    fold: str | int
    """What is held out, in a word; enters every draw."""
    classes: int
    curated: FoldClips
    noisy: FoldClips | None = None
    soft_labels: np.ndarray | None = None
    """(N, C) soft pseudo labels of all noisy clips."""
    start_from: Path | None = None
    """Snapshot to start from."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    resident_bytes: int = 0
    """Copy the features of a subset to the device if they take at most this."""


def snapshot_path(folder: Path, cycle: int) -> Path:
    """Where the snapshot of a cycle (1-based) lies."""
    return folder / f"snapshot-{cycle}.safetensors"


def read_history(folder: Path) -> list[dict[str, Any]]:
    """The epoch records of a job so far; an unfinished last line is left out."""
    path = folder / "history.jsonl"
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def train(job: TrainJob, folder: Path, should_stop: Callable[[], bool] = lambda: False) -> bool:
    """Train a job to its end.

    Args:
        job: the work.
        folder: where its files are written; what an earlier call left there is continued.
        should_stop: asked after each epoch; if true, the job returns with its checkpoint written.

    Returns:
        True when the last epoch is done, False when it was stopped before.

    Raises:
        JobError: a loss is not finite.
        StoreError: a file it starts from is missing, damaged or foreign.
    """
    torch.set_num_threads(job.settings.threads)
    return _Run(job, folder).go(should_stop)


class _Run:
    """State of a running job."""

    def __init__(self, job: TrainJob, folder: Path) -> None:
        self.job, self.folder = job, folder
        settings = job.settings
        torch.manual_seed(seed_of(settings.seed, f"weights/{job.fold}"))
        self.network = Tagger(settings.network, job.classes, noisy_head=settings.multitask)
        # What a snapshot or a checkpoint carries replaces it.
        self.network.fit_normalisation(job.curated.shards, job.curated.train_rows)
        if job.start_from is not None:
            warm_start(job.start_from, self.network)
        cuda = job.device.type == "cuda"
        # Channels last is the faster layout for 2-d convolutions on both devices.
        self.network.to(job.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = _optimizer(settings, self.network)
        self.steps_per_epoch = math.ceil(len(job.curated.train_rows) / settings.batch_size)
        seed = seed_of(settings.seed, f"semi/{job.fold}")
        self.method = make_method(settings, self.network, self.steps_per_epoch, seed)
        self.views: list[Stream] = []
        self.streams = self._make_streams()
        self.autocast = torch.autocast(job.device.type, dtype=torch.bfloat16, enabled=cuda)
        self.epoch, self.best = 0, 0.0

    def _make_streams(self) -> dict[str, Stream]:
        job, settings = self.job, self.job.settings
        curated = self._bank(job.curated)
        targets = {"curated": _tensor(job.curated.targets, job.device)}
        pools = {"curated": [self._pool(curated, job.curated.train_rows, targets["curated"])]}
        self.valid: list[tuple[Head, ClipBank, FoldClips]] = [("curated", curated, job.curated)]
        if job.noisy is not None:
            noisy = self._bank(job.noisy)
            if settings.multitask:
                pools["noisy"] = [self._pool(noisy, job.noisy.train_rows, _tensor(job.noisy.targets, job.device))]
                self.valid.append(("noisy", noisy, job.noisy))
            if job.soft_labels is not None:
                soft = self._pool(noisy, job.noisy.train_rows, _tensor(job.soft_labels, job.device))
                pools["pseudo"] = [*pools["curated"], soft]
            no_labels = torch.empty(len(job.noisy.targets), 0, device=job.device)
            unlabelled = [self._pool(noisy, job.noisy.train_rows, no_labels)]
            self.views = [
                self._stream("unlabelled", unlabelled, mixed=False, view=view) for view in range(self.method.views)
            ]
        return {
            name: self._stream(name, pool, mixed=not (name == "curated" and self.method.mixes_curated))
            for name, pool in pools.items()
        }

    def _stream(self, name: str, pools: list[Pool], *, mixed: bool, view: int = 0) -> Stream:
        settings = self.job.settings
        return Stream(
            name,
            pools,
            crop=settings.crop,
            batch_size=settings.batch_size,
            augmentations={
                name: parameters
                for name, parameters in settings.augment.items()
                if mixed or AUGMENTATIONS[name].stage != "mix"
            },
            seed=seed_of(settings.seed, f"stream/{self.job.fold}"),
            padding=settings.padding,
            view=view,
        )

    def _bank(self, clips: FoldClips) -> ClipBank:
        return ClipBank(clips.shards, self.job.device, resident_bytes=self.job.resident_bytes)

    @staticmethod
    def _pool(bank: ClipBank, rows: np.ndarray, targets: Tensor) -> Pool:
        return Pool(bank, rows, targets[torch.as_tensor(rows, device=targets.device)])

    def go(self, should_stop: Callable[[], bool]) -> bool:
        settings = self.job.settings
        self._continue()
        while self.epoch < settings.total_epochs:
            started = time.perf_counter()
            losses = self._train_epoch()
            train_s = time.perf_counter() - started
            record = {"epoch": self.epoch + 1, **losses, **self._validate()}
            record["lr"] = self._lr((self.epoch + 1) * self.steps_per_epoch - 1)
            seen = self.steps_per_epoch * settings.batch_size * (len(self.streams) + len(self.views))
            record["samples_per_s"] = round(seen / train_s, 2)
            record["seconds"] = round(time.perf_counter() - started, 3)
            record["time"] = round(time.time(), 3)
            self._finish_epoch(record)
            if self.epoch < settings.total_epochs and should_stop():
                return False
        return True

    def _continue(self) -> None:
        """Take up the last checkpoint, and drop history lines that were written after it."""
        path = self.folder / "checkpoint.safetensors"
        if path.exists():
            progress = load_checkpoint(path, self.method, self.optimizer)
            self.epoch, self.best = int(progress["epoch"]), float(progress["best_lwlrap"])
        kept = read_history(self.folder)[: self.epoch]
        with atomic(self.folder / "history.jsonl") as temporary:
            temporary.write_text("".join(json.dumps(record) + "\n" for record in kept), encoding="utf-8")

    def _lr(self, step: int) -> float:
        settings = self.job.settings
        return cyclic_cosine(step, settings.epochs * self.steps_per_epoch, settings.lr_max, settings.lr_min)

    def _train_epoch(self) -> dict[str, float]:
        """One pass over the curated clips; gives the mean loss of each stream."""
        settings = self.job.settings
        self.method.train()
        totals = {name: torch.zeros((), device=self.job.device) for name in (*self.streams, *self.method.terms(0))}
        for step in range(self.epoch * self.steps_per_epoch, (self.epoch + 1) * self.steps_per_epoch):
            torch.manual_seed(seed_of(settings.seed, f"dropout/{self.job.fold}", step))
            for group in self.optimizer.param_groups:
                group["lr"] = self._lr(step)
            self.optimizer.zero_grad(set_to_none=True)
            labelled = {name: stream.batch(step) for name, stream in self.streams.items()}
            views = (view.batch(step)[0] for view in self.views)
            with self.autocast:
                batches = self.method.batches(labelled, views, step)
            # Streams go through the trunk one after the other: batch norm sees each stream's own statistics.
            for name, (x, y) in batches.items():
                loss = self._loss(name, x, y, step)
                loss.backward()  # type: ignore[no-untyped-call]
                totals[name] += loss.detach()
            self.optimizer.step()
            self.method.after_step(step)
        means = {f"loss_{name}": float(total) / self.steps_per_epoch for name, total in totals.items()}
        for name, value in means.items():
            if not math.isfinite(value):
                raise JobError(f"{name} became {value} in epoch {self.epoch + 1}; try a lower lr_max")
        return means

    def _loss(self, name: str, x: Tensor, y: Tensor, step: int) -> Tensor:
        with self.autocast:
            logits = self.network(x, "noisy" if name == "noisy" else "curated")
        loss, weight = self._terms(step)[name]
        return weight * LOSSES[loss](logits.float(), y, self.network.activation)

    def _terms(self, step: int) -> dict[str, tuple[str, float]]:
        """Name of the loss and its weight, for each kind of batch."""
        settings = self.job.settings
        terms = {"curated": (settings.loss, 1.0), "noisy": (settings.noisy_loss, 1.0)}
        if settings.pseudo is not None:
            terms["pseudo"] = (settings.pseudo.loss, settings.pseudo.weight)
        return terms | self.method.terms(step)

    def _validate(self) -> dict[str, float]:
        """Loss and lwlrap of whole validation clips: curated ones by the curated head, noisy ones by the noisy head."""
        record: dict[str, float] = {}
        settings = self.job.settings
        network = self.method.evaluated
        pad = 0 if settings.feature_kind == "mel" else settings.crops[-1] // 2
        for head, bank, clips in self.valid:
            if len(clips.valid_rows) == 0:
                continue  # a small noisy set may leave a fold without clips
            truth = clips.targets[clips.valid_rows]  # (N, C)
            with self.autocast:
                predictions = predict([network], bank, clips.valid_rows, [pad], heads=[head], padding=settings.padding)
            scores = predictions[0, 0, 0]  # (N, C)
            if not np.isfinite(scores).all():
                raise JobError(f"a prediction of epoch {self.epoch + 1} is not finite; try a lower lr_max")
            suffix = "" if head == "curated" else "_noisy"
            loss = F.binary_cross_entropy(torch.from_numpy(scores), torch.from_numpy(truth))
            record |= {f"valid_loss{suffix}": float(loss), f"lwlrap{suffix}": lwlrap(truth, scores)}
        return record

    def _for_snapshot(self) -> Tagger:
        """The network, or a copy with statistics of one pass over unaugmented curated crops (Wu & Johnson 2021).

        The running statistics mix all streams as they were augmented; whole clean clips look different.
        """
        network = self.method.evaluated
        if not self.job.settings.precise_bn:
            return network
        network = copy.deepcopy(network).train()
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.reset_running_stats()
                module.momentum = None  # the plain mean over all batches
        curated = self.streams["curated"]
        plain = Stream(
            "precise_bn", curated.pools, crop=curated.crop, batch_size=curated.batch_size, augmentations={},
            seed=curated.seed, padding=curated.padding,
        )  # fmt: skip
        with torch.no_grad(), self.autocast:
            for step in range(self.steps_per_epoch):
                network(plain.batch(step)[0])
        return network

    def _finish_epoch(self, record: dict[str, float]) -> None:
        settings = self.job.settings
        self.epoch += 1
        self.best = max(self.best, record["lwlrap"])
        cycle, rest = divmod(self.epoch, settings.epochs)
        if rest == 0:
            about = {"cycle": cycle, "epoch": self.epoch, "fold": self.job.fold, "lwlrap": record["lwlrap"]}
            save_snapshot(snapshot_path(self.folder, cycle), self._for_snapshot(), about)
        # The history goes first: a kill between the two repeats the epoch and rewrites its line, never loses it.
        with (self.folder / "history.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        progress = {"epoch": self.epoch, "best_lwlrap": self.best}
        save_checkpoint(self.folder / "checkpoint.safetensors", self.method, self.optimizer, progress)


def _tensor(array: np.ndarray, device: torch.device) -> Tensor:
    return torch.as_tensor(array, dtype=torch.float32, device=device)


def _optimizer(settings: TrainSettings, network: Tagger) -> torch.optim.Optimizer:
    """Adam, or SGD with Nesterov momentum 0.9 (recipe: Training)."""
    if settings.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), lr=settings.lr_max, fused=True)
    return torch.optim.SGD(network.parameters(), lr=settings.lr_max, momentum=0.9, nesterov=True, fused=True)
