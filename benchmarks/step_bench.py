"""The loop's training step against a bare one: `python -m benchmarks step`.

The bare loop has its batches ready: it only runs the same network forwards and backwards and updates the weights. So
the ratio is the price of drawing, reading, augmenting, adding up and checking. Medians of CPU seconds on one thread,
loop and bare loop in turn. `python -m benchmarks.step_bench` counts the copies to a GPU in a step of each condition of
grid `paper`, without one.
"""

import logging
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import trainers.transfer
from benchmarks.rows import Row, row_of
from orchestrator.grids.load import load_grid
from trainers.clips import ClipBank, MemoryClips
from trainers.loop import FoldClips, TrainJob, train
from trainers.losses import FUNCTIONS
from trainers.network import Tagger
from trainers.settings import TrainSettings
from trainers.streams import Pool, Stream

ROUNDS, STEPS, CLASSES = 5, 30, 80
CASES: dict[str, dict[str, Any]] = {
    "ResNet-18, width 16, 128 x 64, batch 8, 2 streams": {
        "network": {"kind": "resnet", "depth": 18, "width": 16}, "crop": 128, "batch_size": 8,
    },
    "ResNet-10, width 8, 64 x 64, batch 8, 2 streams": {
        "network": {"kind": "resnet", "depth": 10, "width": 8}, "crop": 64, "batch_size": 8,
    },
}  # fmt: skip
QUICK = "ResNet-10, width 8, 64 x 64, batch 8, 2 streams"
AUGMENT: dict[str, Any] = {"additional_crop": {}, "mixup": {}, "frequency_mask": {}, "gain": {}}


def clips_of(count: int, bands: int = 64) -> FoldClips:
    """Noise of 50 to 400 frames; the last two clips are validated."""
    rng = np.random.default_rng(0)
    arrays = [rng.exponential(size=(int(n), bands)).astype(np.float32) for n in rng.integers(50, 400, count)]
    targets = np.eye(CLASSES, dtype=np.float32)[rng.integers(0, CLASSES, count)]
    return FoldClips(MemoryClips(arrays), targets, np.arange(count - 2), np.arange(count - 2, count))


def loop_s(settings: TrainSettings, clips: FoldClips, epochs: int) -> float:
    """CPU seconds of a training of so many epochs."""
    job = TrainJob(settings.model_copy(update={"epochs": epochs}), "0", CLASSES, clips, noisy=clips)
    with tempfile.TemporaryDirectory() as folder:
        started = time.process_time()
        train(job, Path(folder))
        return time.process_time() - started


def bare_s(settings: TrainSettings, bands: int, steps: int) -> float:
    """CPU seconds of steps on batches that are there."""
    network = Tagger(settings.network, CLASSES, noisy_head=True, bands=bands)
    network.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    x = torch.rand(settings.batch_size, settings.crops[-1], bands)
    y = torch.eye(CLASSES)[: settings.batch_size]
    started = time.process_time()
    for _ in range(steps):
        optimizer.zero_grad(set_to_none=True)
        for head in ("curated", "noisy"):
            loss: Tensor = FUNCTIONS[settings.loss](network(x, head).float(), y, network.activation)
            loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return time.process_time() - started


def step_row(title: str, case: dict[str, Any], rounds: int, steps: int) -> Row:
    """A step of the loop against a bare one.

    A training of two epochs less one of one epoch has an epoch's steps, validation of two clips and a checkpoint.
    """
    settings = TrainSettings.model_validate({**case, "cycles": 1, "multitask": True, "augment": AUGMENT})
    clips = clips_of(steps * settings.batch_size + 2)
    bare, loop = [], []
    for _ in range(rounds + 1):
        bare.append(bare_s(settings, 64, steps) / steps)
        loop.append((loop_s(settings, clips, 2) - loop_s(settings, clips, 1)) / steps)
    return row_of(f"step of {title}", "floor: a bare loop", loop[1:], bare[1:], "CPU s")


def rows(quick: bool) -> list[Row]:
    level, threads = logging.getLogger("sonogrid").level, torch.get_num_threads()
    logging.getLogger("sonogrid").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    try:
        if quick:
            return [step_row("ResNet-10, tiny", CASES[QUICK], 1, 8)]
        return [step_row(title, case, ROUNDS, STEPS) for title, case in CASES.items()]
    finally:
        logging.getLogger("sonogrid").setLevel(level)
        torch.set_num_threads(threads)


def copies(settings: TrainSettings, *, resident: bool) -> tuple[int, float]:
    """Copies to a device that a step makes, and their size in MB, of clips as long as the crop."""
    sent: list[int] = []

    def memory(size: int) -> tuple[Tensor, np.ndarray]:
        sent.append(size)
        return torch.empty(size, dtype=torch.uint8, device="meta"), np.empty(size, np.uint8)

    meta = torch.device("meta")
    mel = settings.feature_kind == "mel"
    array = np.ones((settings.crops[-1], 128), np.float32) if mel else np.ones(settings.crops[-1], np.int16)
    bank = ClipBank(MemoryClips([array] * 2), meta, resident_bytes=1 << 40 if resident else 0)
    pool = Pool(bank, np.arange(2), torch.zeros(2, CLASSES, device=meta))
    kept, trainers.transfer.pinned_memory = trainers.transfer.pinned_memory, memory
    try:
        for name in settings.streams:
            Stream(
                name, [pool, pool] if name == "pseudo" else [pool], crop=settings.crop, seed=0,
                batch_size=settings.batch_size, augmentations=settings.augment, padding=settings.padding,
            ).batch(1)  # fmt: skip
    finally:
        trainers.transfer.pinned_memory = kept
    return len(sent), sum(sent) / 1e6


def main() -> None:
    """Print the copies to a GPU in a step of each condition of grid `paper`, which are counted without one."""
    for name, condition in load_grid("paper").conditions.items():
        found = [copies(condition.train, resident=resident) for resident in (True, False)]
        words = " | ".join(f"{count} of {size:.1f} MB" for count, size in found)
        print(f"copies in a step of {name}, features resident | not: {words}")


if __name__ == "__main__":
    main()
