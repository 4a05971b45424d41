"""The demo's audio: a small labelled dataset in Kaggle's layout, made from a seed.

Six classes of sound with random pitch, rhythm, gain and background noise, some clips with two of them; two fifths of
the noisy labels are wrong. Small enough to train on in a minute, hard enough that a ranking can improve.
"""

import csv
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from features.errors import DataError, StoreError
from features.files import read_json, write_json

__all__ = ["CLASSES", "generate"]

_MARKER = "generated.json"
_SCHEMA = 1
_WRONG_SHARE = 0.4
_TWO_LABELS_SHARE = 0.25

_Sound = Callable[[np.random.Generator, int, int], np.ndarray]


def generate(root: Path, *, seed: int, curated: int = 96, noisy: int = 120, test: int = 48) -> None:
    """Write the dataset, unless the folder holds exactly this one already.

    Kaggle's layout, and `test_labels.csv` (fname,labels) with the truth of the test clips. Most clips are 16-bit mono
    at 44.1 kHz; in every thirteen, one is 24-bit stereo at 48 kHz and one is mono at 22.05 kHz. The same arguments
    produce the same bytes. The folder appears whole or not at all.

    Args:
        root: folder to create.
        seed: of everything random.
        curated: number of correctly labelled clips.
        noisy: number of clips of which two fifths are labelled wrongly.
        test: number of test clips.

    Raises:
        DataError: the folder holds something else.
    """
    made = {"schema": _SCHEMA, "seed": seed, "curated": curated, "noisy": noisy, "test": test}
    if root.exists() and any(root.iterdir()):
        try:
            marker = read_json(root / _MARKER)
        except StoreError:
            marker = None
        if marker == made:
            return
        raise DataError([f"{root} holds files other than this generated audio: choose another folder"])
    with _whole_folder(root) as folder:
        for index, (subset, n) in enumerate((("train_curated", curated), ("train_noisy", noisy), ("test", test))):
            names, labels = _write_clips(folder / subset, n, np.random.default_rng([seed, index]))
            if subset == "test":
                zeros = [["0"] * len(CLASSES)] * n
                rows = [[name, *row] for name, row in zip(names, zeros, strict=True)]
                _write_csv(folder / "sample_submission.csv", ["fname", *CLASSES], rows)
            elif subset == "train_noisy":
                labels = _spoil(labels, np.random.default_rng([seed, index, 1]))
            path = folder / ("test_labels.csv" if subset == "test" else f"{subset}.csv")
            _write_csv(
                path, ["fname", "labels"], sorted([name, ",".join(x)] for name, x in zip(names, labels, strict=True))
            )
        write_json(folder / _MARKER, made)


def _write_clips(folder: Path, n: int, random: np.random.Generator) -> tuple[list[str], list[list[str]]]:
    """Write `n` clips; their names and true labels. Every class comes first in turn, so that none is missing."""
    folder.mkdir()
    names = [f"{number:08x}.wav" for number in random.choice(1 << 32, n, replace=False)]
    labels: list[list[str]] = []
    # Thirteen shares no factor with the classes, so that the format does not tell the class.
    for index, name in enumerate(names):
        chosen = [CLASSES[index % len(CLASSES)]]
        if random.random() < _TWO_LABELS_SHARE:
            chosen.append(str(random.choice([other for other in CLASSES if other not in chosen])))
        rate_hz, subtype, channels = {3: (48_000, "PCM_24", 2), 7: (22_050, "PCM_16", 1)}.get(
            index % 13, (44_100, "PCM_16", 1)
        )
        samples = _mix(random, chosen, rate_hz)  # (samples,)
        if channels == 2:
            samples = np.stack([samples, samples * random.uniform(0.3, 1.0)], axis=1)  # (samples, 2)
        soundfile.write(folder / name, samples, rate_hz, subtype=subtype)
        labels.append(sorted(chosen))
    return names, labels


def _mix(random: np.random.Generator, labels: Sequence[str], rate_hz: int) -> np.ndarray:
    """Sounds over background noise, float64 (samples,) of 0.5-4 s within (-1, 1)."""
    n = int(random.uniform(0.5, 4.0) * rate_hz)
    mix = random.standard_normal(n) * 10 ** (random.uniform(-45, -25) / 20)
    for label in labels:
        sound = _SOUNDS[label](random, n, rate_hz)
        mix += sound / (np.abs(sound).max() + 1e-9) * 10 ** (random.uniform(-14, 0) / 20)
    scaled: np.ndarray = mix / np.abs(mix).max() * random.uniform(0.1, 0.95)
    return scaled


def _spoil(labels: list[list[str]], random: np.random.Generator) -> list[list[str]]:
    """Replace the labels of two fifths of the clips by one that the clip does not have."""
    spoiled = list(labels)
    for index in random.permutation(len(labels))[: round(_WRONG_SHARE * len(labels))]:
        spoiled[index] = [str(random.choice([other for other in CLASSES if other not in labels[index]]))]
    return spoiled


def _tone(random: np.random.Generator, n: int, rate_hz: int) -> np.ndarray:
    """A steady note with a few harmonics."""
    phase = 2 * np.pi * random.uniform(150, 1_500) * np.arange(n) / rate_hz
    note: np.ndarray = np.sin(phase) + 0.5 * np.sin(2 * phase) + 0.25 * np.sin(3 * phase)
    return note


def _sweep(random: np.random.Generator, n: int, rate_hz: int, *, up: bool) -> np.ndarray:
    """Chirps over one to three octaves, a few times a second."""
    low_hz, octaves, period_s = random.uniform(300, 1_500), random.uniform(1, 3), random.uniform(0.25, 0.6)
    position = np.arange(n) / rate_hz / period_s % 1.0
    frequency_hz = low_hz * 2 ** (octaves * (position if up else 1 - position))
    chirp: np.ndarray = np.sin(2 * np.pi * np.cumsum(frequency_hz) / rate_hz) * np.sin(np.pi * position)
    return chirp


def _chirp_up(random: np.random.Generator, n: int, rate_hz: int) -> np.ndarray:
    return _sweep(random, n, rate_hz, up=True)


def _chirp_down(random: np.random.Generator, n: int, rate_hz: int) -> np.ndarray:
    return _sweep(random, n, rate_hz, up=False)


def _noise_bursts(random: np.random.Generator, n: int, rate_hz: int) -> np.ndarray:
    """White noise that dies away and starts again."""
    position = np.arange(n) / rate_hz / random.uniform(0.3, 0.7) % 1.0
    bursts: np.ndarray = random.standard_normal(n) * np.exp(-6 * position)
    return bursts


def _clicks(random: np.random.Generator, n: int, rate_hz: int) -> np.ndarray:
    """Short clicks at a steady rate."""
    train = np.zeros(n)
    train[:: int(rate_hz / random.uniform(4, 12))] = 1.0
    ring_s = np.arange(int(0.004 * rate_hz)) / rate_hz
    click = np.exp(-1_000 * ring_s) * np.sin(2 * np.pi * random.uniform(1_500, 4_000) * ring_s)
    return np.convolve(train, click)[:n]


def _siren(random: np.random.Generator, n: int, rate_hz: int) -> np.ndarray:
    """A tone whose pitch swings slowly around its middle."""
    time_s = np.arange(n) / rate_hz
    swing = np.sin(2 * np.pi * random.uniform(0.7, 2.0) * time_s + random.uniform(0, 2 * np.pi))
    frequency_hz = random.uniform(700, 2_000) * 2 ** (0.5 * swing)
    siren: np.ndarray = np.sin(2 * np.pi * np.cumsum(frequency_hz) / rate_hz)
    return siren


_SOUNDS: dict[str, _Sound] = {
    "Chirp_down": _chirp_down,
    "Chirp_up": _chirp_up,
    "Clicks": _clicks,
    "Noise_bursts": _noise_bursts,
    "Siren": _siren,
    "Tone": _tone,
}
CLASSES = tuple(_SOUNDS)


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


@contextmanager
def _whole_folder(root: Path) -> Iterator[Path]:
    """A new folder beside `root` that takes its place when the work is done."""
    root.parent.mkdir(parents=True, exist_ok=True)
    temporary = root.with_name(f".{root.name}.{uuid.uuid4().hex[:8]}.tmp")
    temporary.mkdir()
    try:
        yield temporary
        temporary.replace(root)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
