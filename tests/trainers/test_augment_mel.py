from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from trainers.augment import (
    AUGMENTATIONS,
    Batch,
    augment,
    loudest_window_db,
    playback_rates,
    register,
    resolve_augmentations,
)
from trainers.clips import ClipBank, MemoryClips
from trainers.randomness import generator
from trainers.settings import TrainSettings
from trainers.streams import Pool, Stream

Array = NDArray[np.float32]
CLASSES = 5


def draw(name: str) -> np.random.Generator:
    return generator(7, f"test/{name}")


def run(name: str, batch: Batch, **parameters: float) -> Batch:
    """One registered function with the draws that `draw` gives it."""
    result: Batch = AUGMENTATIONS[name].apply(batch, draw(name), **parameters)
    return result


def mel_batch(clips: int, frames: int = 40, n_mels: int = 64, seed: int = 0) -> Batch:
    """Positive power; every third clip is short and lies in zeros."""
    rng = np.random.default_rng(seed)
    start, stop = np.zeros(clips, np.int64), np.full(clips, frames)
    start[::3] = rng.integers(0, frames // 2, len(start[::3]))
    stop[::3] = start[::3] + rng.integers(1, frames // 2, len(start[::3]))
    time = np.arange(frames)
    inside = (time >= start[:, None]) & (time < stop[:, None])
    x = rng.uniform(0.1, 1.0, (clips, frames, n_mels)) * inside[:, :, None]
    y = rng.integers(0, 2, (clips, CLASSES))
    return Batch(
        *(torch.as_tensor(v, dtype=d) for v, d in ((x, torch.float32), (y, torch.float32))),
        torch.as_tensor(start),
        torch.as_tensor(stop),
    )


def arrays(batch: Batch) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    return batch.x.numpy(), batch.y.numpy(), batch.start.numpy(), batch.stop.numpy()


@pytest.mark.parametrize("p", [0.5, 1.0])
def test_additional_crop_keeps_one_run_of_frames(p: float) -> None:
    batch = mel_batch(60)
    result = run("additional_crop", batch, p=p, low=0.25)
    rng = draw("additional_crop")
    chance, share, place = rng.random(60), rng.uniform(0.25, 1.0, 60), rng.random(60)
    x, y, start, stop = arrays(batch)
    for clip in range(60):
        extent = stop[clip] - start[clip]
        kept = extent
        if chance[clip] < p:
            kept = max(1, round(extent * share[clip]))
        first = start[clip] + int(np.floor((extent - kept + 1) * place[clip]))
        wanted = np.zeros_like(x[clip])
        for t in range(first, first + kept):
            wanted[t] = x[clip, t]
        np.testing.assert_array_equal(result.x[clip], wanted)
        assert (int(result.start[clip]), int(result.stop[clip])) == (first, first + kept)
        nonzero = np.flatnonzero(wanted.any(axis=1))
        assert (nonzero[0], nonzero[-1] + 1) == (first, first + kept)
    np.testing.assert_array_equal(result.y, y)


def test_additional_crop_keeps_a_quarter_to_all_of_the_time_axis() -> None:
    frames, n = 400, 3_000
    full = Batch(
        torch.ones(n, frames, 2), torch.zeros(n, 1), torch.zeros(n, dtype=torch.int64), torch.full((n,), frames)
    )
    kept = run("additional_crop", full, p=1.0, low=0.25).x
    assert torch.equal(kept[:, :, 0], kept[:, :, 1])  # along time, not along the bands
    share = kept[:, :, 0].mean(dim=1).numpy()
    assert 0.25 <= share.min() < 0.26
    assert 0.99 < share.max() <= 1.0
    assert share.mean() == pytest.approx(0.625, abs=5 * 0.75 / np.sqrt(12 * n))
    assert bool(kept[:, 0].any())
    assert bool(kept[:, -1].any())


def test_additional_crop_of_a_short_clip_is_of_the_clip() -> None:
    n = 2_000
    start, stop = torch.full((n,), 30), torch.full((n,), 50)
    x = torch.zeros(n, 100, 2)
    x[:, 30:50] = 1
    result = run("additional_crop", Batch(x, torch.zeros(n, 1), start, stop), p=1.0, low=0.25)
    lengths = (result.stop - result.start).numpy()
    assert set(lengths) == set(range(5, 21))
    assert int(result.start.min()) == 30
    assert int(result.stop.max()) == 50
    np.testing.assert_array_equal(result.x[:, :, 0].sum(dim=1), lengths)
    one = Batch(
        torch.ones(50, 1, 2), torch.zeros(50, 1), torch.zeros(50, dtype=torch.int64), torch.ones(50, dtype=torch.int64)
    )
    assert bool(run("additional_crop", one, p=1.0, low=0.25).x.all())  # of one frame, one is left


def test_mixup_mixes_power_and_labels_alike() -> None:
    batch = mel_batch(80)
    result = run("mixup", batch, p=0.5, alpha=1.0)
    rng = draw("mixup")
    chance, ratio = rng.random(40), rng.beta(1.0, 1.0, 40)
    x, y, start, stop = arrays(batch)
    mixed = 0
    for clip in range(40):
        own = ratio[clip] if chance[clip] < 0.5 else 1.0
        mixed += own < 1
        np.testing.assert_allclose(result.x[clip], own * x[clip] + (1 - own) * x[40 + clip], atol=1e-6)
        np.testing.assert_allclose(result.y[clip], own * y[clip] + (1 - own) * y[40 + clip], atol=1e-6)
        assert int(result.start[clip]) == min(start[clip], start[40 + clip])
        assert int(result.stop[clip]) == max(stop[clip], stop[40 + clip])
    assert 0 < mixed < 40
    assert len(result.x) == 40


def test_mixup_of_a_clip_that_is_left_alone_is_exact() -> None:
    batch = mel_batch(80)
    result = run("mixup", batch, p=0.0)
    assert torch.equal(result.x, batch.x[:40])
    assert torch.equal(result.y, batch.y[:40])


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_mixup_draws_lambda_from_beta(alpha: float) -> None:
    n = 4_000
    y = torch.cat([torch.ones(n, 1), torch.zeros(n, 1)])
    position = torch.zeros(2 * n, dtype=torch.int64)
    own = run("mixup", Batch(y[:, :, None], y, position, position + 1), p=1.0, alpha=alpha).y[:, 0].double().numpy()
    variance = 1 / (4 * (2 * alpha + 1))
    assert own.mean() == pytest.approx(0.5, abs=5 * np.sqrt(variance / n))
    assert own.var() == pytest.approx(variance, rel=0.1)


@pytest.mark.parametrize("p", [0.5, 1.0])
def test_frequency_mask_zeroes_one_run_of_bands(p: float) -> None:
    batch = mel_batch(60, n_mels=128)
    result = run("frequency_mask", batch, p=p, low=8, high=32)
    rng = draw("frequency_mask")
    width, chance, place = rng.integers(8, 33, 60), rng.random(60), rng.random(60)
    x, y, _, _ = arrays(batch)
    for clip in range(60):
        wanted = x[clip].copy()
        if chance[clip] < p:
            first = int(place[clip] * (128 - width[clip] + 1))
            for band in range(first, first + width[clip]):
                wanted[:, band] = 0
        np.testing.assert_array_equal(result.x[clip], wanted)
    np.testing.assert_array_equal(result.y, y)


def masked_bands(n: int, n_mels: int, **parameters: int) -> NDArray[np.bool_]:
    position = torch.zeros(n, dtype=torch.int64)
    batch = Batch(torch.ones(n, 1, n_mels), torch.zeros(n, 1), position, position + 1)
    masked: NDArray[np.bool_] = run("frequency_mask", batch, p=1.0, **parameters).x[:, 0].numpy() == 0
    return masked


def test_frequency_mask_reaches_both_widths_and_both_edges() -> None:
    masked = masked_bands(6_000, 128)
    widths, counts = np.unique(masked.sum(axis=1), return_counts=True)
    np.testing.assert_array_equal(widths, np.arange(8, 33))
    assert np.abs(counts - 240).max() < 5 * np.sqrt(240)
    assert (np.abs(np.diff(masked, axis=1)).sum(axis=1) <= 2).all()  # one run
    assert masked[:, 0].any()
    assert masked[:, -1].any()


def test_frequency_mask_fits_few_bands() -> None:
    widths = masked_bands(500, 16).sum(axis=1)
    assert widths.min() >= 8
    assert widths.max() == 16


def test_gain_multiplies_power() -> None:
    batch = mel_batch(60)
    result = run("gain", batch, p=0.5, low=0.8, high=1.2)
    rng = draw("gain")
    chance, factor = rng.random(60), rng.uniform(0.8, 1.2, 60)
    for clip in range(60):
        wanted = batch.x[clip].numpy() * (np.float32(factor[clip]) if chance[clip] < 0.5 else 1)
        np.testing.assert_allclose(result.x[clip], wanted, rtol=1e-6)
