"""The training loop of one job: a condition on a fold, from its first step or last checkpoint to its last snapshot.

Files in the job's folder: `snapshot-<cycle>.safetensors` (one per cycle), and those of `trainers.checkpoints`. A job
that was interrupted at any moment continues from the newest intact checkpoint. On a CPU the result is then
bit-identical to that of an uninterrupted run.
"""

import copy
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from features.errors import NotFiniteError
from trainers.ahead import Ahead
from trainers.checkpoints import Checkpoints, snapshot_path
from trainers.clips import ClipBank, ClipSource
from trainers.history import epoch_line
from trainers.losses import FUNCTIONS, smooth
from trainers.lwlrap import lwlrap
from trainers.network import Head, Tagger
from trainers.parallel import Group
from trainers.precision import use_precision
from trainers.predict import predict
from trainers.randomness import seed_of
from trainers.registry import AUGMENTATIONS
from trainers.schedule import cyclic_cosine, steps_per_epoch
from trainers.semi import make_method
from trainers.settings import ResNetSettings, SEResNeXtSettings, TrainSettings
from trainers.streams import Labelled, Pool, Stream
from trainers.sums import LossSums
from trainers.supervisor import Supervisor
from trainers.usage import Usage
from trainers.weights import restore_optimizer, save_snapshot, start_trunk, warm_start

__all__ = ["FoldClips", "TrainJob", "train"]

log = logging.getLogger("sonogrid")


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
    """Everything that one job needs."""

    settings: TrainSettings
    split: str
    """Name of the held-out folds, such as "0" or "0-1"; part of the seed of every draw."""
    classes: int
    curated: FoldClips
    noisy: FoldClips | None = None
    soft_labels: np.ndarray | None = None
    """(N, C) labels of all noisy clips by a teacher."""
    curated_labels: np.ndarray | None = None
    """(N, C) labels by which all curated clips are trained, if these are not `curated.targets`."""
    start_from: Path | None = None
    """Snapshot to start from."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    resident_bytes: int = 0
    """Copy features to the device, subset by subset, as long as all of them take at most this."""
    checkpoint_steps: int = 0
    """Steps between checkpoints within an epoch; 0: only at its end."""
    earlier: Sequence[Path] = ()
    """Folders of earlier attempts, which this one may continue from."""
    unrescued: Sequence[Path] = ()
    """The same for the job without its rescue."""


def train(job: TrainJob, folder: Path, supervisor: Supervisor | None = None, group: Group | None = None) -> bool:
    """Train a job to its end.

    Args:
        job: the work.
        folder: where its files are written; the job continues from what an earlier call left there.
        supervisor: asked whether to stop; if so, the job writes a checkpoint and returns.
        group: the workers that share the job, each of which calls this function with the same job. Only the first
            reads and writes `folder` and asks its supervisor.

    Returns:
        True when the last epoch is done, False when it was stopped before.

    Raises:
        NotFiniteError: a loss, a weight or a score is not finite.
        PeerLostError: another worker of the job was lost.
        StoreError: a file it starts from is missing, damaged or of another network.
        SupersededError: another attempt at the job has started.
    """
    torch.set_num_threads(job.settings.threads)
    training = _Training(job, folder, supervisor or Supervisor(), group)
    with training.ahead:
        return training.go()


class _Training:
    """A job in training."""

    def __init__(self, job: TrainJob, folder: Path, supervisor: Supervisor, group: Group | None = None) -> None:
        self.job, self.folder, self.supervisor, self.group = job, folder, supervisor, group or Group()
        settings = job.settings
        torch.manual_seed(seed_of(settings.seed, f"weights/{job.split}"))
        bands = job.curated.shards.n_mels
        self.network = Tagger(settings.network, job.classes, noisy_head=settings.multitask, bands=bands)
        # A checkpoint replaces all of this, a snapshot to start from all but the numbers that are measured here.
        self.network.fit_normalisation(job.curated.shards, job.curated.train_rows)
        self.network.start_at_shares(job.curated.targets[job.curated.train_rows])
        start = settings.network
        if isinstance(start, ResNetSettings | SEResNeXtSettings) and start.init_from and start.init_sha256:
            start_trunk(Path(start.init_from), start.init_sha256, self.network)
        if job.start_from is not None:
            warm_start(job.start_from, self.network)
        self.group.adapt(self.network)
        # Channels last is the faster layout for 2-d convolutions on both devices.
        self.network.to(job.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = _optimizer(settings, self.network)
        self.steps_per_epoch = steps_per_epoch(len(job.curated.train_rows), settings.batch_size)
        seed = seed_of(settings.seed, f"semi/{job.split}")
        self.method = make_method(settings, self.network, self.steps_per_epoch, seed)
        self.views: list[Stream] = []
        self.streams = self._make_streams()
        self.ahead = Ahead(self._read, job.device, settings.total_epochs * self.steps_per_epoch)
        self.autocast = use_precision(settings.precision, job.device)
        self.checkpoints = Checkpoints(folder, self.steps_per_epoch, settings.epochs)

    def _make_streams(self) -> dict[str, Stream]:
        job, settings = self.job, self.job.settings
        self._room = job.resident_bytes
        curated = self._bank(job.curated)
        labels = job.curated.targets if job.curated_labels is None else job.curated_labels
        pools = {"curated": [self._pool(curated, job.curated.train_rows, _tensor(labels, job.device))]}
        self.valid: list[tuple[Head, ClipBank, FoldClips]] = [("curated", curated, job.curated)]
        if job.noisy is not None:
            noisy = self._bank(job.noisy)
            if settings.multitask:
                rows = np.arange(len(noisy.lengths)) if settings.noisy == "all" else job.noisy.train_rows
                pools["noisy"] = [self._pool(noisy, rows, _tensor(job.noisy.targets, job.device))]
            if settings.validate_noisy:
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
            seed=seed_of(settings.seed, f"stream/{self.job.split}"),
            padding=settings.padding,
            partners=settings.pseudo.partners if name == "pseudo" and settings.pseudo else "balanced",
            view=view,
        )

    def _bank(self, clips: FoldClips) -> ClipBank:
        bank = ClipBank(clips.shards, self.job.device, resident_bytes=self._room)
        self._room -= bank.resident_bytes
        return bank

    @staticmethod
    def _pool(bank: ClipBank, rows: np.ndarray, targets: Tensor) -> Pool:
        return Pool(bank, rows, targets[torch.as_tensor(rows, device=targets.device)])

    def _read(self, step: int) -> tuple[dict[str, Labelled], tuple[Tensor, ...]]:
        """The batches of a step by stream, and the views that the method reads."""
        labelled = {name: stream.batch(step) for name, stream in self.streams.items()}
        return labelled, tuple(view.batch(step)[0] for view in self.views[: self.method.views_at(step)])

    def go(self) -> bool:
        settings, checkpoints = self.job.settings, self.checkpoints
        rescue = settings.rescue.get(self.job.split)
        alike = rescue.after * self.steps_per_epoch if rescue else 0
        earlier = dict.fromkeys(self.job.earlier, math.inf) | dict.fromkeys(self.job.unrescued, float(alike))
        earlier_sums = checkpoints.resume(self.method, self.optimizer, earlier) if self.group.rank == 0 else {}
        if self.group.size > 1:
            earlier_sums = self._start_as_first(earlier_sums)
        usage = Usage(self.job.device)
        while checkpoints.epoch < settings.total_epochs:
            started = time.perf_counter()
            sums = LossSums((*self.streams, *self.method.terms(0)), self.job.device)
            sums.restore(earlier_sums)
            earlier_sums = {}
            first = checkpoints.step
            if not self._train_epoch(sums):
                return False
            train_s = time.perf_counter() - started
            record = {"epoch": checkpoints.epoch, **sums.means(self.steps_per_epoch), **self._validate()}
            record["lr"] = self._lr(checkpoints.step - 1)
            seen = (checkpoints.step - first) * settings.batch_size * (len(self.streams) + len(self.views))
            record["samples_per_s"] = round(seen / train_s, 2)
            record["seconds"] = round(time.perf_counter() - started, 3)
            record["time"] = round(time.time(), 3)
            record |= usage.measure()
            self._finish_epoch(record)
            log.info("%s", epoch_line(record, settings.total_epochs))
            if checkpoints.epoch < settings.total_epochs and self.group.agree(self.supervisor.stop()) != "no":
                return False
        return True

    def _start_as_first(self, sums: dict[str, Tensor]) -> dict[str, Tensor]:
        """All workers continue from what the first one loaded, whatever they see of the files themselves."""
        checkpoints = self.checkpoints
        learnt = {"network": self.method.state_dict(), "optimizer": self.optimizer.state_dict()["state"]}
        own = {**learnt, "sums": sums, "step": checkpoints.step, "history": checkpoints.history}
        state: dict[str, Any] = self.group.from_first(own, self.job.device)
        if self.group.rank > 0:
            self.method.load_state_dict(state["network"])
            restore_optimizer(self.optimizer, state["optimizer"])
            checkpoints.step, checkpoints.history = state["step"], state["history"]
        first_sums: dict[str, Tensor] = state["sums"]
        return first_sums

    def _lr(self, step: int) -> float:
        settings = self.job.settings
        rate = cyclic_cosine(step, settings.epochs * self.steps_per_epoch, settings.lr_max, settings.lr_min)
        rescue = settings.rescue.get(self.job.split)
        lowered = rescue is not None and step >= rescue.after * self.steps_per_epoch
        return rate * rescue.lr_factor if rescue is not None and lowered else rate

    def _train_epoch(self, sums: LossSums) -> bool:
        """Finish one pass over the curated clips; False if it was stopped within it, after writing a checkpoint."""
        settings, checkpoints = self.job.settings, self.checkpoints
        self.method.train()
        while True:
            step = checkpoints.step
            torch.manual_seed(seed_of(settings.seed, f"dropout/{self.job.split}", step))
            for group in self.optimizer.param_groups:
                group["lr"] = self._lr(step)
            self.optimizer.zero_grad(set_to_none=True)
            labelled, views = self.ahead(step)
            with self.autocast:
                batches = self.method.batches(labelled, views, step)
            # Streams go through the trunk one after the other, so that batch norm sees the statistics of each.
            losses: dict[str, Tensor] = {}
            for name, (x, y) in batches.items():
                with self.group.share(len(x)) as share:
                    loss = share.weight * self._loss(name, x[share.rows], y[share.rows], step)
                    loss.backward()  # type: ignore[no-untyped-call]
                losses[name] = loss.detach()
            for name, loss in self.group.add_up(self.network, losses).items():
                sums.add(name, loss, step)
            self.optimizer.step()
            self.method.after_step(step)
            checkpoints.step = step + 1
            self.supervisor.progress(epoch=checkpoints.epoch, step=checkpoints.step)
            in_epoch = checkpoints.step % self.steps_per_epoch
            if in_epoch == 0:
                sums.check(self.network, step, self.steps_per_epoch)
                return True
            leaving = self.group.agree(self.supervisor.stop()) == "now"
            if leaving or (self.job.checkpoint_steps and in_epoch % self.job.checkpoint_steps == 0):
                sums.check(self.network, step, self.steps_per_epoch)
                self._checkpoint(sums.state())
                if leaving:
                    return False

    def _loss(self, name: str, x: Tensor, y: Tensor, step: int) -> Tensor:
        with self.autocast:
            logits = self.network(x, "noisy" if name == "noisy" else "curated")
        if name in ("curated", "noisy"):
            y = smooth(y, self.job.settings.label_smoothing)
        loss, weight = self._terms(step)[name]
        return weight * FUNCTIONS[loss](logits.float(), y, self.network.activation)

    def _terms(self, step: int) -> dict[str, tuple[str, float]]:
        """Name and weight of the loss of each stream."""
        settings = self.job.settings
        terms = {"curated": (settings.loss, 1.0), "noisy": (settings.noisy_loss, settings.noisy_weight)}
        if settings.pseudo is not None:
            terms["pseudo"] = (settings.pseudo.loss, settings.pseudo.weight)
        elif settings.distill is not None:
            terms["pseudo"] = (settings.loss, 1.0)
        return terms | self.method.terms(step)

    def _validate(self) -> dict[str, float]:
        """Loss and lwlrap of whole validation clips: curated ones by the curated head, noisy ones by the noisy head."""
        record: dict[str, float] = {}
        settings = self.job.settings
        network = self.method.evaluated
        pad = 0 if settings.feature_kind != "waveform" else settings.crops[-1] // 2
        for head, bank, clips in self.valid:
            if len(clips.valid_rows) == 0:
                continue  # a fold of a small noisy set may have no clips
            truth = clips.targets[clips.valid_rows]  # (N, C)
            scores = np.zeros((len(truth), self.job.classes), dtype=np.float32)  # (N, C)
            own = slice(self.group.rank, None, self.group.size)
            if len(rows := clips.valid_rows[own]):
                with self.autocast:
                    predictions = predict([network], bank, rows, [pad], heads=[head], padding=settings.padding)
                scores[own] = predictions[0, 0, 0]
            scores = self.group.gather(scores)
            if not np.isfinite(scores).all():
                epoch = self.checkpoints.epoch
                raise NotFiniteError(f"a prediction of epoch {epoch} is not finite; try a lower lr_max", epoch - 1)
            suffix = "" if head == "curated" else "_noisy"
            loss = F.binary_cross_entropy(torch.from_numpy(scores), torch.from_numpy(truth))
            record |= {f"valid_loss{suffix}": float(loss), f"lwlrap{suffix}": lwlrap(truth, scores)}
        return record

    def _for_snapshot(self) -> Tagger:
        """The network, or a copy with the statistics of one pass over unaugmented curated crops (Wu & Johnson 2021).

        The running statistics mix all augmented streams, which differ from whole clean clips.
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
        settings, checkpoints = self.job.settings, self.checkpoints
        cycle, rest = divmod(checkpoints.epoch, settings.epochs)
        if rest == 0 and self.group.rank == 0:
            self.supervisor.before_write()
            about = {"cycle": cycle, "epoch": checkpoints.epoch, "fold": self.job.split, "lwlrap": record["lwlrap"]}
            save_snapshot(snapshot_path(self.folder, cycle), self._for_snapshot(), about)
        checkpoints.history.append(record)
        self._checkpoint({})

    def _checkpoint(self, sums: dict[str, Tensor]) -> None:
        if self.group.rank > 0:
            return
        self.supervisor.before_write()
        self.checkpoints.save(self.method, self.optimizer, sums)
        self.supervisor.after_write()


def _tensor(array: np.ndarray, device: torch.device) -> Tensor:
    return torch.as_tensor(array, dtype=torch.float32, device=device)


def _optimizer(settings: TrainSettings, network: Tagger) -> torch.optim.Optimizer:
    """Adam, or SGD with Nesterov momentum 0.9 (docs/paper.md, Training); AdamW (Loshchilov & Hutter 2019)."""
    if settings.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), lr=settings.lr_max, fused=True)
    if settings.optimizer == "adamw":
        decay = settings.weight_decay
        return torch.optim.AdamW(network.parameters(), lr=settings.lr_max, weight_decay=decay, fused=True)
    return torch.optim.SGD(network.parameters(), lr=settings.lr_max, momentum=0.9, nesterov=True, fused=True)
