from pathlib import Path

import numpy as np
import pytest

from features.encoders.encoder import MAX_WINDOWS, Encoder, cut_windows
from features.errors import InputError
from features.settings import EmbeddingSettings
from tests.fixtures.encoders import DIMS, write_onnx


def settings(window_s: float, hop_s: float) -> EmbeddingSettings:
    return EmbeddingSettings(
        model="x.onnx", sha256="0" * 64, sample_rate_hz=1_000, dims=3, window_s=window_s, hop_s=hop_s
    )


@pytest.mark.parametrize("n_samples", [1, 99, 100, 101, 140, 141, 149, 150, 151, 1_000])
@pytest.mark.parametrize("hop_s", [0.04, 0.05, 0.1, 0.3])
def test_windows_cover_the_clip_and_are_as_many_as_planned(n_samples: int, hop_s: float) -> None:
    chosen = settings(0.1, hop_s)
    samples = np.arange(n_samples, dtype=np.float32)
    windows = cut_windows(samples, chosen.window_samples, chosen.hop_samples)
    assert windows.shape == (chosen.rows(n_samples), 100)
    assert windows.dtype == np.float32
    assert windows[-1, -1] == (n_samples - 1 if n_samples >= 100 else 99 % n_samples)
    np.testing.assert_array_equal(windows[0, : min(n_samples, 100)], samples[:100])
    for number, window in enumerate(windows[:-1]):
        assert window[0] == number * chosen.hop_samples
    if hop_s <= 0.1:
        assert set(windows.ravel()) == set(samples)


def test_a_short_clip_is_repeated() -> None:
    np.testing.assert_array_equal(cut_windows(np.array([1.0, 2.0, 3.0], np.float32), 7, 2), [[1, 2, 3, 1, 2, 3, 1]])


def test_many_windows_go_through_in_parts(tmp_path: Path) -> None:
    encoder = Encoder(write_onnx(tmp_path / "tiny.onnx"))
    windows = np.random.default_rng(0).uniform(-1, 1, (2 * MAX_WINDOWS + 3, 600)).astype(np.float32)
    found = encoder(windows)
    assert found.shape == (len(windows), DIMS)
    assert encoder.dims(600) == DIMS
    np.testing.assert_allclose(found[-2:], encoder(windows[-2:]), atol=1e-6)


def test_a_file_that_is_no_encoder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.onnx is not a file: give the file of an encoder"):
        Encoder(tmp_path / "absent.onnx")
    with pytest.raises(InputError, match=r"weights\.pth is not an encoder: give a \.onnx or \.pt2 file"):
        Encoder(tmp_path / "weights.pth")


def test_a_fixed_batch_has_to_be_one(tmp_path: Path) -> None:
    single = Encoder(write_onnx(tmp_path / "single.onnx", batch=1))
    any_number = Encoder(write_onnx(tmp_path / "any.onnx"))
    windows = np.random.default_rng(0).uniform(-1, 1, (3, 600)).astype(np.float32)
    np.testing.assert_allclose(single(windows), any_number(windows), atol=1e-6)
    with pytest.raises(InputError, match=r"four\.onnx takes exactly 4 windows at once: export it with a dynamic first"):
        Encoder(write_onnx(tmp_path / "four.onnx", batch=4))


def test_windows_that_the_network_cannot_take_end_in_a_sentence(tmp_path: Path) -> None:
    encoder = Encoder(write_onnx(tmp_path / "tiny.onnx"))
    with pytest.raises(InputError, match=r"tiny\.onnx cannot encode an input of \(1 windows, 10 samples\): "):
        encoder(np.zeros((1, 10), np.float32))
    with pytest.raises(InputError, match=r"tiny\.onnx returns nan or inf"):
        encoder(np.full((1, 600), np.nan, np.float32))
