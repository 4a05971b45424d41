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


def wave_batch(clips: int, samples: int = 10_000, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (clips, samples)) * 10 ** rng.uniform(-3, 0, (clips, 1))
    y = rng.integers(0, 2, (clips, CLASSES))
    return Batch(
        torch.as_tensor(x, dtype=torch.float32),
        torch.as_tensor(y, dtype=torch.float32),
        torch.zeros(clips, dtype=torch.int64),
        torch.full((clips,), samples),
    )


def arrays(batch: Batch) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    return batch.x.numpy(), batch.y.numpy(), batch.start.numpy(), batch.stop.numpy()


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


# --- each augmentation against a slow one with the same draws


def test_scale_is_a_power_of_its_factor() -> None:
    rates = AUGMENTATIONS["scale"].apply(5_000, draw("scale"), factor=1.25)
    exponents = draw("scale").uniform(-1, 1, 5_000)
    np.testing.assert_allclose(rates, [1.25**e for e in exponents], rtol=1e-12)
    assert 0.8 <= rates.min() < 0.801
    assert 1.249 < rates.max() <= 1.25
    assert abs(np.log(rates).mean()) < 5 * np.log(1.25) / np.sqrt(3 * 5_000)


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


def test_bc_mix_is_the_papers_formula() -> None:
    batch = wave_batch(40)
    result = run("bc_mix", batch, p=0.7)
    rng = draw("bc_mix")
    drawn, chance = rng.uniform(0.0, 1.0, 20), rng.random(20)
    x, y, _, _ = arrays(batch)
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
    position = torch.zeros(2 * n, dtype=torch.int64)
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
    batch = Batch(torch.zeros(8, 5_000), torch.eye(8), torch.zeros(8, dtype=torch.int64), torch.full((8,), 5_000))
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


def test_gain_db_multiplies_amplitude() -> None:
    batch = wave_batch(60, samples=100)
    result = run("gain_db", batch, p=0.5, range_db=6.0)
    rng = draw("gain_db")
    chance, level_db = rng.random(60), rng.uniform(-6, 6, 60)
    for clip in range(60):
        wanted = batch.x[clip].numpy() * (10 ** (level_db[clip] / 20) if chance[clip] < 0.5 else 1)
        np.testing.assert_allclose(result.x[clip], wanted, rtol=1e-6)


@pytest.mark.parametrize(("name", "low", "high"), [("gain", 0.8, 1.2), ("gain_db", 0.5012, 1.9953)])
def test_gains_fill_their_range(name: str, low: float, high: float) -> None:
    n = 5_000
    position = torch.zeros(n, dtype=torch.int64)
    factor = run(name, Batch(torch.ones(n, 1, 1), torch.zeros(n, 1), position, position + 1), p=1.0).x.numpy()
    assert low - 1e-3 <= factor.min() < low + 0.01
    assert high - 0.01 < factor.max() <= high + 1e-3


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("name", [name for name, known in AUGMENTATIONS.items() if "p" in known.defaults])
def test_p_is_the_share_of_changed_clips(name: str, p: float) -> None:
    n = 4_000
    known = AUGMENTATIONS[name]
    shape = (n, 40, 4) if "mel" in known.inputs else (n, 40)
    clips = n // 2 if known.stage == "mix" else n
    x = torch.as_tensor(np.random.default_rng(0).uniform(0.1, 1.0, shape), dtype=torch.float32)
    start = torch.zeros(n, dtype=torch.int64)
    result = run(name, Batch(x, torch.zeros(n, 1), start, start + 40), p=p)
    changed = (result.x != x[:clips]).flatten(1).any(dim=1).double().mean().item()
    # An additional crop may keep all 40 frames: shares from 39.5 / 40 on.
    wanted = p * (1 - 0.0125 / 0.75) if name == "additional_crop" else p
    assert changed == pytest.approx(wanted, abs=5 * np.sqrt(max(wanted * (1 - wanted), 1e-9) / clips) + 1e-9)


# --- settings and order


def test_defaults_are_the_recipes() -> None:
    chosen = resolve_augmentations({name: {} for name in AUGMENTATIONS})
    assert chosen == {
        "scale": {"factor": 1.25},
        "additional_crop": {"p": 0.5, "low": 0.25},
        "mixup": {"p": 0.5, "alpha": 1.0},
        "bc_mix": {"p": 1.0},
        "frequency_mask": {"p": 0.5, "low": 8, "high": 32},
        "gain": {"p": 0.5, "low": 0.8, "high": 1.2},
        "gain_db": {"p": 1.0, "range_db": 6.0},
    }


def test_given_values_win_and_keep_the_defaults_type() -> None:
    chosen = resolve_augmentations({"frequency_mask": {"high": 16.0, "p": 1}, "additional_crop": {}})
    assert chosen == {"additional_crop": {"p": 0.5, "low": 0.25}, "frequency_mask": {"p": 1.0, "low": 8, "high": 16}}
    assert [type(value) for value in chosen["frequency_mask"].values()] == [float, int, int]
    assert resolve_augmentations(chosen) == chosen
    assert resolve_augmentations({}) == {}


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"mixpu": {}}, "'mixpu' is not an augmentation; there are scale, additional_crop, mixup"),
        ({"gain": {"hi": 1.1}}, r"'gain\.hi' is not a parameter; there are p, low, high"),
        ({"gain": {"low": "0.9"}}, r"'gain\.low' must be a number, not '0\.9'"),
        ({"gain": {"low": None}}, r"'gain\.low' must be a number"),
        ({"gain": {"p": True}}, r"'gain\.p' must be a number, not True"),
        ({"frequency_mask": {"low": 8.5}}, r"'frequency_mask\.low' must be a whole number, not 8\.5"),
        ({"mixup": {"p": 1.01}}, r"'mixup\.p' is a probability and must lie in 0\.\.1, not 1\.01"),
        ({"mixup": {"p": -0.01}}, r"'mixup\.p' is a probability"),
        ({"gain": {"low": float("nan")}}, r"'gain\.low' must be a finite number"),
        ({"mixup": {"p": float("nan")}}, r"'mixup\.p' must be a finite number"),
        ({"gain": {"high": float("inf")}}, r"'gain\.high' must be a finite number"),
        ({"frequency_mask": {"high": float("inf")}}, r"'frequency_mask\.high' must be a finite number"),
        ({"gain": {"low": 1.5}}, r"'gain\.low' 1\.5 is above 'gain\.high' 1\.2"),
        ({"frequency_mask": {"high": 4}}, r"'frequency_mask\.low' 8 is above 'frequency_mask\.high' 4"),
    ],
)
def test_what_cannot_be_resolved_is_named(chosen: dict[str, dict[str, Any]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve_augmentations(chosen)


def test_order_of_application_is_that_of_registration() -> None:
    chosen = resolve_augmentations({"gain": {}, "mixup": {}, "frequency_mask": {}, "additional_crop": {}})
    assert list(chosen) == ["additional_crop", "mixup", "frequency_mask", "gain"]
    batch = mel_batch(40)
    by_hand = batch
    for name in ("additional_crop", "mixup", "frequency_mask", "gain"):
        by_hand = run(name, by_hand, **chosen[name])
    result = augment(batch, chosen, draw)
    assert len(result.x) == 20
    assert all(torch.equal(a, b) for a, b in zip(vars(result).values(), vars(by_hand).values(), strict=True))


def recorder(calls: list[tuple[str, int]], name: str) -> Callable[..., Batch]:
    def function(batch: Batch, rng: np.random.Generator) -> Batch:
        calls.append((name, len(batch.x)))
        half = len(batch.x) // 2
        return Batch(*(v[:half] for v in vars(batch).values())) if name.startswith("mix") else batch

    return function


@pytest.mark.usefixtures("registry")
def test_stages_see_the_batch_with_or_without_partners() -> None:
    """Also when a plug-in registers an earlier stage after a later one."""
    calls: list[tuple[str, int]] = []
    register("after-1", ("mel",), "after_mix")(recorder(calls, "after-1"))
    register("mix-1", ("mel",), "mix")(recorder(calls, "mix-1"))
    register("before-1", ("mel",), "before_mix")(recorder(calls, "before-1"))
    register("before-2", ("mel",), "before_mix")(recorder(calls, "before-2"))
    names = ["after-1", "before-2", "mix-1", "before-1"]
    assert len(augment(mel_batch(20), resolve_augmentations({name: {} for name in names}), draw).x) == 10
    assert calls == [("before-1", 20), ("before-2", 20), ("mix-1", 20), ("after-1", 10)]
    calls.clear()
    assert len(augment(mel_batch(20), resolve_augmentations({"before-1": {}, "after-1": {}}), draw).x) == 10
    assert calls == [("before-1", 20), ("after-1", 10)]


def test_without_augmentation_the_partners_are_dropped() -> None:
    batch = mel_batch(20)
    result = augment(batch, {}, draw)
    assert torch.equal(result.x, batch.x[:10])
    assert torch.equal(result.y, batch.y[:10])
    assert len(result.start) == len(result.stop) == 10


def test_augmentations_leave_the_batch_they_got_alone() -> None:
    """Features may be views of the resident copy."""
    for kind, batch in (("mel", mel_batch(20)), ("waveform", wave_batch(20))):
        before = [value.clone() for value in vars(batch).values()]
        names = [name for name, known in AUGMENTATIONS.items() if kind in known.inputs]
        augment(batch, resolve_augmentations({name: {} for name in names}), draw)
        assert all(torch.equal(a, b) for a, b in zip(vars(batch).values(), before, strict=True))


def test_playback_rates_come_from_the_read_stage_alone() -> None:
    assert playback_rates(9, resolve_augmentations({"bc_mix": {}, "gain_db": {}}), draw) is None
    rates = playback_rates(9, resolve_augmentations({"gain_db": {}, "scale": {"factor": 2}}), draw)
    np.testing.assert_array_equal(rates, AUGMENTATIONS["scale"].apply(9, draw("scale"), factor=2.0))


@pytest.mark.usefixtures("registry")
def test_a_new_augmentation_is_one_function_and_one_line() -> None:
    @register("white_noise", ("mel",), "after_mix")
    def white_noise(batch: Batch, rng: np.random.Generator, *, p: float = 0.5, power: float = 1e-3) -> Batch:
        noise = power * rng.exponential(size=batch.x.shape) * (rng.random(len(batch.x)) < p)[:, None, None]
        return Batch(batch.x + torch.as_tensor(noise, dtype=torch.float32), batch.y, batch.start, batch.stop)

    settings = TrainSettings.model_validate({"augment": {"white_noise": {"power": 5.0}, "gain": {"p": 0}}})
    assert settings.augment == {"gain": {"p": 0.0, "low": 0.8, "high": 1.2}, "white_noise": {"p": 0.5, "power": 5.0}}
    with pytest.raises(ValueError, match=r"augment\.white_noise works on mel, not on the input of envnet"):
        TrainSettings.model_validate({"network": {"kind": "envnet"}, "crop": 30_000, "augment": {"white_noise": {}}})

    bank = ClipBank(MemoryClips([np.zeros((30, 8), np.float32)] * 64), torch.device("cpu"))
    pool = Pool(bank, np.arange(64), torch.eye(64))
    stream = Stream("s", [pool], crop=10, batch_size=64, augmentations=settings.augment, seed=0)
    noisy = stream.batch(3)[0]
    share = noisy.flatten(1).any(dim=1).double().mean().item()
    assert 0.2 < share < 0.8
    assert noisy.sum() / (share * noisy.numel()) == pytest.approx(5.0, rel=0.1)
    assert torch.equal(stream.batch(3)[0], noisy)


@pytest.mark.usefixtures("registry")
def test_the_registry_is_what_it_was() -> None:
    assert "white_noise" not in AUGMENTATIONS
