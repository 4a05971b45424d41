"""Excerpts can be played and seen."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from features.errors import DataError
from orchestrator.pages.sounds import RATE_HZ, SECONDS, excerpt, excerpt_of


def content(address: str, kind: str) -> bytes:
    head, _, body = address.partition(",")
    assert head == f"data:{kind};base64"
    return base64.b64decode(body)


@pytest.mark.parametrize(("seconds", "rate"), [(1.5, 44_100), (12.0, 8_000)])
def test_the_beginning_of_a_tone_is_that_tone(tmp_path: Path, seconds: float, rate: int) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * 1_000 * np.arange(int(seconds * rate)) / rate), rate)
    found = excerpt(path)
    assert found.seconds == pytest.approx(min(seconds, SECONDS), abs=0.01)
    samples, rate_hz = soundfile.read(io.BytesIO(content(found.audio, "audio/mpeg")))
    assert rate_hz == RATE_HZ
    assert len(samples) / RATE_HZ == pytest.approx(found.seconds, abs=0.15)
    strongest = np.abs(np.fft.rfft(samples[:RATE_HZ])).argmax()
    assert strongest == pytest.approx(1_000, abs=2), "Hz, of one second"
    image = Image.open(io.BytesIO(content(found.picture, "image/png")))
    brightest = np.asarray(image.convert("L")).mean(axis=1).argmax()
    assert image.height / 3 < brightest < image.height, "a low tone is in the lower part"


def test_a_file_that_is_no_sound_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_text("no sound")
    with pytest.raises(DataError, match=r"x\.wav"):
        excerpt(tmp_path / "x.wav")


def test_samples_may_have_another_picture(tmp_path: Path) -> None:
    tone = np.sin(np.arange(8_000) / 4).astype(np.float32)
    plain, other = excerpt_of(tone, 8_000), excerpt_of(tone, 8_000, np.zeros((10, 4)))
    assert plain.mp3 == other.mp3
    assert plain.png != other.png
    assert plain.seconds == pytest.approx(1.0)
