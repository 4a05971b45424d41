"""Hostile audio files through the command line: headers that lie, odd codings, things that are no files."""

import gzip
import os
import shutil
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from features.audio import probe, read_mono
from features.errors import DataError
from features.mel import MelSpectrogram
from features.settings import MelSettings
from orchestrator.cli.main import main

Tell = Callable[..., tuple[str, int]]
Keep = Callable[[str, Sequence[tuple[str, str, int]]], None]

SAMPLES = np.random.default_rng(0).uniform(-0.5, 0.5, 4_410)
PCM = (SAMPLES * 32_767).astype("<i2").tobytes()


def chunk(name: bytes, content: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(content) if size is None else size) + content + b"\0" * (len(content) % 2)


def wav(
    content: bytes = PCM, *, tag: int = 1, channels: int = 1, rate: int = 44_100, bits: int = 16,
    align: int | None = None, size: int | None = None, riff: int | None = None, name: bytes = b"RIFF",
    before: bytes = b"", after: bytes = b"",
) -> bytes:  # fmt: skip
    """A WAV file with any header."""
    align = channels * bits // 8 if align is None else align
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * align & 0xFFFFFFFF, align & 0xFFFF, bits)
    body = b"WAVE" + chunk(b"fmt ", form) + before + chunk(b"data", content, size) + after
    return name + struct.pack("<I", len(body) if riff is None else riff) + body


def floats(*values: float, width: int = 4) -> bytes:
    return np.repeat(np.array(values, f"<f{width}"), 500).tobytes()


def aiff(frames: int) -> bytes:
    """An AIFF file of 4,410 samples whose header says how many frames it has."""
    rate = b"\x40\x0e\xac\x44" + b"\0" * 6  # 44,100, as a float of 80 bits
    comm = b"COMM" + struct.pack(">IhIh", 18, 1, frames, 16) + rate
    body = b"AIFF" + comm + b"SSND" + struct.pack(">III", len(PCM) + 8, 0, 0) + PCM
    return b"FORM" + struct.pack(">I", len(body)) + body


def written(tmp_path: Path, format_: str, subtype: str, keep: float = 1.0, flip: bool = False) -> bytes:
    """What libsndfile writes, whole, cut, or with a flipped byte in the middle."""
    path = tmp_path / "written"
    soundfile.write(
        path, np.tile(SAMPLES, 10), 48_000 if subtype == "OPUS" else 44_100, format=format_, subtype=subtype
    )
    content = bytearray(path.read_bytes())
    if flip:
        content[len(content) // 2] ^= 0xFF
    return bytes(content[: int(len(content) * keep)])


BYTES: dict[str, bytes] = {
    "0 channels": wav(channels=0),
    "65,535 channels": wav(channels=65_535),
    "1,024 channels": wav(PCM[:4_096], channels=1_024),
    "0 Hz": wav(rate=0),
    "1 Hz": wav(rate=1),
    "4 GHz": wav(rate=4_000_000_000),
    "0 bits": wav(bits=0, align=2),
    "block align 0": wav(align=0),
    "block align 7": wav(align=7),
    "data size 0xFFFFFFFF": wav(size=0xFFFFFFFF),
    "data size 0": wav(size=0),
    "data size half of what is there": wav(size=len(PCM) // 2),
    "data size four times what is there": wav(size=len(PCM) * 4),
    "an odd number of bytes": wav(PCM[:-1]),
    "RIFF size 0xFFFFFFFF": wav(riff=0xFFFFFFFF),
    "RIFF size 0": wav(riff=0),
    "RF64 without ds64": wav(name=b"RF64", riff=0xFFFFFFFF, size=0xFFFFFFFF),
    "a chunk of 4 GB before the data": wav(before=b"junk" + struct.pack("<I", 0xFFFFFFF0)),
    "a LIST chunk before the data": wav(before=chunk(b"LIST", b"INFO" + chunk(b"INAM", b"abcd"))),
    "two data chunks": wav(after=chunk(b"data", PCM)),
    "AIFF with two lengths": aiff(frames=1_000),
    "garbage after the end": wav() + b"garbage" * 100,
    "half of the samples after the end": wav(PCM + PCM, size=len(PCM), riff=36 + len(PCM)),
    "24 bits in 3 bytes": wav(np.zeros(3_000, "u1").tobytes(), bits=24),
    "24 bits in 4 bytes": wav((SAMPLES * 2**31).astype("<i4").tobytes(), bits=24, align=4),
    "stereo that calls itself mono": wav(align=4),
    "two WAV files": wav() * 2,
    "WAV after an ID3 tag": b"ID3\3\0\0\0\0\0\x0a" + b"\0" * 10 + wav(),
    "WAV after a line break": b"\r\n" + wav(),
    "WAV sent as text": wav().decode("latin-1").encode(),
    "WAV, packed by gzip": gzip.compress(wav(), mtime=0),
    "RIFX": wav(name=b"RIFX"),
    "two fmt chunks": wav(before=chunk(b"fmt ", struct.pack("<HHIIHH", 1, 2, 8_000, 32_000, 4, 16))),
    "a constant": wav(b"\xff\x7f" * 500),
    "8-bit silence": wav(b"\x80" * 500, bits=8),
    "float32 with NaN in the second channel": wav(floats(0.5, np.nan)[: 4 * 1_000], tag=3, bits=32, channels=2),
    "no data chunk": wav()[:36],
    "a header alone": wav(b""),
    "four bytes": b"RIFF",
    "one sample": wav(PCM[:2]),
    "digital silence": wav(b"\0" * 8_820),
    "unknown coding": wav(tag=0x1234),
    "12-bit samples": wav(bits=12, align=2),
    "float32 samples of 1e38": wav(floats(1e38), tag=3, bits=32),
    "float32 samples scaled as 16-bit integers": wav(floats(20_000.0, -20_000.0), tag=3, bits=32),
    "float32 samples up to 4": wav(floats(4.0, -4.0), tag=3, bits=32),
    "float32 denormal samples": wav(floats(1e-44), tag=3, bits=32),
    "float32 with infinity": wav(floats(0.5, np.inf), tag=3, bits=32),
    "float64 with NaN": wav(floats(0.5, np.nan, width=8), tag=3, bits=64),
    "float64 samples of 1e300": wav(floats(1e300, width=8), tag=3, bits=64),
    "opposite channels": wav(np.tile(np.array([0.5, -0.5], "<f4"), 500).tobytes(), tag=3, bits=32, channels=2),
    "an HTML page": b"<html><body>404 Not Found</body></html>",
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12345\n",
    "JSON": b'{"error": "not found"}',
    "random bytes": np.random.default_rng(1).bytes(5_000),
    "what starts like MP3": b"\xff\xfb\x90\0" + b"\0" * 5_000,
    "a ZIP file": b"PK\x03\x04" + b"\0" * 200,
    "zeros": b"\0" * 5_000,
    "no bytes": b"",
}
CODINGS = (
    ("WAV", "PCM_U8"), ("WAVEX", "PCM_24"), ("WAV", "PCM_32"), ("WAV", "DOUBLE"), ("WAV", "ALAW"), ("WAV", "ULAW"),
    ("WAV", "GSM610"), ("WAV", "IMA_ADPCM"), ("AU", "G721_32"), ("RF64", "PCM_16"), ("AIFF", "PCM_16"),
    ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III"), ("NIST", "PCM_16"), ("MAT5", "PCM_16"),
    ("VOC", "PCM_16"), ("CAF", "PCM_16"), ("W64", "PCM_16"), ("OGG", "OPUS"), ("WAV", "MS_ADPCM"),
)  # fmt: skip
CUT = (("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III"), ("WAV", "GSM610"))


SHORT = (("AIFF", "PCM_16"), ("W64", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"))


def test_audio_files(dataset: Path, tmp_path: Path, tell: Tell, keep: Keep) -> None:
    contents = dict(BYTES)
    contents |= {f"{kind} {coding} named .wav": written(tmp_path, kind, coding) for kind, coding in CODINGS}
    contents |= {f"{kind} {coding}, cut": written(tmp_path, kind, coding, keep=0.6) for kind, coding in CUT}
    contents |= {f"{kind} {coding}, a byte short": written(tmp_path, kind, coding)[:-1] for kind, coding in SHORT}
    contents |= {f"two {kind} files": written(tmp_path, kind, coding) * 2 for kind, coding in (CUT[1], CUT[2])}
    contents |= {f"{kind}, a byte flipped": written(tmp_path, kind, c, flip=True) for kind, c in (CUT[1], CUT[2])}
    clip = dataset / "train_curated" / "x.wav"
    with (dataset / "train_curated.csv").open("a") as file:
        file.write("x.wav,A\n")
    mel, rows = MelSpectrogram(MelSettings()), []
    for case, content in contents.items():
        clip.write_bytes(content)
        words, code = tell("check", "data")
        loud = "full scale, such as train_curated/x.wav" in words
        assert (code == 2) == ("x.wav" in words and not loud), case
        if code == 0:
            samples = read_mono(clip, 44_100)
            assert len(samples) > 0, case
            assert np.isfinite(mel(samples)).all(), case
            assert not loud or np.abs(samples).max() <= 1.0, case
            words = words.partition(" / ")[0] if loud else words if words.startswith("note: 1 clip") else "no problems"
        else:
            assert words.count(" / ") == 0, case
        rows.append((case, words, code))
    clip.unlink()
    for case, make in THINGS.items():
        make(clip)
        words, code = tell("check", "data")
        rows.append((case, words, code))
        assert code == 2, case
        clip.rmdir() if clip.is_dir() and not clip.is_symlink() else clip.unlink()
    keep("Audio files", rows)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def outside(path: Path) -> None:
    shutil.copy(path.with_name("c0.wav"), path.parent.parent / "outside.wav")
    path.symlink_to("../outside.wav")


THINGS: dict[str, Callable[[Path], None]] = {
    "a folder": lambda path: path.mkdir(),
    "a named pipe": fifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to itself": lambda path: path.symlink_to("x.wav"),
    "a link to nothing": lambda path: path.symlink_to("gone.wav"),
    "a link out of the dataset": outside,
}


def test_an_hour_is_read_and_a_longer_claim_is_not(tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    soundfile.write(path, np.zeros(3_600 * 1_000, np.int16), 1_000)
    assert probe(path).n_samples == 3_600_000
    # A sparse file: the samples are not on the disk, but the header's claim about them holds.
    rate, channels, seconds = 44_100, 8, 3_600
    n_bytes = rate * channels * 2 * seconds
    path.write_bytes(wav(b"", channels=channels, size=n_bytes, riff=n_bytes + 36))
    os.truncate(path, 44 + n_bytes)
    with pytest.raises(DataError, match=r"is too long \(158760000 samples, 8 channels\): cut it into clips"):
        probe(path)
    n_bytes = rate * 2 * seconds
    path.write_bytes(wav(b"", size=n_bytes, riff=n_bytes + 36))
    os.truncate(path, 44 + n_bytes)
    with pytest.raises(DataError, match=r"is too long \(158760000 samples, 1 channels\): cut it into clips"):
        probe(path)


def test_nothing_but_the_sentence_is_said_of_an_mp3_that_is_none(
    dataset: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (dataset / "train_curated" / "c0.wav").write_bytes(BYTES["what starts like MP3"])
    assert main(["check", str(dataset)]) == 2
    out, error = capfd.readouterr()
    assert (out, error.count("\n")) == ("", 1)
    assert "c0.wav is not readable audio (Format not recognised)" in error
