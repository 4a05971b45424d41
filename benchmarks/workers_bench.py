"""Cost and gain of sharing a training job among gloo workers on this machine: `python -m benchmarks.workers_bench`.

A small version of condition A of the grid `paper` runs on 1, 2 and 4 workers of one thread each, in turn, for several
rounds. The figure is samples per second of the best epoch, which excludes the start of the processes. More workers than
cores show only the cost.
"""

import multiprocessing
import os
import tempfile
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from orchestrator.grids.load import load_grid
from trainers.clips import MemoryClips
from trainers.history import read_history
from trainers.loop import FoldClips, TrainJob, train
from trainers.parallel import Workers
from trainers.settings import ResNetSettings

SIZES = (1, 2, 4)
ROUNDS = 2
CLIPS, CLASSES = 68, 80


def job(width: int) -> TrainJob:
    """Condition A with a narrow ResNet-18 on random clips of 2.6 s; three epochs."""
    settings = load_grid("paper").conditions["A"].train
    network = ResNetSettings(depth=18, width=width)
    small = settings.model_copy(update={"network": network, "crop": 256, "batch_size": 32, "cycles": 1, "epochs": 3})
    rng = np.random.default_rng(0)

    def clips() -> FoldClips:
        arrays = [rng.random((256, 128), dtype=np.float32) for _ in range(CLIPS)]
        targets = np.eye(CLASSES, dtype=np.float32)[rng.integers(0, CLASSES, CLIPS)]
        return FoldClips(MemoryClips(arrays), targets, np.arange(CLIPS - 4), np.arange(CLIPS - 4, CLIPS))

    return TrainJob(small, "0", CLASSES, clips(), clips())


def work(rank: int, size: int, width: int, folder: Path) -> None:
    dist.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=size, timeout=timedelta(minutes=5)
    )
    with Workers(torch.device("cpu")) as group:
        train(job(width), folder / str(rank), None, group)


def samples_per_s(size: int, width: int) -> float:
    """Samples per second of the best epoch of a job on `size` workers."""
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        processes = [spawn.Process(target=work, args=(rank, size, width, folder)) for rank in range(size)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        return max(float(record["samples_per_s"]) for record in read_history(folder / "0"))


def main() -> None:
    print(f"{os.cpu_count()} cores; samples per second, and the ratio to one worker")
    for width in (16, 64):
        best = dict.fromkeys(SIZES, 0.0)
        for _ in range(ROUNDS):
            for size in SIZES:
                best[size] = max(best[size], samples_per_s(size, width))
        cells = (f"{size} workers {best[size]:6.1f} ({best[size] / best[1]:.2f})" for size in SIZES)
        print(f"ResNet-18, width {width}: {', '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
