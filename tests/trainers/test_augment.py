from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainers.augment import AUGMENTATIONS, Batch, augment, playback_rates, register, resolve_augmentations
from trainers.clips import ClipBank, MemoryClips
from trainers.history import read_history
from trainers.loop import TrainJob, train
from trainers.losses import LOSSES, Activation
from trainers.randomness import generator
from trainers.settings import TrainSettings
from trainers.streams import Pool, Stream

ONE_OF = {stage: [name for name, known in AUGMENTATIONS.items() if known.stage == stage] for stage in ("read", "mix")}


def draw(name: str) -> np.random.Generator:
    return generator(7, f"test/{name}")


def run(name: str, batch: Batch, **parameters: float) -> Batch:
    """One registered function with the draws that `draw` gives it."""
    result: Batch = AUGMENTATIONS[name].apply(batch, draw(name), **parameters)
    return result


def batch_of(kind: str, clips: int, seed: int = 0) -> Batch:
    """Random power of 40 frames and 8 bands or 5,000 samples, with five random labels."""
    rng = np.random.default_rng(seed)
    shape = (clips, 40, 8) if kind == "mel" else (clips, 5_000)
    x = torch.as_tensor(rng.uniform(0.1, 1.0, shape), dtype=torch.float32)
    y = torch.as_tensor(rng.integers(0, 2, (clips, 5)), dtype=torch.float32)
    start = torch.zeros(clips, dtype=torch.int64)
    return Batch(x, y, start, start + shape[1])


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
    # An additional crop may keep all: shares from 39.5 / 40 frames on, or 3.5 / 4 bands.
    all_kept = {"additional_crop": 0.0125 / 0.75, "additional_crop_released": 0.125 / 0.75}
    wanted = p * (1 - all_kept.get(name, 0.0))
    assert changed == pytest.approx(wanted, abs=5 * np.sqrt(max(wanted * (1 - wanted), 1e-9) / clips) + 1e-9)


# --- settings and order


def test_defaults_are_the_recipes() -> None:
    assert {name: resolve_augmentations({name: {}})[name] for name in AUGMENTATIONS} == {
        "scale": {"factor": 1.25},
        "additional_crop": {"p": 0.5, "low": 0.25},
        "additional_crop_released": {"p": 0.5, "low": 0.25},
        "mixup": {"p": 0.5, "alpha": 1.0},
        "bc_mix": {"p": 1.0},
        "bc_mix_released": {"p": 1.0},
        "time_warp": {"p": 0.5, "frames": 80},
        "noise": {"p": 0.5, "low": 10.0, "high": 40.0},
        "frequency_mask": {"p": 0.5, "low": 8, "high": 32},
        "frequency_mask_centred": {"p": 0.5, "low": 8, "high": 31},
        "time_mask": {"p": 0.5, "low": 32, "high": 128},
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
        ({"mixpu": {}}, "'mixpu' is not an augmentation; there are additional_crop, additional_crop_released, mixup"),
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
        ({"time_mask": {"low": -1}}, r"'time_mask\.low' is a width and must not be negative, not -1"),
        ({"time_warp": {"frames": -80}}, r"'time_warp\.frames' is a width and must not be negative"),
        ({"bc_mix_released": {}, "bc_mix": {}}, "bc_mix_released and bc_mix exclude each other; choose one of them"),
    ],
)
def test_what_cannot_be_resolved_is_named(chosen: dict[str, dict[str, Any]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolve_augmentations(chosen)


def test_order_of_application_is_that_of_registration() -> None:
    order = [
        "additional_crop", "additional_crop_released", "mixup", "time_warp", "noise", "frequency_mask",
        "frequency_mask_centred", "time_mask", "gain",
    ]  # fmt: skip
    chosen = resolve_augmentations({name: {} for name in reversed(order)})
    assert list(chosen) == order
    batch = batch_of("mel", 40)
    by_hand = batch
    for name in order:
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
    assert len(augment(batch_of("mel", 20), resolve_augmentations({name: {} for name in names}), draw).x) == 10
    assert calls == [("before-1", 20), ("before-2", 20), ("mix-1", 20), ("after-1", 10)]
    calls.clear()
    assert len(augment(batch_of("mel", 20), resolve_augmentations({"before-1": {}, "after-1": {}}), draw).x) == 10
    assert calls == [("before-1", 20), ("after-1", 10)]


def test_without_augmentation_the_partners_are_dropped() -> None:
    batch = batch_of("mel", 20)
    result = augment(batch, {}, draw)
    assert torch.equal(result.x, batch.x[:10])
    assert torch.equal(result.y, batch.y[:10])
    assert len(result.start) == len(result.stop) == 10


def test_augmentations_leave_the_batch_they_got_alone() -> None:
    """Features may be views of the resident copy."""
    for name, known in AUGMENTATIONS.items():
        batch = batch_of(known.inputs[0], 20)
        before = [value.clone() for value in vars(batch).values()]
        augment(batch, resolve_augmentations({name: {"p": 1} if "p" in known.defaults else {}}), draw)
        assert all(torch.equal(a, b) for a, b in zip(vars(batch).values(), before, strict=True))


@pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for name, known in AUGMENTATIONS.items() for kind in known.inputs]
)
def test_a_batch_is_a_function_of_seed_and_step(name: str, kind: str) -> None:
    rng = np.random.default_rng(0)
    lengths = [50, 30, 80, 8, 40, 64]
    clips = [rng.random((n, 8), np.float32) if kind == "mel" else rng.integers(-9, 9, n, np.int16) for n in lengths]
    pool = Pool(ClipBank(MemoryClips(clips), torch.device("cpu")), np.arange(6), torch.eye(6))

    def batch(seed: int, step: int, chosen: dict[str, dict[str, Any]]) -> tuple[torch.Tensor, torch.Tensor]:
        return Stream("s", [pool], crop=40, batch_size=6, augmentations=resolve_augmentations(chosen), seed=seed).batch(
            step
        )

    (x, y), (again_x, again_y) = batch(1, 3, {name: {}}), batch(1, 3, {name: {}})
    assert torch.equal(x, again_x)
    assert torch.equal(y, again_y)
    for other in (batch(1, 4, {name: {}}), batch(2, 3, {name: {}}), batch(1, 3, {})):
        assert not torch.equal(x, other[0])


def test_playback_rates_come_from_the_read_stage_alone() -> None:
    assert playback_rates(9, resolve_augmentations({"bc_mix": {}, "gain_db": {}}), draw) is None
    rates = playback_rates(9, resolve_augmentations({"gain_db": {}, "scale": {"factor": 2}}), draw)
    np.testing.assert_array_equal(rates, AUGMENTATIONS["scale"].apply(9, draw("scale"), factor=2.0))


@pytest.mark.parametrize("stage", ["read", "mix"])
@pytest.mark.usefixtures("registry")
def test_a_stage_that_takes_one_refuses_two(stage: str) -> None:
    register("rival", ("mel",), stage)(lambda batch, rng: batch)
    assert list(resolve_augmentations({"rival": {}})) == ["rival"]
    for name in ONE_OF[stage]:
        with pytest.raises(ValueError, match=f"{name} and rival exclude each other; choose one of them"):
            resolve_augmentations({name: {}, "rival": {}})


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
def test_a_job_trains_with_a_new_augmentation_and_a_new_loss(make_job: Callable[..., TrainJob], tmp_path: Path) -> None:
    """One function and one line each, chosen by name like those that ship."""

    @register("reverse", ("mel",), "after_mix")
    def reverse(batch: Batch, rng: np.random.Generator, *, p: float = 0.5) -> Batch:
        back = torch.as_tensor(rng.random(len(batch.x)) < p)[:, None, None]
        return Batch(torch.where(back, batch.x.flip(1), batch.x), batch.y, batch.start, batch.stop)

    def focal(logits: torch.Tensor, targets: torch.Tensor, activation: Activation) -> torch.Tensor:
        miss = (torch.sigmoid(logits) - targets).abs()
        return -(miss**2 * torch.log1p(-miss.clamp_max(1 - 1e-6))).mean()

    LOSSES["focal"] = focal

    def losses(folder: str, **changes: Any) -> list[float]:
        assert train(make_job(cycles=1, **changes), tmp_path / folder)
        return [record["loss_curated"] for record in read_history(tmp_path / folder)]

    new = losses("new", loss="focal", augment={"reverse": {"p": 1.0}})
    assert new == losses("again", loss="focal", augment={"reverse": {"p": 1.0}})
    assert new != losses("forwards", loss="focal", augment={})
    assert np.isfinite(new).all()
    assert max(new) < min(losses("bce", augment={"reverse": {"p": 1.0}}))  # misses are weighted down
    assert len(list((tmp_path / "new").glob("snapshot-*.safetensors"))) == 1


def test_the_registry_is_what_it_was() -> None:
    assert not {"white_noise", "reverse", "rival"} & set(AUGMENTATIONS)
    assert "focal" not in LOSSES
