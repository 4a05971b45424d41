"""One audio file: check it once (`probe`), read it as mono at a wanted rate (`read_mono`).

Files are opened through a descriptor and judged by content, never by suffix: a renamed text file is detected, and a
pipe or a device is refused instead of waited for.
"""

import hashlib
import mmap
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from features.errors import DataError
from features.words import count

if TYPE_CHECKING:
    import torchaudio

__all__ = [
    "AudioInfo", "decode", "open_audio", "probe", "read_mono", "read_windows", "resample", "resampled_length",
    "resampler", "to_mono", "without_notes",
]  # fmt: skip

MIN_RATE_HZ = 1_000
MAX_RATE_HZ = 384_000
MAX_SAMPLE = 100.0
"""Full scale is 1; forty decibels above it a file holds numbers of another scale, or no audio."""
MAX_VALUES = 1 << 26
"""Samples of all channels: 25 minutes of mono at 44.1 kHz. A clip is decoded and predicted as a whole, in memory."""

_BLOCK_SAMPLES = 1 << 18
_FLOATS = {"FLOAT", "DOUBLE"}
_UNCOMPRESSED = {"WAV", "WAVEX", "RF64", "W64", "AIFF", "AU"}
# Formats whose damage libsndfile notices; it reads others too, but accepts half a file as a complete one.
_FORMATS = _UNCOMPRESSED | {"FLAC", "OGG", "MP3", "MPEG"}
# libsndfile quietly cuts a data chunk that claims more bytes than there are, and says so only in its log.
_CLAIM = re.compile(r"^\s*(?:data|SSND|Data Size|riff)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
_RF64_CLAIM = "does not match value from 'ds64' chunk"
_AIFF_CLAIM = "Frame count read from 'COMM' chunk"
# It decodes the complete pages of an Ogg file, and what the data chunk of a WAV file claims, even if there is more.
_OGG_DAMAGE = re.compile(r"lacks an end-of-stream bit|Corrupted bitstream|reports a hole|Junk after the last page")
_RIFF_SIZES = re.compile(r"^Length : (\d+)\nRIFF : (\d+)$", re.MULTILINE)
_RIFF_JUNK = "Exiting parser"
_JUNK_BYTES = 4_096
"""After the end of a WAV file, fewer bytes may be the tag of a program; more may be sound that its header omits."""
# A sample's place in a WAV file follows from the block align; where it fits no width, libsndfile guesses.
_BLOCKS = re.compile(r"Channels +: (\d+)\n.*\n +Block Align +: (\d+).*\n +Bit Width +: (\d+)")
# Of several files joined into one, it decodes only the first.
_STARTS = {"FLAC": b"fLaC\0\0\0\x22", "OGG": b"OggS\0\2"}
# Bounds the resampling kernel, which at 44,101 Hz would take gigabytes. Every usual rate has an exact ratio below this;
# the pitch of the others is off by less than half a cent.
_MAX_DENOMINATOR = 2_048


@dataclass(frozen=True)
class AudioInfo:
    """What is known about an audio file without keeping its samples."""

    n_samples: int
    """Samples per channel, at the file's own rate."""
    sample_rate_hz: int
    channels: int
    sha256: str
    """Of the file's bytes, hex."""
    peak: float = 0.0
    """Highest absolute sample of a floating-point coding, in which full scale is 1; 0 in others, which can't exceed it.
    """


def probe(path: Path) -> AudioInfo:
    """Check that a file is complete, usable audio.

    Integer PCM is judged by its header; every other coding is decoded in blocks, as it may hold NaN or end early.

    Args:
        path: the file.

    Returns:
        Length, rate, channels and checksum.

    Raises:
        DataError: one sentence; the file is missing, not a regular file, empty, truncated, not audio, holds NaN,
            infinity or numbers far beyond full scale, is too long, or has an absurd sample rate.
    """
    peak = 0.0
    with _descriptor(path) as descriptor:
        with _decoder(path, descriptor) as sound:
            if sound.format not in _UNCOMPRESSED or not sound.subtype.startswith("PCM_"):
                peak = _check_samples(path, sound)
            floats = sound.subtype in _FLOATS
            facts = sound.frames, sound.samplerate, sound.channels
            start = _STARTS.get(sound.format)
        if start is not None:
            with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as content:
                if content.find(start, content.find(start) + 1) > 0:
                    raise DataError([f"{path} holds several recordings, one after another: split it into files"])
        os.lseek(descriptor, 0, os.SEEK_SET)
        with open(descriptor, "rb", buffering=0, closefd=False) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return AudioInfo(*facts, digest, peak if floats else 0.0)


def read_mono(path: Path, sample_rate_hz: int) -> np.ndarray:
    """Read a file as mono at the wanted rate.

    Args:
        path: the file; any format, PCM or float width and number of channels that libsndfile reads.
        sample_rate_hz: wanted rate.

    Returns:
        float32 (samples,), integer codings scaled to [-1, 1], floating-point ones as they are, but scaled to a peak of
        1 if theirs is higher, channels averaged, resampled with `torchaudio.functional.resample`'s windowed sinc;
        `resampled_length` samples, at least 1.

    Raises:
        DataError: the file cannot be read.
    """
    return resample(*decode(path), sample_rate_hz)


def decode(path: Path) -> tuple[np.ndarray, int]:
    """Read a file as mono at its own rate: float32 (samples,), as `read_mono` scales it, and the rate in Hz.

    Raises:
        DataError: the file cannot be read.
    """
    with open_audio(path) as sound:
        source_hz: int = sound.samplerate
        try:
            # The number is given because some codings (GSM) can't seek to find it.
            frames = sound.read(sound.frames, dtype="float32", always_2d=True)  # (samples, channels)
        except soundfile.LibsndfileError as error:
            raise _damaged(path, error) from None
        floats = sound.subtype in _FLOATS
    if len(frames) == 0:
        raise DataError([f"{path} holds no samples: restore it or remove its row"])
    return to_mono(frames, floats=floats), source_hz


def read_windows(path: Path, window_s: float, hop_s: float) -> Iterator[tuple[float, np.ndarray, int]]:
    """Cut a recording of any length into windows, each read like a file of its own, in the memory of one window.

    Args:
        path: the file.
        window_s: length of a window, s; the last one ends with the recording and may be shorter.
        hop_s: from the start of a window to that of the next, s.

    Yields:
        Start of the window, s; float32 (samples,) at the recording's own rate, as `decode` scales it; the rate in Hz.

    Raises:
        DataError: the file cannot be read, or ends early.
    """
    with open_audio(path, most_values=None) as sound:
        rate, floats = sound.samplerate, sound.subtype in _FLOATS
        window, hop = max(1, round(window_s * rate)), max(1, round(hop_s * rate))
        kept = np.zeros((0, sound.channels), np.float32)
        start = 0
        while True:
            fresh = _read_block(path, sound, window - len(kept))
            frames = np.concatenate([kept, fresh])
            if len(frames):
                yield start / rate, to_mono(frames, floats=floats), rate
            if len(frames) < window or start + window >= sound.frames:
                break
            kept = frames[hop:]
            for skipped in range(0, hop - window, _BLOCK_SAMPLES):
                _read_block(path, sound, min(_BLOCK_SAMPLES, hop - window - skipped))
            start += hop
        if start + len(frames) < sound.frames:
            raise DataError([f"{path} is truncated (it has fewer samples than its header claims): restore it"])


def _read_block(path: Path, sound: soundfile.SoundFile, length: int) -> np.ndarray:
    """float32 (samples, channels), fewer at the end; refuses what `probe` refuses."""
    try:
        frames: np.ndarray = sound.read(length, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise _damaged(path, error) from None
    if not np.isfinite(frames).all() or (len(frames) and np.abs(frames).max() > MAX_SAMPLE):
        raise DataError([f"{path} holds NaN, infinite or far too large samples: restore it or remove its row"])
    return frames


def to_mono(frames: np.ndarray, *, floats: bool) -> np.ndarray:
    """The mean of channels (samples, channels) -> (samples,); numbers beyond full scale are first scaled down to it.

    Args:
        frames: float32 samples.
        floats: whether they were floating-point numbers, which can exceed full scale.
    """
    if floats and (peak := float(np.abs(frames).max())) > 1:  # 16-bit features would cut it off
        frames = frames / peak
    mono: np.ndarray = frames[:, 0] if frames.shape[1] == 1 else frames.mean(axis=1)
    return mono


@contextmanager
def without_notes() -> Iterator[None]:
    """Keep the notes that libmpg123 writes about odd MP3 files off the terminal; errors are raised all the same."""
    try:
        kept = os.dup(2)
    except OSError:  # standard error is closed
        yield
        return
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def resampled_length(n_samples: int, source_hz: int, target_hz: int) -> int:
    """Samples after resampling: the duration kept, rounded up."""
    return -(-n_samples * target_hz // source_hz)


def resample(mono: np.ndarray, source_hz: int, target_hz: int) -> np.ndarray:
    """float32 (samples,) at another rate: `resampled_length` samples, by a windowed sinc."""
    if source_hz == target_hz:
        return mono
    import torch  # here, so that checking files and planning do not wait for it

    resampled = resampler(source_hz, target_hz)(torch.from_numpy(mono)).numpy()  # (samples',)
    length = resampled_length(len(mono), source_hz, target_hz)
    padded = np.zeros(length, np.float32)
    padded[: len(resampled)] = resampled[:length]
    return padded


@lru_cache(maxsize=8)
def resampler(source_hz: int, target_hz: int) -> "torchaudio.transforms.Resample":
    """A resampler with its kernel, which costs more to compute than to apply to a short clip."""
    import torchaudio

    ratio = Fraction(target_hz, source_hz).limit_denominator(_MAX_DENOMINATOR)
    return torchaudio.transforms.Resample(ratio.denominator, ratio.numerator)


@contextmanager
def open_audio(path: Path, most_values: int | None = MAX_VALUES) -> Iterator[soundfile.SoundFile]:
    """A libsndfile reader of a regular file whose header has been checked.

    Args:
        path: the file.
        most_values: of all channels; None: any number.

    Raises:
        DataError: it cannot be read.
    """
    with _descriptor(path) as descriptor, _decoder(path, descriptor, most_values) as sound:
        yield sound


@contextmanager
def _descriptor(path: Path) -> Iterator[int]:
    """Open a regular file for reading; nothing else is touched, as opening a pipe blocks and a device may act."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DataError([f"{path} is not a regular file: put the audio file itself there"])
        if status.st_size == 0:
            raise DataError([f"{path} is empty (0 bytes): restore it or remove its row"])
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise DataError([f"{path} is missing: restore it or remove its row"]) from None
    except OSError as error:
        raise DataError([f"{path} cannot be opened ({error.strerror}): restore it or remove its row"]) from None
    try:
        yield descriptor
    except OSError as error:
        raise DataError([f"{path} cannot be read ({error.strerror}): restore it or remove its row"]) from None
    finally:
        os.close(descriptor)


@contextmanager
def _decoder(path: Path, descriptor: int, most_values: int | None = MAX_VALUES) -> Iterator[soundfile.SoundFile]:
    """A libsndfile reader whose header has been checked."""
    try:
        sound = soundfile.SoundFile(descriptor, closefd=False)
    except soundfile.LibsndfileError as error:
        reason = error.error_string.rstrip(".")
        # It reports a file that only looks like MP3 as missing.
        reason = "Format not recognised" if reason.startswith("File does not exist") else reason
        raise DataError([f"{path} is not readable audio ({reason}): restore it or remove its row"]) from None
    with sound:
        _check_header(path, sound)
        if most_values is not None and sound.frames * sound.channels > most_values:
            raise DataError(
                [f"{path} is too long ({sound.frames} samples, {sound.channels} channels): cut it into clips"]
            )
        if not MIN_RATE_HZ <= sound.samplerate <= MAX_RATE_HZ:
            raise DataError(
                [
                    f"{path} has a sample rate of {sound.samplerate} Hz, outside {MIN_RATE_HZ}-{MAX_RATE_HZ} Hz: "
                    "its header is wrong, restore it or remove its row"
                ]
            )
        yield sound


def _check_header(path: Path, sound: soundfile.SoundFile) -> None:
    """Refuse what can't be read whole; libsndfile reports much of it in its log only."""
    if sound.format not in _FORMATS:
        raise DataError(
            [f"{path} is {sound.format} audio, of which a lost part would go unnoticed: convert it to WAV or FLAC"]
        )
    log = sound.extra_info
    if any(int(claimed) > int(present) for claimed, present in _CLAIM.findall(log)) or _RF64_CLAIM in log:
        raise DataError([f"{path} is truncated (its header claims more data than it has): restore it"])
    if sound.format == "OGG" and _OGG_DAMAGE.search(log):
        raise DataError([f"{path} is truncated or damaged (pages of its Ogg stream are missing): restore it"])
    sizes = _RIFF_SIZES.search(log)
    if sizes and _RIFF_JUNK in log and not 0 < int(sizes[1]) - int(sizes[2]) - 8 <= _JUNK_BYTES:
        raise DataError([f"{path} is damaged (its header claims fewer samples than it has): restore it"])
    if sound.format == "AIFF" and _AIFF_CLAIM in log:
        raise DataError([f"{path} is damaged (its header gives two lengths): restore it"])
    blocks = _BLOCKS.search(log) if sound.subtype.startswith("PCM_") else None
    if blocks and int(blocks[2]) != int(blocks[1]) * -(-int(blocks[3]) // 8):
        raise DataError(
            [
                f"{path} is damaged (its block align of {blocks[2]} bytes does not fit "
                f"{count(int(blocks[1]), 'channel')} of {blocks[3]} bits): restore it"
            ]
        )
    if sound.frames <= 0:
        raise DataError([f"{path} holds no samples: restore it or remove its row"])


def _check_samples(path: Path, sound: soundfile.SoundFile) -> float:
    """Decode in blocks; refuse NaN, infinity, absurd levels and a stream that ends before its header says.

    Returns:
        The highest absolute sample.
    """
    decoded, peak = 0, 0.0
    try:
        # As float32, the way they will be used: a float64 sample beyond its range is infinite too.
        while len(block := sound.read(_BLOCK_SAMPLES // sound.channels + 1, dtype="float32", always_2d=True)):
            decoded += len(block)
            if not np.isfinite(block).all():
                raise DataError([f"{path} holds NaN or infinite samples: restore it or remove its row"])
            if (highest := float(np.abs(block).max())) > MAX_SAMPLE:
                raise DataError(
                    [f"{path} holds samples of up to {highest:g} where full scale is 1: scale it or remove its row"]
                )
            peak = max(peak, highest)
    except soundfile.LibsndfileError as error:
        raise _damaged(path, error) from None
    if decoded != sound.frames:
        raise DataError([f"{path} is truncated (it ends after {decoded} of {sound.frames} samples): restore it"])
    return peak


def _damaged(path: Path, error: soundfile.LibsndfileError) -> DataError:
    return DataError([f"{path} is damaged ({error.error_string.rstrip('.')}): restore it or remove its row"])
