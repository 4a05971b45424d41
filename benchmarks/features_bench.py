"""Mel features against librosa, on the same generated files and one core each.

Both sides read 16-bit WAV and write float32 power mel to disk; sonogrid also checks the files' checksums.
"""

import tempfile
from functools import partial
from pathlib import Path

import librosa
import numpy as np
import soundfile
import torch

from benchmarks.rows import Row, compare
from features.manifest import build_manifest
from features.mel import MelSpectrogram
from features.settings import DataSettings, MelSettings
from features.shard_plan import ShardPlan, plan_shards
from features.shards import build_shard

CLIPS = 60
ROUNDS = 5
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


def serial_librosa(paths: list[Path], out: Path) -> None:
    out.mkdir(exist_ok=True)
    for path in paths:
        samples, _ = soundfile.read(path, dtype="float32")
        np.save(out / f"{path.stem}.npy", librosa_mel(samples))


def shards(plans: list[ShardPlan], root: Path, out: Path) -> None:
    for plan in plans:
        build_shard(plan, root, SETTINGS, out / plan.name)


def rows(quick: bool) -> list[Row]:
    """In memory and with files, all on one core."""
    clips, rounds = (8, 1) if quick else (CLIPS, ROUNDS)
    samples = 0.1 * np.random.default_rng(0).standard_normal(10 * SETTINGS.sample_rate_hz, dtype=np.float32)
    ours = MelSpectrogram(SETTINGS)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found = [
            compare(
                "mel of 10 s, one core", "peer: librosa", partial(ours, samples), partial(librosa_mel, samples),
                rounds, repeat=1 if quick else 10,
            )
        ]  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "data"
            total_s = write_dataset(root, clips)
            manifest = build_manifest(root, DataSettings())
            plans = plan_shards(manifest, SETTINGS)
            paths = [root / path for path in manifest.clips["path"]]
            found.append(
                compare(
                    f"shards of {total_s / 60:.0f} min of WAV, one core", "peer: librosa and np.save, one core",
                    partial(shards, plans, root, Path(folder) / "shards"),
                    partial(serial_librosa, paths, Path(folder) / "librosa"), rounds,
                )
            )  # fmt: skip
    finally:
        torch.set_num_threads(threads)
    return found
