"""Files that libsndfile does not read, as WAV: MP4, WebM and others, by the program ffmpeg where it is installed."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from features.errors import DataError
from features.words import short

__all__ = ["container_of", "converted"]

MARKS = {
    "MP4": (4, b"ftyp"), "WebM or Matroska": (0, b"\x1a\x45\xdf\xa3"), "WMA": (0, bytes.fromhex("3026b2758e66cf11")),
    "AMR": (0, b"#!AMR"), "WavPack": (0, b"wvpk"),
}  # fmt: skip
"""Container -> where its mark is, and the mark."""
READERS = "mov,matroska,asf,amr,wv,aac"
"""ffmpeg's names of the containers. Others, such as playlists, could name other files or addresses to read."""
LONGEST_S = 600
"""Seconds that ffmpeg may take for a file; it decodes an hour of audio in a few."""


def container_of(path: Path) -> str | None:
    """The container of a file, if it is one that libsndfile does not read; None for any other file, or none."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            first = file.read(16)
    except OSError:
        return None
    if len(first) > 2 and first[0] == 0xFF and first[1] & 0xF6 == 0xF0:  # the bits in which MP3 differs are 0
        return "AAC"
    return next((name for name, (at, mark) in MARKS.items() if first[at : at + len(mark)] == mark), None)


@contextmanager
def converted(path: Path, container: str, most_bytes: int | None) -> Iterator[Path]:
    """A WAV file of the first sound track of a file, 16 bits, while the context lasts.

    Args:
        path: the file.
        container: what it is.
        most_bytes: of the WAV file; None: any number.

    Raises:
        DataError: ffmpeg is not installed, cannot decode the file, or the file is too long.
    """
    program = shutil.which("ffmpeg")
    if program is None:
        raise DataError(
            [f"{path} is {container} audio, which needs ffmpeg: install ffmpeg, or convert it to WAV or FLAC"]
        )
    with tempfile.TemporaryDirectory(prefix="sonogrid-") as folder:
        target = Path(folder) / "sound.wav"
        limit = [] if most_bytes is None else ["-fs", str(most_bytes)]
        command = [
            program, "-nostdin", "-v", "error", "-xerror", "-protocol_whitelist", "file", "-format_whitelist", READERS,
            "-i", f"file:{path.absolute()}", "-map", "0:a:0", "-c:a", "pcm_s16le", *limit, "-rf64", "auto",
            f"file:{target}",
        ]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, timeout=LONGEST_S, check=False)
        except subprocess.TimeoutExpired:
            raise DataError([f"{path} takes ffmpeg more than {LONGEST_S} s: convert it to WAV or FLAC"]) from None
        if done.returncode or not target.exists():
            said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
            raise DataError([f"{path} cannot be decoded by ffmpeg ({short(said[-1])}): restore it or leave it out"])
        if most_bytes is not None and target.stat().st_size >= most_bytes:
            raise DataError([f"{path} is too long: cut it into clips, or tag it in windows"])
        yield target
