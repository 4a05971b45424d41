"""Features as modules of products and sums equal those that clips are trained on."""

import numpy as np
import pytest
import torch

from features.audio import resample
from features.graphs import MelGraph, ResampleGraph, WaveformGraph
from features.mel import MelSpectrogram
from features.settings import MelSettings, WaveformSettings
from features.shards import FeatureExtractor


def sounds(length: int) -> np.ndarray:
    """(2, length): noise that falls silent, and a tone."""
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, length).astype(np.float32)
    noise[2 * length // 3 :] = 0
    return np.stack([noise, np.sin(np.arange(length) * 0.1).astype(np.float32)])


@pytest.mark.parametrize(
    ("n_fft", "hop", "length"),
    [(2_560, 694, 30_000), (512, 1_000, 5_000), (509, 100, 1_000), (2_560, 347, 7), (1_025, 64, 1)],
)
def test_mel_power_is_that_of_the_shards(n_fft: int, hop: int, length: int) -> None:
    """Of composite, prime and odd sizes, and of clips shorter than a frame."""
    settings = MelSettings(n_mels=32, n_fft_samples=n_fft, hop_samples=hop)
    found = MelGraph(settings)(torch.from_numpy(sounds(length))).numpy()
    for power, samples in zip(found, sounds(length), strict=True):
        wanted = MelSpectrogram(settings)(samples)
        assert power.shape == wanted.shape
        np.testing.assert_allclose(power, wanted, rtol=1e-4, atol=1e-9 * wanted.max())
        np.testing.assert_array_equal((power != 0).any(axis=1), (wanted != 0).any(axis=1))  # frames with power


@pytest.mark.parametrize(("source", "target"), [(44_100, 16_000), (16_000, 44_100), (48_000, 22_050), (44_101, 8_000)])
@pytest.mark.parametrize("length", [1, 2_000, 4_411])
def test_a_rate_is_changed_as_files_are(source: int, target: int, length: int) -> None:
    found = ResampleGraph(source, target)(torch.from_numpy(sounds(length))).numpy()
    for resampled, samples in zip(found, sounds(length), strict=True):
        wanted = resample(samples, source, target)
        assert resampled.shape == wanted.shape
        np.testing.assert_allclose(resampled, wanted, atol=2e-6)


def test_samples_have_sixteen_bits() -> None:
    samples = np.array([[0.1, -1.2, 1.2, 0.5 / 32_768, 1.5 / 32_768, -1.0]], np.float32)
    wanted = FeatureExtractor(WaveformSettings()).compute(samples[0]) / np.float32(32_768)
    np.testing.assert_array_equal(WaveformGraph()(torch.from_numpy(samples)).numpy()[0], wanted)
