"""Sounds that a tagger is given: files, the bytes of files, or samples."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.audio import MAX_RATE_HZ, MAX_SAMPLE, MAX_VALUES, MIN_RATE_HZ, decode, probe, to_mono
from features.errors import DataError, InputError
from orchestrator.tagger.ffmpeg import container_of, converted

__all__ = ["Sound", "check_file", "read_sound", "readable"]

Sound = str | Path | bytes | NDArray[Any]
"""Path of a file, its bytes, or samples: (samples,) or (samples, channels), integers or numbers of full scale 1."""


def read_sound(sound: Sound, rate: int | None = None, *, checked: bool = False) -> tuple[np.ndarray, int]:
    """Check a sound and read it as mono: float32 (samples,), and its rate in Hz.

    Args:
        sound: the sound.
        rate: of samples, in Hz; files have their own.
        checked: whether the file has passed `check_file` already.

    Raises:
        InputError: samples without a rate, or of another form.
        DataError: the sound cannot be read.
    """
    if isinstance(sound, np.ndarray):
        return _samples(sound, rate)
    if rate is not None:
        raise InputError("a rate belongs to samples: files have their own, leave it out")
    with readable(sound) as path:
        if not checked:
            probe(path)
        return decode(path)


def check_file(path: Path) -> None:
    """Check that a file can be read.

    Raises:
        DataError: it cannot.
    """
    with readable(path) as readable_path:
        probe(readable_path)


@contextmanager
def readable(sound: str | Path | bytes, most_values: int | None = MAX_VALUES) -> Iterator[Path]:
    """The path of a sound in a form that libsndfile may read; what it does not read is converted by ffmpeg.

    Problems that are found in the context are worded for a sound that is only to be tagged.

    Args:
        sound: path of a file, or its bytes, which lie in memory only.
        most_values: of all channels, if it has to be converted; None: any number.

    Raises:
        DataError: the sound needs ffmpeg, which is not installed or cannot decode it.
    """
    with _file(sound) as path:
        place = path
        try:
            container = container_of(path)
            if container is None:
                yield path
                return
            with converted(path, container, None if most_values is None else 2 * most_values) as wav:
                place = wav
                yield wav
        except DataError as error:
            name = "the sound" if isinstance(sound, bytes) else str(path)
            plain = [problem.replace(str(place), name).replace(str(path), name) for problem in error.problems]
            plain = [problem.replace("restore it or remove its row", "leave it out") for problem in plain]
            raise DataError([problem.replace("remove its row", "leave it out") for problem in plain]) from None


@contextmanager
def _file(sound: str | Path | bytes) -> Iterator[Path]:
    """The path of a sound; bytes lie in memory only."""
    if not isinstance(sound, bytes):
        yield Path(sound)
        return
    descriptor = os.memfd_create("sound")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(sound)
        # Named by process, so that ffmpeg can open it too.
        yield Path(f"/proc/{os.getpid()}/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _samples(sound: NDArray[Any], rate: int | None) -> tuple[np.ndarray, int]:
    if rate is None:
        raise InputError("samples need their rate in Hz: tag(samples, rate)")
    if not MIN_RATE_HZ <= rate <= MAX_RATE_HZ:
        raise InputError(f"a rate of {rate} Hz is outside {MIN_RATE_HZ}-{MAX_RATE_HZ} Hz")
    frames = sound[:, None] if sound.ndim == 1 else sound
    if frames.ndim != 2 or 0 in frames.shape or frames.size > MAX_VALUES:
        raise InputError(
            f"samples have the shape {sound.shape}: give (samples,) or (samples, channels), at least one sample and at "
            f"most {MAX_VALUES:,}"
        )
    if frames.dtype.kind == "i":
        return to_mono((frames / -float(np.iinfo(frames.dtype).min)).astype(np.float32), floats=False), int(rate)
    if frames.dtype.kind != "f":
        raise InputError(f"samples are {frames.dtype}: give signed integers, or floating-point numbers")
    if not np.isfinite(frames).all() or np.abs(frames).max() > MAX_SAMPLE:
        raise DataError(["the samples hold NaN, infinity or numbers far above full scale, which is 1: scale them"])
    return to_mono(frames.astype(np.float32), floats=True), int(rate)
