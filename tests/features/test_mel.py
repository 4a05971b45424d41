import librosa
import numpy as np
import pytest
import torch

from features.mel import MelSpectrogram, power_to_db
from features.settings import MelSettings


def librosa_mel(samples: np.ndarray, settings: MelSettings) -> np.ndarray:
    return librosa.feature.melspectrogram(
        y=samples,
        sr=settings.sample_rate_hz,
        n_fft=settings.n_fft_samples,
        hop_length=settings.hop_samples,
        n_mels=settings.n_mels,
        fmin=settings.fmin_hz,
        fmax=settings.fmax_hz,
    ).T


@pytest.mark.filterwarnings("ignore:n_fft=.* is too large:UserWarning")
@pytest.mark.parametrize("n_samples", [1, 100, 346, 347, 1_280, 2_560, 44_100, 44_416, 200_003])
def test_equals_librosa(n_samples: int) -> None:
    samples = np.random.default_rng(n_samples).standard_normal(n_samples).astype(np.float32) * 0.1
    mel = MelSpectrogram(MelSettings())(samples)
    expected = librosa_mel(samples, MelSettings())
    assert mel.dtype == np.float32
    assert mel.shape == expected.shape == (1 + n_samples // 347, 128)
    np.testing.assert_allclose(mel, expected, rtol=2e-5, atol=1e-12)


@pytest.mark.parametrize(
    "settings",
    [
        MelSettings(n_mels=64),
        MelSettings(n_mels=256),
        MelSettings(n_mels=40, n_fft_samples=1_024, hop_samples=2_000, fmin_hz=0.0, fmax_hz=8_000.0),
        MelSettings(sample_rate_hz=22_050, fmax_hz=11_025.0, n_fft_samples=1_281, hop_samples=173, n_mels=50),
    ],
)
def test_equals_librosa_with_other_settings(settings: MelSettings) -> None:
    samples = np.random.default_rng(0).standard_normal(30_000).astype(np.float32)
    np.testing.assert_allclose(MelSpectrogram(settings)(samples), librosa_mel(samples, settings), rtol=2e-5)


def test_blocks_leave_no_seam() -> None:
    """A frame does not depend on how many frames come after it, within rounding."""
    samples = np.random.default_rng(0).standard_normal(347 * 300).astype(np.float32)
    mel = MelSpectrogram(MelSettings())
    np.testing.assert_allclose(mel(samples)[:100], mel(samples[: 347 * 110])[:100], rtol=1e-5)


def test_silence_is_zero() -> None:
    assert not MelSpectrogram(MelSettings())(np.zeros(44_100, np.float32)).any()


def test_band_above_nyquist_is_refused() -> None:
    with pytest.raises(ValueError, match=r"fmax_hz is 22050, above half of sample_rate_hz 22050: .* 11025"):
        MelSpectrogram(MelSettings(sample_rate_hz=22_050))
    with pytest.raises(ValueError, match="fmin_hz 9000 is not below"):
        MelSpectrogram(MelSettings(fmin_hz=9_000.0, fmax_hz=8_000.0))


def test_db_equals_librosa_sample_by_sample() -> None:
    random = np.random.default_rng(0)
    power = 10.0 ** random.uniform(-14, 2, (3, 2, 20, 16)) * np.array([1.0, 1e-4, 0.0])[:, None, None, None]
    db = power_to_db(torch.from_numpy(power)).numpy()
    for sample in np.ndindex(3, 2):
        np.testing.assert_allclose(db[sample], librosa.power_to_db(power[sample], ref=1.0, top_db=80.0), rtol=1e-6)
    assert (db[2] == -100.0).all()
    narrow = power_to_db(torch.from_numpy(power), top_db=20.0)
    assert float((narrow.amax(dim=(-2, -1)) - narrow.amin(dim=(-2, -1))).max()) == pytest.approx(20.0)
