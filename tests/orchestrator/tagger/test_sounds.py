from pathlib import Path

import numpy as np
import pytest
import soundfile

from features.audio import decode
from features.errors import DataError, InputError
from orchestrator.tagger.sounds import read_sound


def test_a_file_its_bytes_and_its_samples_are_one_sound(tmp_path: Path) -> None:
    stereo = np.random.default_rng(0).uniform(-0.9, 0.9, (800, 2))
    path = tmp_path / "a.wav"
    soundfile.write(path, stereo, 8_000, subtype="PCM_16")
    mono, rate = read_sound(path)
    assert (rate, mono.shape, mono.dtype) == (8_000, (800,), np.float32)
    np.testing.assert_array_equal(mono, decode(path)[0])
    np.testing.assert_array_equal(read_sound(path.read_bytes())[0], mono)
    integers, _ = soundfile.read(path, dtype="int16")
    np.testing.assert_allclose(read_sound(integers, 8_000)[0], mono, atol=1e-7)
    np.testing.assert_allclose(read_sound(integers / 32_768, 8_000)[0], mono, atol=1e-7)
    assert read_sound(3 * stereo, 8_000)[0].max() <= 1  # as of a file of floating-point numbers


@pytest.mark.parametrize(
    ("sound", "rate", "sentence"),
    [
        (np.zeros(8), None, r"samples need their rate in Hz"),
        (np.zeros(8), 10, "a rate of 10 Hz is outside"),
        (np.zeros(0), 8_000, r"have the shape \(0,\): give \(samples,\) or"),
        (np.zeros((2, 2, 2)), 8_000, r"have the shape \(2, 2, 2\)"),
        (np.zeros(8, bool), 8_000, "samples are bool: give signed integers"),
        (np.array([np.nan]), 8_000, "hold NaN, infinity"),
        (np.array([1e6]), 8_000, "numbers far above full scale"),
        (b"RIFF", 8_000, "a rate belongs to samples"),
        (b"RIFF", None, "^the sound is not readable audio .*: leave it out$"),
        (b"", None, r"^the sound is empty \(0 bytes\): leave it out$"),
        ("nowhere.wav", None, "^nowhere.wav is missing: leave it out$"),
    ],
)
def test_what_is_no_sound_is_a_sentence(sound: object, rate: int | None, sentence: str) -> None:
    with pytest.raises((InputError, DataError), match=sentence):
        read_sound(sound, rate)  # type: ignore[arg-type]
