"""Section: what a condition's augmentations do to one clip, to see and to hear.

A network on mel spectrograms hears no sound. What it is given is made audible by Griffin & Lim's algorithm ("Signal
estimation from modified short-time Fourier transform", 1984).
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torchaudio
from torch import Tensor

from features.audio import resample
from features.errors import DataError
from features.mel import MelSpectrogram, filterbank, power_to_db
from features.settings import MelSettings, WaveformSettings
from orchestrator.pages.document import Block, Section, Sound, Words
from orchestrator.pages.pictures import Floats
from orchestrator.pages.sounds import beginning, decibels_of, excerpt_of
from orchestrator.run.bound import Run
from trainers.augment import FUNCTIONS, augment
from trainers.batch import Batch
from trainers.registry import AUGMENTATIONS

__all__ = ["augmentations_section"]

SECONDS = 4.0
"""Of the clip."""
ROUNDS = 24
"""Of Griffin & Lim's algorithm."""
LOUDEST = 0.7
"""Largest sample of the clip as it is."""
TITLE = "Augmentations on one clip"


def augmentations_section(run: Run, name: str) -> Section:
    """The section of a condition; the first curated clip is changed, and mixed with the first one of other labels."""
    condition = run.recipe.conditions[name]
    chosen, features = condition.train.augment, condition.features
    if not chosen or features.kind == "embedding":
        return Section(TITLE, [Words("This condition has no augmentations.", "note")])
    first, second, words = _clips(run)
    try:
        pair = [resample(*beginning(path, SECONDS), features.sample_rate_hz) for path in (first, second)]
    except DataError as error:
        return Section(TITLE, [Words(f"The clips can't be read: {error}.", "note")])
    mel = features if isinstance(features, MelSettings) else None
    batch = _batch(pair, mel)
    shown = _Shown(batch, features)
    blocks: list[Block] = [Words(words + (_HEARD if mel else "")), shown.sound("as it is", "", batch)]
    for augmentation, parameters in chosen.items():
        changed = _alone(batch, augmentation, parameters)
        about = ", ".join(f"{key} {value:g}" for key, value in parameters.items())
        text = f"{AUGMENTATIONS[augmentation].description} ({about})"
        blocks.append(shown.sound(augmentation, text, changed))
    return Section(TITLE, blocks)


_HEARD = " The network sees the pictures; sounds are made from them, so they are rough."


def _clips(run: Run) -> tuple[Path, Path, str]:
    """Two curated clips, and words on them."""
    frame = run.manifest.subset("curated")
    labels = [tuple(each) for each in frame["labels"]]
    other = next((row for row, each in enumerate(labels) if each != labels[0]), 0)
    names = [f"{frame['clip'].iloc[row]} ({', '.join(labels[row])})" for row in (0, other)]
    paths = [run.data_root / frame["path"].iloc[row] for row in (0, other)]
    words = (
        f"The first {SECONDS:g} s of {names[0]}, with each augmentation alone, applied for certain; in training it is "
        f"applied with its probability p. Mixed is with {names[1]}."
    )
    return paths[0], paths[1], words


def _batch(pair: list[Floats], mel: MelSettings | None) -> Batch:
    """A clip and its partner, in the form that augmentations take."""
    parts = [np.ascontiguousarray(part, np.float32) for part in pair]
    rows = [torch.from_numpy(MelSpectrogram(mel)(part) if mel else part) for part in parts]
    size = rows[0].shape[0]
    x = torch.nn.utils.rnn.pad_sequence([row[:size] for row in rows], batch_first=True)
    stop = np.array([min(len(row), size) for row in rows])
    return Batch(x, torch.zeros(2, 1), np.zeros(2, np.int64), stop)


def _alone(batch: Batch, name: str, parameters: Mapping[str, float]) -> Batch:
    """The clip with one augmentation. The draw is that of the name, so pages can be compared."""
    rng = np.random.default_rng(list(name.encode()))
    sure = {key: 1.0 if key == "p" else value for key, value in parameters.items()}
    stage = AUGMENTATIONS[name].stage
    if stage == "read":
        rate = float(FUNCTIONS[name](1, rng, **sure)[0])
        size = batch.x.shape[1]
        places = np.arange(int(size * rate)) / rate
        low = places.astype(np.int64).clip(0, size - 1)
        high, weight = (low + 1).clip(0, size - 1), torch.from_numpy((places - low).astype(np.float32))
        shape = (-1, *[1] * (batch.x.dim() - 2))
        x = torch.lerp(batch.x[0, low], batch.x[0, high], weight.reshape(shape))
        return Batch(x[None], batch.y[:1], batch.start[:1], np.array([len(x)]))
    kept = batch if stage == "mix" else Batch(batch.x[:1], batch.y[:1], batch.start[:1], batch.stop[:1])
    return augment(kept, [FUNCTIONS[name](kept.layout, rng, **sure)])


class _Shown:
    """Turns batches into sounds, in the loudness and the colours of the clip as it is."""

    def __init__(self, batch: Batch, features: MelSettings | WaveformSettings) -> None:
        self._features = features
        mono, decibels = self._heard(batch.x[0]), self._seen(batch.x[0])
        self._scale = LOUDEST / max(float(np.abs(mono).max()), 1e-6)
        self._limits = (float(decibels.min()), max(float(decibels.max()), float(decibels.min()) + 1))

    def sound(self, name: str, text: str, batch: Batch) -> Sound:
        """The first clip of a batch."""
        mono = (self._heard(batch.x[0]) * self._scale).clip(-1, 1)
        rate = self._features.sample_rate_hz
        return Sound(name, excerpt_of(mono, rate, self._seen(batch.x[0]), self._limits), text)

    def _heard(self, x: Tensor) -> Floats:
        if isinstance(self._features, MelSettings):
            return _audible(x, self._features)
        found: Floats = x.numpy()
        return found

    def _seen(self, x: Tensor) -> Floats:
        if isinstance(self._features, MelSettings):
            found: Floats = power_to_db(x).numpy()
            return found
        return decibels_of(x.numpy(), self._features.sample_rate_hz)


def _audible(power: Tensor, settings: MelSettings) -> Floats:
    """Samples (S,) whose mel power (frames, bands) is about the given one."""
    inverse = torch.from_numpy(np.linalg.pinv(filterbank(settings))).float()  # (bands, bins)
    spectrum = (power @ inverse).clamp_min(0).T  # (bins, frames)
    n_fft, hop = settings.n_fft_samples, settings.hop_samples
    samples = torchaudio.functional.griffinlim(
        spectrum[None], torch.hann_window(n_fft), n_fft, hop, n_fft, power=2.0, n_iter=ROUNDS, momentum=0.9,
        length=None, rand_init=False,
    )[0]  # fmt: skip
    found: Floats = samples.numpy()
    return found
