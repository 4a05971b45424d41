"""Mel features: a serial librosa loop against sonogrid's shards with two processes, on the same generated files.

Run: python -m benchmarks.features_bench

Both sides read 16-bit WAV and write float32 power mel to disk. They alternate within one run, so that a busy machine
slows both. The start of the processes is not counted: a grid starts them once for all its jobs.
"""

import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch
from numpy.typing import NDArray

from features.manifest import build_manifest
from features.mel import MelSpectrogram
from features.settings import DataSettings, MelSettings
from features.shard_plan import ShardPlan, plan_shards
from features.shards import build_shard

CLIPS = 200
ROUNDS = 3
PROCESSES = 2
SETTINGS = MelSettings(shard_mb=8)


def write_dataset(root: Path, clips: int) -> float:
    """Write clips of 1-15 s in Kaggle's layout; return the seconds of audio."""
    random = np.random.default_rng(0)
    (root / "train_curated").mkdir(parents=True)
    lines = ["fname,labels"]
    total_s = 0.0
    for index in range(clips):
        seconds = float(random.uniform(1, 15))
        samples = 0.1 * random.standard_normal(int(seconds * SETTINGS.sample_rate_hz), dtype=np.float32)
        soundfile.write(root / "train_curated" / f"{index:04d}.wav", samples, SETTINGS.sample_rate_hz)
        lines.append(f"{index:04d}.wav,{'AB'[index % 2]}")
        total_s += seconds
    (root / "train_curated.csv").write_text("\n".join(lines) + "\n")
    return total_s


def librosa_mel(samples: np.ndarray) -> np.ndarray:
    mel: np.ndarray = librosa.feature.melspectrogram(
        y=samples,
        sr=SETTINGS.sample_rate_hz,
        n_fft=SETTINGS.n_fft_samples,
        hop_length=SETTINGS.hop_samples,
        n_mels=SETTINGS.n_mels,
        fmin=SETTINGS.fmin_hz,
        fmax=SETTINGS.fmax_hz,
    )
    return mel


def serial_librosa(paths: list[Path], out: Path) -> float:
    out.mkdir()
    started = time.perf_counter()
    for path in paths:
        samples, _ = soundfile.read(path, dtype="float32")
        np.save(out / f"{path.stem}.npy", librosa_mel(samples))
    return time.perf_counter() - started


def one_thread() -> None:
    torch.set_num_threads(1)


def shards(pool: ProcessPoolExecutor, plans: list[ShardPlan], root: Path, out: Path) -> float:
    started = time.perf_counter()
    jobs = [pool.submit(build_shard, plan, root, SETTINGS, out / plan.name) for plan in plans]
    for job in jobs:
        job.result()
    return time.perf_counter() - started


def single_core(rounds: int) -> tuple[float, float]:
    """How many times faster than real time librosa and `MelSpectrogram` are, on one thread and without files."""
    samples = 0.1 * np.random.default_rng(0).standard_normal(10 * SETTINGS.sample_rate_hz, dtype=np.float32)
    ours = MelSpectrogram(SETTINGS)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    times: tuple[list[float], list[float]] = ([], [])
    functions: tuple[Callable[[NDArray[np.float32]], object], ...] = (librosa_mel, ours)
    for _ in range(rounds):
        for side, function in zip(times, functions, strict=True):
            started = time.perf_counter()
            function(samples)
            side.append(time.perf_counter() - started)
    torch.set_num_threads(threads)
    return 10 / statistics.median(times[0]), 10 / statistics.median(times[1])


def main(quick: bool = False) -> None:
    clips, rounds = (8, 1) if quick else (CLIPS, ROUNDS)
    librosa_x, ours_x = single_core(1 if quick else 10)
    print(
        f"one core, no files: librosa {librosa_x:.0f}x real time, MelSpectrogram {ours_x:.0f}x: "
        f"{ours_x / librosa_x:.2f}"
    )
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "data"
        total_s = write_dataset(root, clips)
        manifest = build_manifest(root, DataSettings())
        plans = plan_shards(manifest, SETTINGS)
        paths = [root / path for path in manifest.clips["path"]]
        print(f"{clips} clips, {total_s / 60:.0f} min of audio, {len(plans)} shards, {PROCESSES} processes")
        serial_s, shards_s = [], []
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(PROCESSES, mp_context=context, initializer=one_thread) as pool:
            shards(pool, plans[:PROCESSES], root, Path(folder) / "warm")
            for number in range(rounds):
                serial_s.append(serial_librosa(paths, Path(folder) / f"librosa{number}"))
                shards_s.append(shards(pool, plans, root, Path(folder) / f"shards{number}"))
                print(
                    f"round {number + 1}: librosa loop {total_s / serial_s[-1]:.0f}x real time, "
                    f"shards {total_s / shards_s[-1]:.0f}x: {serial_s[-1] / shards_s[-1]:.2f}"
                )
    print(f"median ratio: {statistics.median(a / b for a, b in zip(serial_s, shards_s, strict=True)):.2f}")


if __name__ == "__main__":
    main()
