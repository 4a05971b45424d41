import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainers.augment import FUNCTIONS, augment, changes, playback_rates
from trainers.batch import Batch, Change, Layout
from trainers.clips import ClipBank, MemoryClips
from trainers.history import read_history
from trainers.loop import TrainJob, train
from trainers.losses import FUNCTIONS as LOSS_FUNCTIONS
from trainers.randomness import generator
from trainers.registry import (
    AUGMENTATIONS,
    LOSSES,
    Activation,
    Augmentation,
    LossEntry,
    Parameter,
    Stage,
    resolve_augmentations,
)
from trainers.settings import TrainSettings
from trainers.streams import Pool, Stream


def draw(name: str) -> np.random.Generator:
    return generator(7, f"test/{name}")


def run(name: str, batch: Batch, **parameters: float) -> Batch:
    """One augmentation with the draws that `draw` gives it."""
    chosen = {**AUGMENTATIONS[name].defaults, **parameters}
    return augment(batch, [FUNCTIONS[name](batch.layout, draw(name), **chosen)])


def apply(batch: Batch, chosen: dict[str, dict[str, float]]) -> Batch:
    """The chosen augmentations, one after the other, by the draws that `draw` gives them."""
    return augment(batch, changes(batch.layout, resolve_augmentations(chosen), draw))


def assert_equal(one: Batch, other: Batch) -> None:
    for a, b in zip(vars(one).values(), vars(other).values(), strict=True):
        np.testing.assert_array_equal(a, b)


def batch_of(kind: str, clips: int, seed: int = 0) -> Batch:
    """Random power of 40 frames and 8 bands or 5,000 samples, with five random labels."""
    rng = np.random.default_rng(seed)
    shape = (clips, 40, 8) if kind == "mel" else (clips, 5_000)
    x = torch.as_tensor(rng.uniform(0.1, 1.0, shape), dtype=torch.float32)
    y = torch.as_tensor(rng.integers(0, 2, (clips, 5)), dtype=torch.float32)
    start = np.zeros(clips, np.int64)
    return Batch(x, y, start, start + shape[1])


@pytest.mark.parametrize(("name", "low", "high"), [("gain", 0.8, 1.2), ("gain_db", 0.5012, 1.9953)])
def test_gains_fill_their_range(name: str, low: float, high: float) -> None:
    n = 5_000
    position = np.zeros(n, np.int64)
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
    start = np.zeros(n, np.int64)
    result = run(name, Batch(x, torch.zeros(n, 1), start, start + 40), p=p)
    changed = (result.x != x[:clips]).flatten(1).any(dim=1).double().mean().item()
    # An additional crop may keep all: shares from 39.5 / 40 frames on.
    wanted = p * (1 - (0.0125 / 0.75 if name == "additional_crop" else 0.0))
    assert changed == pytest.approx(wanted, abs=5 * np.sqrt(max(wanted * (1 - wanted), 1e-9) / clips) + 1e-9)


# --- order


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
    result = apply(batch, chosen)
    assert len(result.x) == 20
    assert_equal(result, by_hand)


def recorder(calls: list[tuple[str, int]], name: str) -> Callable[..., Change]:
    def function(layout: Layout, rng: np.random.Generator) -> Change:
        clips = layout.shape[0]
        calls.append((name, clips))
        left = clips // 2 if name.startswith("mix") else clips
        return Change(layout.first(left), lambda x, y: (x[:left], y[:left]))

    return function


@pytest.mark.usefixtures("registry")
def test_stages_see_the_batch_with_or_without_partners() -> None:
    """Also when an earlier stage is declared after a later one."""
    calls: list[tuple[str, int]] = []
    stages: dict[str, Stage] = {
        "after-1": "after_mix",
        "mix-1": "mix",
        "before-1": "before_mix",
        "before-2": "before_mix",
    }
    for name, stage in stages.items():
        AUGMENTATIONS[name], FUNCTIONS[name] = Augmentation(("mel",), stage, ""), recorder(calls, name)
    names = ["after-1", "before-2", "mix-1", "before-1"]
    assert len(apply(batch_of("mel", 20), {name: {} for name in names}).x) == 10
    assert calls == [("before-1", 20), ("before-2", 20), ("mix-1", 20), ("after-1", 10)]
    calls.clear()
    assert len(apply(batch_of("mel", 20), {"before-1": {}, "after-1": {}}).x) == 10
    assert calls == [("before-1", 20), ("after-1", 10)]


def test_without_augmentation_the_partners_are_dropped() -> None:
    batch = batch_of("mel", 20)
    result = apply(batch, {})
    assert torch.equal(result.x, batch.x[:10])
    assert torch.equal(result.y, batch.y[:10])
    assert len(result.start) == len(result.stop) == 10


def test_augmentations_leave_the_batch_they_got_alone() -> None:
    """Features may be views of the resident copy."""
    for name, known in AUGMENTATIONS.items():
        batch = batch_of(known.inputs[0], 20)
        before = copy.deepcopy(batch)
        apply(batch, {name: {"p": 1} if "p" in known.defaults else {}})
        assert_equal(batch, before)


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
    np.testing.assert_array_equal(rates, FUNCTIONS["scale"](9, draw("scale"), factor=2.0))


@pytest.mark.usefixtures("registry")
def test_a_new_augmentation_is_one_declaration_and_one_function() -> None:
    def white_noise(layout: Layout, rng: np.random.Generator, *, p: float, power: float) -> Change:
        noise = power * rng.exponential(size=layout.shape) * (rng.random(layout.shape[0]) < p)[:, None, None]
        return Change(layout, lambda x, y, noise: (x + noise, y), (noise.astype(np.float32),))

    parameters = {"p": Parameter(0.5, "probability"), "power": Parameter(1e-3, "mean power")}
    AUGMENTATIONS["white_noise"] = Augmentation(("mel",), "after_mix", "adds white noise", parameters)
    FUNCTIONS["white_noise"] = white_noise
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
    """One declaration and one function each, chosen by name like those that ship."""

    def reverse(layout: Layout, rng: np.random.Generator, *, p: float) -> Change:
        back = (rng.random(layout.shape[0]) < p)[:, None, None]
        return Change(layout, lambda x, y, back: (torch.where(back, x.flip(1), x), y), (back,))

    def focal(logits: torch.Tensor, targets: torch.Tensor, activation: Activation) -> torch.Tensor:
        miss = (torch.sigmoid(logits) - targets).abs()
        return -(miss**2 * torch.log1p(-miss.clamp_max(1 - 1e-6))).mean()

    parameters = {"p": Parameter(0.5, "probability")}
    AUGMENTATIONS["reverse"] = Augmentation(("mel",), "after_mix", "plays a clip backwards", parameters)
    FUNCTIONS["reverse"] = reverse
    LOSSES["focal"], LOSS_FUNCTIONS["focal"] = LossEntry("focal loss"), focal

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
