"""Each augmentation of samples against a slow one, clip by clip in NumPy, with the same draws."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from trainers.augment import FUNCTIONS, augment
from trainers.augment_waveform import loudest_window_db
from trainers.batch import Batch
from trainers.randomness import generator
from trainers.registry import AUGMENTATIONS

Array = NDArray[np.float32]
CLASSES = 5


def draw(name: str) -> np.random.Generator:
    return generator(7, f"test/{name}")


def run(name: str, batch: Batch, **parameters: float) -> Batch:
    """One augmentation with the draws that `draw` gives it."""
    chosen = {**AUGMENTATIONS[name].defaults, **parameters}
    return augment(batch, [FUNCTIONS[name](batch.layout, draw(name), **chosen)])


def wave_batch(clips: int, samples: int = 10_000, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (clips, samples)) * 10 ** rng.uniform(-3, 0, (clips, 1))
    y = rng.integers(0, 2, (clips, CLASSES))
    return Batch(
        torch.as_tensor(x, dtype=torch.float32),
        torch.as_tensor(y, dtype=torch.float32),
        np.zeros(clips, np.int64),
        np.full(clips, samples),
    )


def slow_loudness_db(samples: Array) -> float:
    """Tokozume et al. 2018: the loudest of the half overlapping windows of 4,096 samples, not below -80 dB."""
    window = min(4_096, len(samples))
    squares = samples.astype(np.float64) ** 2
    loudest = -80.0
    for begin in range(0, len(samples) - window + 1, window // 2):
        power = squares[begin : begin + window].mean()
        if power > 0:
            loudest = max(loudest, 20 * np.log10(np.sqrt(power)))
    return loudest


def test_scale_is_a_power_of_its_factor() -> None:
    rates = FUNCTIONS["scale"](5_000, draw("scale"), factor=1.25)
    exponents = draw("scale").uniform(-1, 1, 5_000)
    np.testing.assert_allclose(rates, [1.25**e for e in exponents], rtol=1e-12)
    assert 0.8 <= rates.min() < 0.801
    assert 1.249 < rates.max() <= 1.25
    assert abs(np.log(rates).mean()) < 5 * np.log(1.25) / np.sqrt(3 * 5_000)


def test_bc_mix_is_the_papers_formula() -> None:
    batch = wave_batch(40)
    result = run("bc_mix", batch, p=0.7)
    rng = draw("bc_mix")
    drawn, chance = rng.uniform(0.0, 1.0, 20), rng.random(20)
    x, y = batch.x.numpy(), batch.y.numpy()
    for clip in range(20):
        r = drawn[clip] if chance[clip] < 0.7 else 1.0
        one, two = x[clip].astype(np.float64), x[20 + clip].astype(np.float64)
        louder_db = slow_loudness_db(x[clip]) - slow_loudness_db(x[20 + clip])
        t = 1 / (1 + 10 ** (louder_db / 20) * (1 - r) / r)
        wanted = (t * one + (1 - t) * two) / np.sqrt(t**2 + (1 - t) ** 2)
        np.testing.assert_allclose(result.x[clip], wanted, atol=2e-6)
        np.testing.assert_allclose(result.y[clip], r * y[clip] + (1 - r) * y[20 + clip], atol=1e-6)
    assert len(result.x) == 20


@pytest.mark.parametrize("loudness", [(1.0, 1.0), (1.0, 0.1), (0.02, 0.9)])
def test_bc_mix_hears_both_clips_at_their_share(loudness: tuple[float, float]) -> None:
    """Clips that do not overlap: the amplitudes in the mix stand in the ratio r : (1 - r), however loud they were."""
    n, samples = 200, 8_192
    one, two = torch.zeros(n, samples), torch.zeros(n, samples)
    one[:, :4_096], two[:, 4_096:] = loudness
    y = torch.cat([torch.tensor([[1.0, 0.0]]).expand(n, 2), torch.tensor([[0.0, 1.0]]).expand(n, 2)])
    position = np.zeros(2 * n, np.int64)
    result = run("bc_mix", Batch(torch.cat([one, two]), y, position, position + samples))
    r = result.y[:, 0].double().numpy()
    heard = result.x[:, 0].double().numpy(), result.x[:, -1].double().numpy()
    np.testing.assert_allclose(heard[0] * (1 - r), heard[1] * r, rtol=1e-4, atol=1e-7)
    t = heard[0] / loudness[0], heard[1] / loudness[1]  # t and 1 - t, each over sqrt(t^2 + (1 - t)^2)
    np.testing.assert_allclose(t[0] ** 2 + t[1] ** 2, 1.0, rtol=1e-5)
    if loudness[0] == loudness[1]:
        np.testing.assert_allclose(t[0] / (t[0] + t[1]), r, rtol=1e-5)
    np.testing.assert_allclose(result.y.sum(dim=1), 1.0, rtol=1e-6)
    assert r.min() < 0.05
    assert r.max() > 0.95


def test_bc_mix_of_silence_is_finite() -> None:
    batch = Batch(torch.zeros(8, 5_000), torch.eye(8), np.zeros(8, np.int64), np.full(8, 5_000))
    result = run("bc_mix", batch)
    assert not result.x.any()
    np.testing.assert_allclose(result.y.sum(dim=1), 1.0, rtol=1e-6)


def test_loudness_is_of_the_loudest_half_overlapping_window() -> None:
    batch = wave_batch(30, samples=15_000)
    np.testing.assert_allclose(loudest_window_db(batch.x), [slow_loudness_db(x) for x in batch.x.numpy()], atol=1e-3)
    x = torch.zeros(6, 12_288)
    x[0, 2_048:6_144] = 1.0  # just a window
    x[1, 1_024:5_120] = 1.0  # three quarters of two windows
    x[2, 100] = 1.0
    x[3] = 1e-5  # below the floor
    x[4] = -0.1
    wanted = [0.0, 10 * np.log10(0.75), -10 * np.log10(4_096), -80.0, -20.0, -80.0]
    np.testing.assert_allclose(loudest_window_db(x), wanted, atol=1e-4)


def test_loudness_of_a_clip_below_one_window_is_of_the_whole() -> None:
    x = torch.zeros(1, 1_000)
    x[0, :250] = 1.0
    assert float(loudest_window_db(x)) == pytest.approx(10 * np.log10(0.25), abs=1e-4)
    assert float(loudest_window_db(torch.full((1, 1), 0.5))) == pytest.approx(20 * np.log10(0.5), abs=1e-4)


def test_gain_db_multiplies_amplitude() -> None:
    batch = wave_batch(60, samples=100)
    result = run("gain_db", batch, p=0.5, range_db=6.0)
    rng = draw("gain_db")
    chance, level_db = rng.random(60), rng.uniform(-6, 6, 60)
    for clip in range(60):
        wanted = batch.x[clip].numpy() * (10 ** (level_db[clip] / 20) if chance[clip] < 0.5 else 1)
        np.testing.assert_allclose(result.x[clip], wanted, rtol=1e-6)


def test_bc_mix_released_mixes_the_labels_alone() -> None:
    """t = r where both clips are one, so only the level changes, by up to 3 dB."""
    batch = wave_batch(40)
    start = np.arange(40)
    batch = Batch(batch.x, batch.y, start, batch.stop - start)
    result = run("bc_mix_released", batch, p=0.7)
    rng = draw("bc_mix_released")
    drawn, chance = rng.uniform(0.0, 1.0, 20), rng.random(20)
    x, y = batch.x.numpy(), batch.y.numpy()
    for clip in range(20):
        r = drawn[clip] if chance[clip] < 0.7 else 1.0
        wanted = x[clip].astype(np.float64) / np.sqrt(r**2 + (1 - r) ** 2)
        np.testing.assert_allclose(result.x[clip], wanted, rtol=2e-6)
        np.testing.assert_allclose(result.y[clip], r * y[clip] + (1 - r) * y[20 + clip], atol=1e-6)
        assert (int(result.start[clip]), int(result.stop[clip])) == (clip, 10_000 - clip)
    assert len(result.x) == 20


def test_bc_mix_spans_both_clips() -> None:
    start, stop = np.array([10, 40, 30, 5]), np.array([60, 90, 100, 70])
    result = run("bc_mix", Batch(torch.ones(4, 100), torch.zeros(4, 1), start, stop))
    assert result.start.tolist() == [10, 5]
    assert result.stop.tolist() == [100, 90]
