"""Each augmentation of mel power against a slow one, clip by clip in NumPy, with the same draws."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from trainers.augment import FUNCTIONS, augment
from trainers.batch import Batch
from trainers.clips import ClipBank, MemoryClips
from trainers.randomness import generator
from trainers.registry import AUGMENTATIONS
from trainers.settings import TrainSettings
from trainers.streams import Pool, Stream

CLASSES = 5


def draw(name: str) -> np.random.Generator:
    return generator(7, f"test/{name}")


def run(name: str, batch: Batch, **parameters: float) -> Batch:
    """One augmentation with the draws that `draw` gives it."""
    chosen = {**AUGMENTATIONS[name].defaults, **parameters}
    return augment(batch, [FUNCTIONS[name](batch.layout, draw(name), **chosen)])


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
        start,
        stop,
    )


def arrays(batch: Batch) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    return batch.x.numpy(), batch.y.numpy(), batch.start, batch.stop


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
    full = Batch(torch.ones(n, frames, 2), torch.zeros(n, 1), np.zeros(n, np.int64), np.full(n, frames))
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
    start, stop = np.full(n, 30), np.full(n, 50)
    x = torch.zeros(n, 100, 2)
    x[:, 30:50] = 1
    result = run("additional_crop", Batch(x, torch.zeros(n, 1), start, stop), p=1.0, low=0.25)
    lengths = result.stop - result.start
    assert set(lengths) == set(range(5, 21))
    assert int(result.start.min()) == 30
    assert int(result.stop.max()) == 50
    np.testing.assert_array_equal(result.x[:, :, 0].sum(dim=1), lengths)
    one = Batch(torch.ones(50, 1, 2), torch.zeros(50, 1), np.zeros(50, np.int64), np.ones(50, np.int64))
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
    position = np.zeros(2 * n, np.int64)
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


def masked(name: str, n: int, frames: int, n_mels: int, **parameters: int) -> NDArray[np.bool_]:
    """(n, T, n_mels) what a mask covers of ones."""
    position = np.zeros(n, np.int64)
    batch = Batch(torch.ones(n, frames, n_mels), torch.zeros(n, 1), position, position + frames)
    covered: NDArray[np.bool_] = run(name, batch, p=1.0, **parameters).x.numpy() == 0
    return covered


@pytest.mark.parametrize(("name", "low", "high"), [("frequency_mask", 8, 32), ("time_mask", 32, 128)])
def test_masks_reach_both_widths_and_both_edges(name: str, low: int, high: int) -> None:
    n, size = 250 * (high - low + 1), 4 * high
    covered = masked(name, n, 1, size)[:, 0] if name == "frequency_mask" else masked(name, n, size, 1)[:, :, 0]
    widths, counts = np.unique(covered.sum(axis=1), return_counts=True)
    np.testing.assert_array_equal(widths, np.arange(low, high + 1))
    assert np.abs(counts - 250).max() < 5 * np.sqrt(250)
    assert (np.abs(np.diff(covered, axis=1)).sum(axis=1) <= 2).all()  # one run
    assert covered[:, 0].any()
    assert covered[:, -1].any()


@pytest.mark.parametrize("name", ["frequency_mask", "time_mask"])
def test_masks_fit_few_bands_and_frames(name: str) -> None:
    covered = masked(name, 500, 16, 16, low=8, high=32)
    along = covered[:, 0, :] if name == "frequency_mask" else covered[:, :, 0]
    assert along.sum(axis=1).min() >= 8
    assert along.sum(axis=1).max() == 16


@pytest.mark.parametrize("p", [0.5, 1.0])
def test_time_mask_zeroes_one_run_of_frames(p: float) -> None:
    batch = mel_batch(60, frames=100)
    result = run("time_mask", batch, p=p, low=5, high=60)
    rng = draw("time_mask")
    width, chance, place = rng.integers(5, 61, 60), rng.random(60), rng.random(60)
    x, y, _, _ = arrays(batch)
    for clip in range(60):
        wanted = x[clip].copy()
        if chance[clip] < p:
            first = int(place[clip] * (100 - width[clip] + 1))
            for frame in range(first, first + width[clip]):
                wanted[frame] = 0
        np.testing.assert_array_equal(result.x[clip], wanted)
    np.testing.assert_array_equal(result.y, y)


@pytest.mark.parametrize("n_mels", [128, 16])
def test_frequency_mask_centred_is_cut_off_at_the_edges(n_mels: int) -> None:
    n = 400
    batch = mel_batch(n, frames=4, n_mels=n_mels)
    result = run("frequency_mask_centred", batch, p=0.5)
    rng = draw("frequency_mask_centred")
    reach, chance, centre = rng.integers(8, 32, n), rng.random(n), rng.integers(0, n_mels, n)
    for clip in range(n):
        wanted = batch.x[clip].numpy().copy()
        if chance[clip] < 0.5:
            wanted[:, max(0, centre[clip] - reach[clip]) : min(n_mels, centre[clip] + reach[clip])] = 0
        np.testing.assert_array_equal(result.x[clip], wanted)


def test_frequency_mask_centred_is_twice_as_wide_and_narrower_at_the_edges() -> None:
    covered = masked("frequency_mask_centred", 20_000, 1, 128)[:, 0]
    widths = covered.sum(axis=1)
    assert widths.min() == 8  # centre 0, 8 above
    assert widths.max() == 62
    inner = covered[~covered[:, 0] & ~covered[:, -1]].sum(axis=1)
    assert set(inner) == set(range(16, 63, 2))
    assert (np.abs(np.diff(covered, axis=1)).sum(axis=1) <= 2).all()


def released_additional_crop(
    clip: NDArray[Any], crop: int, begin: int, rate: float, u_first: float, u_place: float
) -> NDArray[Any]:
    """The released code's crop of a clip (bands, frames), from draws in 0..1; a longer clip is cut from `begin` on."""
    bands, frames = clip.shape
    made = np.zeros((bands, crop), np.float32)
    if frames <= crop:
        kept = int(frames * rate)
        first = 0 if frames == kept else int(u_first * (frames - kept))
        place = 0 if crop == kept else int(u_place * (crop - kept))
        made[:, place : place + kept] = clip[:, first : first + kept]
    else:
        made[:] = clip[:, begin : begin + crop]
        kept = int(crop * rate)
        first = 0 if crop == kept else int(u_first * (crop - kept))
        made[:first] = 0
        made[first + kept :] = 0
    return made


@pytest.mark.parametrize(("crop", "n_mels"), [(40, 64), (100, 16)])
@pytest.mark.parametrize("p", [0.5, 1.0])
def test_additional_crop_released_is_the_released_codes(p: float, crop: int, n_mels: int) -> None:
    n = 80
    rng = np.random.default_rng(5)
    lengths = np.where(np.arange(n) % 2, crop + rng.integers(1, 300, n), rng.integers(1, crop + 1, n))
    starts = np.floor((lengths - crop) * rng.random(n)).astype(np.int64)  # negative: the clip begins within the crop
    clips = [rng.uniform(0.1, 1.0, (n_mels, length)).astype(np.float32) for length in lengths]
    x = np.zeros((n, crop, n_mels), np.float32)
    for clip, made, start, length in zip(clips, x, starts, lengths, strict=True):
        made[max(0, -start) : length - start] = clip.T[max(0, start) : start + crop]
    batch = Batch(torch.as_tensor(x), torch.rand(n, CLASSES), -starts, lengths - starts)
    result = run("additional_crop_released", batch, p=p, low=0.25)
    rng = draw("additional_crop_released")
    chance, share, u_first, u_place = rng.random(n), rng.uniform(0.25, 1.0, n), rng.random(n), rng.random(n)
    for i in range(n):
        rate = share[i] if chance[i] < p else 1.0
        wanted = released_additional_crop(clips[i], crop, int(starts[i]), rate, u_first[i], u_place[i])
        np.testing.assert_array_equal(result.x[i].T, wanted)
        if lengths[i] <= crop and wanted.any():
            inside = np.flatnonzero(wanted.any(axis=0))
            assert (result.start[i], result.stop[i]) == (inside[0], inside[-1] + 1)
    np.testing.assert_array_equal(result.y, batch.y)


def test_additional_crop_released_silences_15_percent_of_long_clips() -> None:
    """p times the chance that s, uniform below 512 (1 - r), reaches 128: 1 - 1 / (3 u) integrated from 1/3 to 1."""
    n = 20_000
    batch = Batch(torch.ones(n, 512, 1), torch.ones(n, 1), np.full(n, -10), np.full(n, 2_000))
    rng = draw("additional_crop_released")
    chance, share, u_first = rng.random(n), rng.uniform(0.25, 1.0, n), rng.random(n)
    shift = np.where(chance < 0.5, np.floor((512 - np.floor(512 * share)) * u_first), 0)
    assert (shift >= 128).mean() == pytest.approx(0.5 * (2 / 3 - np.log(3) / 3), abs=0.01)
    # With one band, every shift from 1 on silences the crop.
    silent = ~run("additional_crop_released", batch).x.flatten(1).any(dim=1).numpy()
    np.testing.assert_array_equal(silent, shift >= 1)
    assert bool((run("additional_crop_released", batch).y == 1).all())


@pytest.mark.parametrize("frames", [3, 80])
def test_time_warp_is_linear_on_both_sides_of_a_moved_frame(frames: int) -> None:
    n = 60
    batch = mel_batch(n, frames=50, n_mels=3)
    result = run("time_warp", batch, p=0.7, frames=frames)
    rng = draw("time_warp")
    chance, middle, distance = rng.random(n), rng.random(n), rng.uniform(-1, 1, n)
    x, y, start, stop = arrays(batch)
    for clip in range(n):
        wanted = x[clip].astype(np.float64)
        last = int(stop[clip] - start[clip]) - 1
        if chance[clip] < 0.7 and last > 0:
            reach = min(frames, last / 4)
            centre = reach + middle[clip] * (last - 2 * reach)
            source = np.interp(np.arange(last + 1), [0, centre + reach * distance[clip], last], [0, centre, last])
            for band in range(3):
                part = wanted[start[clip] : stop[clip], band]
                part[:] = np.interp(source, np.arange(last + 1), part.copy())
        np.testing.assert_allclose(result.x[clip], wanted, atol=2e-6)
    np.testing.assert_array_equal(result.y, y)
    np.testing.assert_array_equal(result.start, batch.start)


def test_time_warp_moves_frames_both_ways_by_up_to_its_reach() -> None:
    n, frames = 2_000, 101
    ramp = torch.arange(1.0, frames + 1)[None, :, None].expand(n, frames, 1)
    position = np.zeros(n, np.int64)
    x = run("time_warp", Batch(ramp, torch.zeros(n, 1), position, position + frames), p=1.0, frames=10).x[:, :, 0]
    assert (x[:, 0] == 1).all()
    assert (x[:, -1] == frames).all()
    assert (x.diff(dim=1) > 0).all()  # no frame overtakes another
    moved = (x - ramp[:, :, 0]).numpy()
    assert -10 <= moved.min() < -9
    assert 9 < moved.max() <= 10
    assert ((moved > 1e-4).any(axis=1) & (moved < -1e-4).any(axis=1)).sum() == 0  # to one side


def test_noise_is_exponential_below_the_clips_mean_power() -> None:
    n = 60
    batch = mel_batch(n)
    result = run("noise", batch, p=0.6, low=5.0, high=15.0)
    rng = draw("noise")
    chance, snr_db = rng.random(n), rng.uniform(5.0, 15.0, n)
    drawn = rng.standard_exponential((n, 40, 64), dtype=np.float32)
    x, y, start, stop = arrays(batch)
    for clip in range(n):
        wanted = x[clip].astype(np.float64)
        if chance[clip] < 0.6:
            part = wanted[start[clip] : stop[clip]]
            part += part.mean() / 10 ** (snr_db[clip] / 10) * drawn[clip, start[clip] : stop[clip]]
        np.testing.assert_allclose(result.x[clip], wanted, rtol=1e-5)
    np.testing.assert_array_equal(result.y, y)


def test_noise_has_its_level_in_every_band() -> None:
    n, frames = 50, 200
    start, stop = np.full(n, 50), np.full(n, 150)
    x = torch.zeros(n, frames, 8)
    x[:, 50:150] = 3.0
    added = run("noise", Batch(x, torch.zeros(n, 1), start, stop), p=1.0, low=20.0, high=20.0).x - x
    np.testing.assert_allclose(added[:, 50:150].mean(dim=(0, 1)), 0.03, rtol=5 / np.sqrt(n * 100))
    np.testing.assert_allclose(added[:, 50:150].std(dim=(0, 1)), 0.03, rtol=0.1)
    assert not added[:, :50].any()
    assert not added[:, 150:].any()


@pytest.mark.parametrize("factor", [1.25, 2.0])
def test_scale_stretches_the_frames_of_mel(factor: float) -> None:
    """Nearest neighbour along time; the crop is placed in the stretched clip."""
    clip = np.random.default_rng(3).random((70, 4), dtype=np.float32)
    pool = Pool(ClipBank(MemoryClips([clip] * 20), torch.device("cpu")), np.arange(20), torch.eye(20))
    chosen = TrainSettings.model_validate({"augment": {"scale": {"factor": factor}}}).augment
    x, _ = Stream("s", [pool], crop=60, batch_size=20, augmentations=chosen, seed=5).batch(2)
    rates = factor ** generator(5, "s/crop-0/scale", 2).uniform(-1, 1, 40)
    places = generator(5, "s/crop-0", 2).random(40)
    for crop, rate, place in zip(x.numpy(), rates[:20], places[:20], strict=True):
        length = int(70 * rate)
        start = int(place * (abs(length - 60) + 1)) * (1 if length >= 60 else -1)
        wanted = np.zeros((60, 4), np.float32)
        for frame in range(60):
            source = int(np.floor((start + frame) / rate))
            if 0 <= source < 70:
                wanted[frame] = clip[source]
        np.testing.assert_array_equal(crop, wanted)


MEL = [name for name, known in AUGMENTATIONS.items() if "mel" in known.inputs and known.stage != "read"]


@pytest.mark.parametrize("power", [0.0, 1.0])
@pytest.mark.parametrize(("frames", "n_mels"), [(1, 1), (2, 3), (5, 4), (40, 8)])
@pytest.mark.parametrize("name", MEL)
def test_small_and_silent_batches(name: str, frames: int, n_mels: int, power: float) -> None:
    """One clip (and a partner), fewer frames and bands than a mask is wide, a clip of no frames, silence."""
    clips = 2 if AUGMENTATIONS[name].stage == "mix" else 1
    for start, stop in {(0, frames), (frames - 1, frames), (0, 1), (0, 0)}:
        x = torch.zeros(clips, frames, n_mels)
        x[:, start:stop] = power
        position = np.zeros(clips, np.int64)
        batch = Batch(x, torch.ones(clips, CLASSES), position + start, position + stop)
        result = run(name, batch, p=1.0)
        assert result.x.shape == (1, frames, n_mels)
        assert result.x.isfinite().all()
        assert (result.x >= 0).all()
        if name != "additional_crop_released":  # it moves what it keeps
            assert not result.x[:, :start].any()
            assert not result.x[:, stop:].any()
        if power == 0:
            assert not result.x.any()
        assert torch.equal(result.y, torch.ones(1, CLASSES))


def test_gain_multiplies_power() -> None:
    batch = mel_batch(60)
    result = run("gain", batch, p=0.5, low=0.8, high=1.2)
    rng = draw("gain")
    chance, factor = rng.random(60), rng.uniform(0.8, 1.2, 60)
    for clip in range(60):
        wanted = batch.x[clip].numpy() * (np.float32(factor[clip]) if chance[clip] < 0.5 else 1)
        np.testing.assert_allclose(result.x[clip], wanted, rtol=1e-6)
