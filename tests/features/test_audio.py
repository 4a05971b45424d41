import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from features.audio import AudioInfo, decode, open_audio, probe, read_mono, read_windows, resampled_length
from features.errors import DataError
from features.files import sha256_file
from features.settings import WaveformSettings
from features.shards import FeatureExtractor

Writer = Callable[..., np.ndarray]


def problem(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        probe(path)
    assert len(caught.value.problems) == 1
    sentence = caught.value.problems[0]
    assert str(path) in sentence
    assert "\n" not in sentence
    return sentence


def test_probe_says_what_the_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "naïve café – 犬 (take 1) #2.wav"
    soundfile.write(path, np.zeros((480, 2)), 48_000, subtype="PCM_24")
    assert probe(path) == AudioInfo(480, 48_000, 2, sha256_file(path))


@pytest.mark.parametrize(
    ("format_", "subtype"),
    [("WAV", "PCM_U8"), ("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "PCM_32"), ("WAV", "FLOAT"), ("WAV", "DOUBLE"),
     ("WAV", "ULAW"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("AIFF", "PCM_16"), ("W64", "PCM_16"), ("RF64", "PCM_16")],
)  # fmt: skip
def test_every_coding_is_scaled_and_whole(tmp_path: Path, audio_writer: Writer, format_: str, subtype: str) -> None:
    path = tmp_path / "clip.wav"
    written = audio_writer(path, format=format_, subtype=subtype)
    assert probe(path).n_samples == len(written)
    samples = read_mono(path, 44_100)
    assert samples.dtype == np.float32
    assert samples.shape == written.shape
    tolerance = {"VORBIS": 1.0, "ULAW": 0.02, "PCM_U8": 0.01}.get(subtype, 1e-4)
    np.testing.assert_allclose(samples, written, atol=tolerance)


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_numbers_above_full_scale_are_scaled_to_it(tmp_path: Path, subtype: str) -> None:
    """Mel features and 16-bit samples then are of the same sound; 16 bits would cut off what is above."""
    wave = np.sin(np.arange(4_000) / 7.0)[:, None] * [0.5, 1.0]
    soundfile.write(tmp_path / "usual.wav", wave, 16_000, subtype=subtype)
    soundfile.write(tmp_path / "loud.wav", 40 * wave, 16_000, subtype=subtype)
    peak = float(np.abs(wave).max())
    assert probe(tmp_path / "usual.wav").peak == pytest.approx(peak)
    assert probe(tmp_path / "loud.wav").peak == pytest.approx(40 * peak)
    usual, loud = (read_mono(tmp_path / name, 16_000) for name in ("usual.wav", "loud.wav"))
    np.testing.assert_allclose(usual, wave.mean(axis=1), atol=1e-6)
    np.testing.assert_allclose(loud, wave.mean(axis=1) / peak, atol=1e-6)
    assert np.abs(FeatureExtractor(WaveformSettings()).compute(loud)).max() == np.rint(0.75 * 32_768)


@pytest.mark.parametrize(
    ("format_", "subtype"),
    [("WAV", "PCM_16"), ("WAV", "FLOAT"), ("WAVEX", "PCM_24"), ("WAV", "ULAW"), ("AIFF", "PCM_16"), ("AU", "PCM_16"),
     ("W64", "PCM_16"), ("RF64", "PCM_16"), ("CAF", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS")],
)  # fmt: skip
def test_a_cut_file_is_refused(tmp_path: Path, audio_writer: Writer, format_: str, subtype: str) -> None:
    path = tmp_path / "cut.wav"
    audio_writer(path, format=format_, subtype=subtype)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    problem(path)


def test_a_wrong_riff_size_alone_is_harmless(tmp_path: Path, audio_writer: Writer) -> None:
    path = tmp_path / "clip.wav"
    n_samples = len(audio_writer(path))
    content = bytearray(path.read_bytes())
    content[4:8] = (2**32 - 1).to_bytes(4, "little")
    path.write_bytes(content)
    assert probe(path).n_samples == n_samples


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite_is_refused(tmp_path: Path, subtype: str, value: float) -> None:
    path = tmp_path / "nan.wav"
    samples = np.zeros(600_000)
    samples[-1] = value
    soundfile.write(path, samples, 44_100, subtype=subtype)
    assert "NaN" in problem(path)


def test_what_is_no_audio_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("this is not audio\n" * 100)
    (tmp_path / "folder.wav").mkdir()
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "device.wav").symlink_to("/dev/zero")
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    soundfile.write(tmp_path / "header.wav", np.zeros(0), 44_100)
    assert "0 bytes" in problem(tmp_path / "empty.wav")
    assert "not readable audio" in problem(tmp_path / "text.wav")
    for name in ("folder", "pipe", "device"):
        assert "not a regular file" in problem(tmp_path / f"{name}.wav")
    assert "cannot be opened" in problem(tmp_path / "loop.wav")
    assert "missing" in problem(tmp_path / "absent.wav")
    assert "no samples" in problem(tmp_path / "header.wav")


@pytest.mark.parametrize("rate_hz", [1, 999, 384_001])
def test_an_absurd_rate_is_refused(tmp_path: Path, rate_hz: int) -> None:
    soundfile.write(tmp_path / "rate.wav", np.zeros(100), rate_hz)
    assert f"{rate_hz} Hz" in problem(tmp_path / "rate.wav")


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = np.random.default_rng(0).uniform(-1, 1, (2, 1_000))
    soundfile.write(tmp_path / "stereo.wav", np.stack([left, right], axis=1), 44_100, subtype="FLOAT")
    np.testing.assert_allclose(read_mono(tmp_path / "stereo.wav", 44_100), (left + right) / 2, atol=1e-6)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_056, 44_101, 48_000, 96_000, 192_000])
def test_resampling_keeps_duration_and_pitch(tmp_path: Path, rate_hz: int) -> None:
    n = rate_hz // 2 + 1
    soundfile.write(tmp_path / "tone.wav", 0.5 * np.sin(2 * np.pi * 1_000 * np.arange(n) / rate_hz), rate_hz)
    samples = read_mono(tmp_path / "tone.wav", 44_100)
    assert samples.shape == (resampled_length(n, rate_hz, 44_100),)
    assert len(samples) / 44_100 == pytest.approx(n / rate_hz, abs=1 / 44_100)
    expected = 0.5 * np.sin(2 * np.pi * 1_000 * np.arange(len(samples)) / 44_100)
    np.testing.assert_allclose(samples[500:-500], expected[500:-500], atol=0.05)


def test_resampled_lengths_are_rounded_up() -> None:
    for case, expected in {(10, 3, 2): 7, (9, 3, 2): 6, (1, 48_000, 16_000): 1, (2, 1, 3): 6}.items():
        assert resampled_length(*case) == expected


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 192_000])
def test_one_sample_stays_a_clip(tmp_path: Path, rate_hz: int) -> None:
    soundfile.write(tmp_path / "one.wav", np.ones(1) * 0.5, rate_hz)
    assert probe(tmp_path / "one.wav").n_samples == 1
    samples = read_mono(tmp_path / "one.wav", 44_100)
    assert len(samples) == resampled_length(1, rate_hz, 44_100) >= 1
    assert np.isfinite(samples).all()


def test_threads_are_left_alone(tmp_path: Path, audio_writer: Writer) -> None:
    before = torch.get_num_threads()
    audio_writer(tmp_path / "clip.wav", rate_hz=48_000)
    read_mono(tmp_path / "clip.wav", 44_100)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("ending", ["wav", "flac", "mp3", "ogg"])
@pytest.mark.parametrize(("window_s", "hop_s"), [(0.3, 0.3), (0.3, 0.1), (0.2, 0.5), (9.0, 9.0)])
def test_windows_are_parts_of_the_recording(ending: str, window_s: float, hop_s: float, tmp_path: Path) -> None:
    path, rate = tmp_path / f"long.{ending}", 16_000
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, (round(1.15 * rate), 2)), rate)
    whole, whole_rate = decode(path)
    assert whole_rate == rate
    windows = list(read_windows(path, window_s, hop_s))
    assert [start for start, _, _ in windows] == pytest.approx([hop_s * index for index in range(len(windows))])
    for start, samples, window_rate in windows:
        first = round(start * rate)
        assert window_rate == rate
        np.testing.assert_allclose(samples, whole[first : first + round(window_s * rate)], atol=1e-6)
    last_start, last, _ = windows[-1]
    assert round(last_start * rate) + len(last) == len(whole) or hop_s > window_s


def test_a_long_recording_is_cut_but_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, np.zeros(30_000), 8_000)
    with pytest.raises(DataError, match="is too long"), open_audio(path, 20_000):
        pass
    with open_audio(path, None) as sound:
        assert sound.frames == 30_000
    assert len(list(read_windows(path, 1.0, 1.0))) == 4


def test_a_recording_that_turns_bad_is_refused_where_it_does(tmp_path: Path) -> None:
    samples = np.zeros(8_000, np.float32)
    samples[5_000] = np.nan
    path = tmp_path / "nan.wav"
    soundfile.write(path, samples, 8_000, subtype="FLOAT")
    windows = read_windows(path, 0.25, 0.25)
    assert [next(windows)[0], next(windows)[0]] == [0.0, 0.25]
    with pytest.raises(DataError, match="holds NaN, infinite or far too large samples"):
        next(windows)
