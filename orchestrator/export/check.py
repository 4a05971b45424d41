"""An exported tagger, held against the run that it was made from, on clips of the dataset."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from features.audio import read_mono
from features.encoders.encoder import Encoder
from features.errors import InputError
from orchestrator.report.labels import own_labels
from orchestrator.report.scores import known_labels
from orchestrator.run.bound import Run
from orchestrator.tagger.package import ENDING
from orchestrator.tagger.tagger import Tagger
from trainers.lwlrap import lwlrap

__all__ = ["Clips", "Comparison", "clips_of", "compare"]

MOST_CLIPS = 100


@dataclass(frozen=True)
class Clips:
    """Clips that a file is checked with."""

    paths: list[Path]
    labels: np.ndarray | None
    """(N, C), if they are known and no network was trained on them."""
    subset: str


@dataclass(frozen=True)
class Comparison:
    """A file and the run it was made from, on the same clips."""

    clips: int
    subset: str
    largest: float
    """Largest difference of a score."""
    lwlrap: float | None
    """Of the run; None without labels of test clips."""
    exported_lwlrap: float | None
    """Of the file."""
    times_real_time: float
    """Seconds of audio per second of CPU time, on one core, without reading files."""


def clips_of(run: Run) -> Clips:
    """Test clips of a run, or curated ones if it has none: all, or evenly spaced ones of many.

    Raises:
        InputError: the dataset is gone.
    """
    subset = "test" if len(run.manifest.subset("test")) else "curated"
    frame = run.manifest.subset(subset)
    rows = np.unique(np.linspace(0, len(frame) - 1, MOST_CLIPS).round().astype(int))
    paths = [run.data_root / path for path in frame["path"].iloc[rows]]
    gone = [path for path in paths if not path.is_file()]
    if gone:
        raise InputError(f"{gone[0]} is gone: an export is checked with clips of the dataset, restore it")
    labels = _test_labels(run) if subset == "test" else None
    return Clips(paths, None if labels is None else labels[rows], subset)


def _test_labels(run: Run) -> np.ndarray | None:
    """(T, C) as given to `sonogrid score`, or as the dataset has them."""
    known = known_labels(run)
    if known is not None:
        return known[0]
    rows = own_labels(run)
    if not rows:
        return None
    column = {name: index for index, name in enumerate(run.manifest.classes)}
    labels = np.zeros((len(run.manifest.subset("test")), len(column)), np.float32)
    for row, clip in zip(labels, run.manifest.subset("test")["clip"], strict=True):
        row[[column[label] for label in rows[clip].labels if label in column] if clip in rows else []] = 1.0
    return labels


def compare(tagger: Tagger, file: Path, sample_rate_hz: int, clips: Clips) -> Comparison:
    """Score clips by a tagger and by a file that was exported from it.

    Args:
        tagger: the original.
        file: `.onnx`, `.pt2` or `.tagger`.
        sample_rate_hz: of the file's input.
        clips: the clips.

    Raises:
        InputError: the file can't be run.
    """
    run_file = _runner(file)
    sounds = [read_mono(path, sample_rate_hz) for path in clips.paths]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        run_file(sounds[0], sample_rate_hz)  # the first call also prepares
        start = time.process_time()
        found = np.stack([run_file(samples, sample_rate_hz) for samples in sounds])
        seconds = time.process_time() - start
    finally:
        torch.set_num_threads(threads)
    wanted = np.stack([tagger.scores([samples], sample_rate_hz)[0] for samples in sounds])
    return Comparison(
        clips=len(sounds),
        subset=clips.subset,
        largest=float(np.abs(found - wanted).max()),
        lwlrap=None if clips.labels is None else lwlrap(clips.labels, wanted),
        exported_lwlrap=None if clips.labels is None else lwlrap(clips.labels, found),
        times_real_time=sum(map(len, sounds)) / sample_rate_hz / seconds,
    )


def _runner(file: Path) -> Callable[[np.ndarray, int], np.ndarray]:
    """Scores (C,) of samples by a file."""
    if file.suffix == ENDING:
        tagger = Tagger.load(file, "cpu")
        return lambda samples, rate: tagger.scores([samples], rate)[0]
    encoder = Encoder(file)  # the same form: rows of samples in, rows of numbers out
    return lambda samples, _: encoder(samples[None])[0]
