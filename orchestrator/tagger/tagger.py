"""Tags of new sounds, by the blend of a finished run."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from features.audio import MAX_VALUES, read_windows, resample, without_notes
from features.errors import DataError, InputError
from features.shards import FeatureExtractor
from orchestrator.run.bound import Run
from orchestrator.tagger.batches import Clip, blend, cores, one_thread_per_core
from orchestrator.tagger.calibration import Calibration
from orchestrator.tagger.members import Condition, calibrate, load_conditions, member_weights
from orchestrator.tagger.package import ENDING, read_package
from orchestrator.tagger.registered import model_uri, registered_file
from orchestrator.tagger.sounds import Sound, check_file, read_sound, readable

__all__ = ["Segment", "Tagger", "Threshold", "ranked", "require_audio"]

Scores = NDArray[np.float32]
Threshold = float | Literal["auto"]
"""Lowest score of a tag; *auto*: the threshold of each class."""
MOST_CLIPS = 512
MOST_VALUES = 1 << 25
"""Largest batch: sounds or windows, and values of their features. The more there are, the more have the same length."""


@dataclass(frozen=True)
class Segment:
    """The scores of a part of a recording."""

    start_s: float
    end_s: float
    scores: Scores
    """(C,)"""


class Tagger:
    """The blend of a finished run, loaded once.

    >>> tagger = Tagger.load("runs/demo")
    >>> tagger.tag("dog.wav")
    [('Bark', 0.91), ('Growling', 0.07), ('Whine', 0.01)]
    """

    def __init__(
        self,
        classes: Sequence[str],
        conditions: Sequence[Condition],
        device: torch.device,
        calibrate: Callable[[], Calibration],
    ) -> None:
        """Use `Tagger.load`.

        Args:
            classes: names of the classes.
            conditions: the networks.
            device: where to compute.
            calibrate: says what the scores mean, when that is first asked for.
        """
        self.classes = tuple(classes)
        """Names of the classes, in the order of score columns."""
        self.device = device
        self._calibrate = calibrate
        self._conditions = tuple(conditions)
        # Conditions with equal features share them.
        kinds = list(dict.fromkeys((condition.features, condition.encoder) for condition in conditions))
        self._kinds = [kinds.index((condition.features, condition.encoder)) for condition in conditions]
        self._features = [(settings.sample_rate_hz, FeatureExtractor(settings, file)) for settings, file in kinds]

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The networks with their weights."""
        return self._conditions

    def __repr__(self) -> str:
        networks = sum(len(fold) for condition in self._conditions for fold in condition.networks)
        return f"<Tagger: {len(self.classes)} classes, {networks} networks on {self.device}>"

    @classmethod
    def load(
        cls,
        run: str | Path,
        device: str | torch.device | None = None,
        *,
        condition: str | None = None,
        members: int | None = None,
    ) -> "Tagger":
        """Load the networks of all members with a weight, of every fold.

        Args:
            run: the RUN folder of a finished run, or a `.tagger` file that `sonogrid export` made of one,
                or a registered model of MLflow: 'models:/NAME@champion', 'models:/NAME/VERSION'.
            device: where to compute; by default the first GPU if there is one, else the CPU.
            condition: use all members of this condition, with equal weights, instead of the blend.
            members: use at most so many members of the blend, those with the highest weights: faster, less exact.

        Raises:
            InputError: there is no run in the folder, no such condition, or the file is not a tagger.
            StoreError: the blend is not done yet, or a file of the store is missing or damaged.
        """
        place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        if (uri := model_uri(run)) is not None:
            with registered_file(uri) as file:
                return cls.load(file, place, condition=condition, members=members)
        if Path(run).suffix == ENDING and not Path(run).is_dir():
            if condition is not None or members is not None:
                raise InputError(f"{run} is used as it was exported: choose a condition or members when you export")
            with read_package(Path(run), place) as (classes, conditions, calibration, _):
                return cls(classes, conditions, place, lambda: calibration)
        bound = Run.open(Path(run))
        chosen = member_weights(bound, condition, members)
        meaning = partial(calibrate, bound, chosen, whole=condition is None and members is None)
        return cls(bound.manifest.classes, load_conditions(bound, chosen, place), place, meaning)

    @cached_property
    def calibration(self) -> Calibration:
        """What scores mean, fitted on out-of-fold scores: thresholds, probabilities, and how reliable these are.

        Raises:
            StoreError: predictions that it needs are not done yet.
        """
        return self._calibrate()

    @property
    def thresholds(self) -> dict[str, float]:
        """Class -> the score from which on it counts as present: the best F1 on out-of-fold scores.

        The fewer labelled clips a class has, the nearer is its threshold to that of all classes together.

        Raises:
            StoreError: predictions that they need are not done yet.
        """
        return dict(zip(self.classes, self.calibration.thresholds.tolist(), strict=True))

    def probabilities(self, sounds: Sequence[Sound], rate: int | None = None) -> Scores:
        """Probabilities of classes: calibrated `scores`, with the same arguments, result and errors.

        `calibration.after` says how reliable they are.

        Raises:
            StoreError: predictions that they need are not done yet.
        """
        return self.calibration.probabilities(self.scores(sounds, rate))

    def scores(self, sounds: Sequence[Sound], rate: int | None = None) -> Scores:
        """Scores of sounds of any sample rate, sample width and number of channels.

        Args:
            sounds: paths of files, bytes of files, or samples (see `Sound`).
            rate: of samples, in Hz.

        Returns:
            (N, C) float32, one row per sound, one column per class.

        Raises:
            InputError: samples without a rate, or of another form.
            DataError: sounds that cannot be read; all of them are named, and nothing is computed.
        """
        require_audio([Path(sound) for sound in sounds if isinstance(sound, (str, Path))])
        rows = np.zeros((len(sounds), len(self.classes)), np.float32)
        for index, scores in enumerate(self.stream(sounds, rate, checked=True)):
            if isinstance(scores, DataError):
                raise scores
            rows[index] = scores
        return rows

    def stream(
        self, sounds: Iterable[Sound], rate: int | None = None, *, checked: bool = False
    ) -> Iterator[Scores | DataError]:
        """Scores (C,) of one sound after the other, in the memory of a batch; an error in place of one that is bad.

        Args:
            sounds: as in `scores`.
            rate: of samples, in Hz.
            checked: whether the files have passed `require_audio`.

        Raises:
            InputError: samples without a rate, or of another form.
        """
        with one_thread_per_core() as pool:
            for batch in _batches(pool, sounds, lambda sound: self._features_of(sound, rate, checked)):
                yield from self._score(batch, pool)

    def tag(
        self, sound: Sound, rate: int | None = None, *, top: int = 3, threshold: Threshold = 0.0
    ) -> list[tuple[str, float]]:
        """The classes with the highest scores for one sound, the best first.

        Args:
            sound: path of a file, bytes of a file, or samples (see `Sound`).
            rate: of samples, in Hz.
            top: largest number of classes.
            threshold: lowest score, or 'auto' for the threshold of each class.

        Raises:
            InputError: samples without a rate, or of another form.
            DataError: the sound cannot be read.
            StoreError: predictions that thresholds need are not done yet.
        """
        return self.tags_of(self.scores([sound], rate)[0], top=top, threshold=threshold)

    def tags_of(self, scores: Scores, *, top: int, threshold: Threshold) -> list[tuple[str, float]]:
        """The tags that scores (C,) stand for, as in `tag`."""
        least = self.thresholds if threshold == "auto" else dict.fromkeys(self.classes, threshold)
        return [(label, score) for label, score in ranked(self.classes, scores)[:top] if score >= least[label]]

    def segments(
        self, sound: str | Path | bytes, window_s: float = 10.0, hop_s: float | None = None
    ) -> Iterator[Segment]:
        """Scores of a recording of any length, window by window, in the memory of a batch of windows.

        A window has the scores that it would have as a file of its own.

        Args:
            sound: path of the recording, or its bytes.
            window_s: length of a window, s; the last one may be shorter.
            hop_s: from one start to the next, s; by default the length of a window.

        Raises:
            InputError: `window_s` or `hop_s` is too short or too long.
            DataError: the recording cannot be read.
        """
        hop_s = window_s if hop_s is None else hop_s
        for name, value in (("window_s", window_s), ("hop_s", hop_s)):
            if not 0.05 <= value <= 600:
                raise InputError(f"{name} is {value:g} s: give 0.05 to 600")

        def features_of(window: tuple[float, np.ndarray, int]) -> _Window:
            start_s, mono, rate = window
            return _Window(self._compute(mono, rate), start_s, start_s + len(mono) / rate)

        # What is posted to a server must not fill its disk.
        limit = MAX_VALUES if isinstance(sound, bytes) else None
        with readable(sound, limit) as path, one_thread_per_core() as pool:
            for batch in _batches(pool, read_windows(path, window_s, hop_s), features_of):
                for window, scores in zip(batch, self._score(batch, pool), strict=True):
                    assert not isinstance(scores, DataError)
                    yield Segment(window.start_s, window.end_s, scores)

    def _features_of(self, sound: Sound, rate: int | None, checked: bool) -> "_Window":
        try:
            return _Window(self._compute(*read_sound(sound, rate, checked=checked and isinstance(sound, (str, Path)))))
        except DataError as error:
            return _Window(error)

    def _compute(self, mono: np.ndarray, rate: int) -> Clip:
        """Features of one sound, one array per kind."""
        at_rate = {wanted: resample(mono, rate, wanted) for wanted in dict(self._features)}
        return [extractor.compute(at_rate[wanted]) for wanted, extractor in self._features]

    def _score(self, windows: Sequence["_Window"], pool: Executor) -> list[Scores | DataError]:
        """Scores of a batch; errors stay in their places."""
        good = [window.clip for window in windows if not isinstance(window.clip, DataError)]
        found = blend(self._conditions, self._kinds, good, self.device, pool).astype(np.float32) if good else ()
        rows = iter(found)
        return [window.clip if isinstance(window.clip, DataError) else next(rows) for window in windows]


@dataclass(frozen=True)
class _Window:
    """A sound, or a part of one, that is to be scored."""

    clip: Clip | DataError
    """Its features, or why there are none."""
    start_s: float = 0.0
    end_s: float = 0.0

    @property
    def values(self) -> int:
        """Values of all its features."""
        return 0 if isinstance(self.clip, DataError) else sum(array.size for array in self.clip)


Item = TypeVar("Item")


def _batches(pool: Executor, items: Iterable[Item], prepare: Callable[[Item], _Window]) -> Iterator[list[_Window]]:
    """Prepare items by the threads of a pool, as many as make a batch, of which there is one in memory at a time."""
    remaining = iter(items)
    batch: list[_Window] = []
    while True:
        with without_notes():
            some = list(pool.map(prepare, islice(remaining, 2 * cores())))
        batch += some
        if batch and (not some or len(batch) >= MOST_CLIPS or sum(window.values for window in batch) >= MOST_VALUES):
            yield batch
            batch = []
        if not some:
            return


def ranked(classes: Sequence[str], scores: Scores) -> list[tuple[str, float]]:
    """Classes with their scores (C,), the highest first; equal scores stay in the order of the classes."""
    return [(classes[index], float(scores[index])) for index in (-scores).argsort(kind="stable")]


def require_audio(files: Sequence[Path]) -> None:
    """Check files.

    Raises:
        DataError: files that cannot be read; all of them are named.
    """

    def check(path: Path) -> list[str]:
        try:
            check_file(path)
        except DataError as error:
            return error.problems
        return []

    with without_notes(), ThreadPoolExecutor() as pool:
        problems = [problem for found in pool.map(check, files) for problem in found]
    if problems:
        raise DataError(problems)
