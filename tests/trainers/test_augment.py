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


# --- each augmentation against a slow one with the same draws


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
