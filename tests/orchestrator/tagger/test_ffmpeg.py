"""Files that libsndfile does not read, by the real ffmpeg and without one."""

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import soundfile

from features.errors import DataError
from orchestrator.tagger.ffmpeg import container_of, converted
from orchestrator.tagger.sounds import check_file, read_sound, readable

RATE = 44_100


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    """A WAV file of a second."""
    path = tmp_path / "tone.wav"
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * 440 / RATE * np.arange(RATE)), RATE)
    return path


@pytest.fixture
def ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real program as the only one of this name on PATH."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "ffmpeg"
    program.symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    monkeypatch.setenv("PATH", str(program.parent))
    return program


def encode(ffmpeg: Path, tone: Path, name: str, *options: str) -> Path:
    target = tone.parent / name
    subprocess.run([ffmpeg, "-v", "error", "-i", tone, *options, target], check=True)
    return target


@pytest.mark.parametrize("name", ["a.m4a", "a.mp4", "a.webm", "a.mka", "a.aac", "a.wma", "a.wv", "-x:y.m4a"])
def test_other_containers_are_read_as_their_sound(name: str, tone: Path, ffmpeg: Path) -> None:
    path = encode(ffmpeg, tone, "a" + Path(name).suffix).rename(tone.parent / name)
    assert container_of(path) is not None
    wanted, _ = read_sound(tone)
    for sound in (path, path.read_bytes()):
        found, rate = read_sound(sound)
        assert rate in (RATE, 48_000)
        assert abs(len(found) / rate - 1) < 0.1
        assert np.square(found).mean() == pytest.approx(np.square(wanted).mean(), rel=0.15)
    check_file(path)


def test_what_libsndfile_reads_is_not_converted(tone: Path, tmp_path: Path) -> None:
    with readable(tone) as path:
        assert path == tone
    for name in ("a.flac", "a.mp3", "a.ogg"):
        soundfile.write(tmp_path / name, np.zeros(RATE), RATE)
        assert container_of(tmp_path / name) is None
    assert container_of(tmp_path / "missing.m4a") is None


def test_broken_and_too_long_files_are_sentences(tone: Path, ffmpeg: Path) -> None:
    whole = encode(ffmpeg, tone, "a.m4a")
    broken = tone.parent / "broken.m4a"
    broken.write_bytes(whole.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"broken\.m4a cannot be decoded by ffmpeg \("):
        check_file(broken)
    with pytest.raises(DataError, match=r"^the sound cannot be decoded by ffmpeg \("):
        read_sound(broken.read_bytes())
    with pytest.raises(DataError, match=r"a\.m4a is too long"), readable(whole, most_values=1_000):
        pass


def test_a_file_can_name_no_other_file(tone: Path, ffmpeg: Path) -> None:
    playlist = tone.parent / "list.m4a"
    playlist.write_text(f"#EXTM3U\n#EXTINF:1,\nfile://{tone}\n")
    assert container_of(playlist) is None
    with pytest.raises(DataError, match="cannot be decoded by ffmpeg"), converted(playlist, "MP4", None):
        pass


def test_without_ffmpeg_the_sentence_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "a.m4a").write_bytes(b"\0\0\0\x20ftypM4A \0\0\0\0")
    with pytest.raises(
        DataError, match=r"a\.m4a is MP4 audio, which needs ffmpeg: install ffmpeg, or convert it to WAV"
    ):
        read_sound(tmp_path / "a.m4a")
