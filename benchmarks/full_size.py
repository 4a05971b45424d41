"""One real step of every condition of the grid `paper` at full size, batch of two, and the peak memory of each.

    python -m benchmarks.full_size

Each condition runs in a process of its own: forward, backward, checkpoint, snapshot, validation, predictions at its
pads.
"""

import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from orchestrator.grids.load import load_grid
from trainers.checkpoints import snapshot_path
from trainers.clips import ClipBank, MemoryClips
from trainers.history import read_history
from trainers.loop import FoldClips, TrainJob, train
from trainers.network import Tagger
from trainers.predict import predict
from trainers.weights import load_snapshot

CLASSES = 80


def clips(*, mel: bool, seed: int) -> FoldClips:
    """Two clips to train on, of 1 and 8 s, and one of 4 s to validate."""
    rng = np.random.default_rng(seed)
    lengths = (127, 1017, 508) if mel else (44_100, 352_800, 176_400)
    arrays = [
        rng.random((length, 128), dtype=np.float32) if mel else rng.integers(-9000, 9000, length, dtype=np.int16)
        for length in lengths
    ]
    targets = np.eye(CLASSES, dtype=np.float32)[rng.integers(0, CLASSES, 3)]
    return FoldClips(MemoryClips(arrays), targets, np.array([0, 1]), np.array([2]))


def step(name: str, results: "multiprocessing.Queue[tuple[float, float, float]]") -> None:
    condition = load_grid("paper").conditions[name]
    settings = condition.train.model_copy(update={"batch_size": 2, "cycles": 1, "epochs": 1})
    mel = settings.feature_kind == "mel"
    curated, noisy = clips(mel=mel, seed=1), clips(mel=mel, seed=2)
    soft = np.full((3, CLASSES), 1 / CLASSES, dtype=np.float32) if settings.pseudo else None
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        train(TrainJob(settings, "0", CLASSES, curated, noisy, soft), Path(folder))
        loss = read_history(Path(folder))[0]["loss_curated"]
        network = Tagger(settings.network, CLASSES, noisy_head=settings.multitask)
        load_snapshot(snapshot_path(Path(folder), 1), network)
        predict([network], ClipBank(curated.shards, torch.device("cpu")), np.arange(3), condition.predict.pads)
    seconds = time.perf_counter() - started
    results.put((loss, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def main() -> None:
    context = multiprocessing.get_context("spawn")
    print("condition  loss   seconds  peak memory (MB)")
    for name in load_grid("paper").conditions:
        results = context.Queue()
        process = context.Process(target=step, args=(name, results))
        process.start()
        loss, seconds, peak_mb = results.get()
        process.join()
        print(f"{name:9}  {loss:5.3f}  {seconds:7.1f}  {peak_mb:8.0f}", flush=True)


if __name__ == "__main__":
    main()
