"""What surrounds a clip that is too short, in training crops and in predictions."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from trainers.augment import FUNCTIONS
from trainers.batch import Batch, Change, Layout
from trainers.clips import ClipBank, MemoryClips
from trainers.network import Tagger
from trainers.predict import predict
from trainers.registry import AUGMENTATIONS, Augmentation, resolve_augmentations
from trainers.settings import EnvNetSettings, Padding, ReadSettings, ResNetSettings, TrainSettings
from trainers.streams import Pool, Stream

CPU = torch.device("cpu")
BOTH = pytest.mark.parametrize("padding", ["zeros", "repeat"])
KINDS = pytest.mark.parametrize("kind", ["mel", "waveform"])
RESIDENT = pytest.mark.parametrize("resident", [False, True])


def clips_of(kind: str, lengths: tuple[int, ...] = (1, 7, 40, 12)) -> MemoryClips:
    rng = np.random.default_rng(0)
    if kind == "mel":
        return MemoryClips([rng.uniform(0.1, 1, (n, 8)).astype(np.float32) for n in lengths])
    return MemoryClips([rng.integers(1, 32_768, n).astype(np.int16) for n in lengths])


def slow_read(array: NDArray[Any], start: int, length: int, padding: str, rate: float = 1.0) -> NDArray[np.float32]:
    """One position after the other; a clip that repeats is walked to and fro in steps of its length."""
    crop = np.zeros((length, *array.shape[1:]), np.float32)
    for t in range(length):
        place = int(np.floor((start + t) / rate))
        if padding == "repeat":
            while place < 0:
                place += len(array)
            while place >= len(array):
                place -= len(array)
        if 0 <= place < len(array):
            crop[t] = array[place] / (32_768 if array.dtype == np.int16 else 1)
    return crop


# --- crops


@KINDS
@RESIDENT
@BOTH
def test_crops_are_the_slow_ones(kind: str, resident: bool, padding: Padding) -> None:
    clips = clips_of(kind)
    bank = ClipBank(clips, CPU, resident_bytes=1 << 30 if resident else 0)
    rng = np.random.default_rng(1)
    rows, starts = rng.integers(0, 4, 60), rng.integers(-30, 50, 60)  # before, across and beyond both ends
    crops = bank.crop(rows, starts, 20, padding)
    for crop, row, start in zip(crops.numpy(), rows, starts, strict=True):
        np.testing.assert_array_equal(crop, slow_read(clips.array(row), start, 20, padding))


@KINDS
@RESIDENT
@BOTH
@pytest.mark.parametrize("factor", [1.25, 3.0])
def test_crops_at_a_rate_are_the_slow_ones(kind: str, resident: bool, padding: Padding, factor: float) -> None:
    clips = clips_of(kind)
    bank = ClipBank(clips, CPU, resident_bytes=1 << 30 if resident else 0)
    rng = np.random.default_rng(2)
    for _ in range(10):
        rows, starts = rng.integers(0, 4, 9), rng.integers(-30, 60, 9)
        rates = factor ** rng.uniform(-1, 1, 9)
        crops = bank.reading_at_rate(rows, starts, 25, rates, padding).on(CPU)
        for crop, row, start, rate in zip(crops.numpy(), rows, starts, rates, strict=True):
            np.testing.assert_array_equal(crop, slow_read(clips.array(row), start, 25, padding, rate))


def test_a_clip_repeats_seamlessly_to_both_sides() -> None:
    bank = ClipBank(MemoryClips([np.array([1, 2, 3], np.int16)]), CPU)
    crop = bank.crop([0], np.array([-4]), 10, "repeat")[0] * 32_768
    assert crop.tolist() == [3, 1, 2, 3, 1, 2, 3, 1, 2, 3]


# --- streams


def stream_of(kind: str, padding: Padding, augment: dict[str, Any]) -> Stream:
    """Clips of 5-39 positions, cropped to 16; no value is zero."""
    lengths = np.random.default_rng(0).integers(5, 40, 20)
    pool = Pool(ClipBank(clips_of(kind, tuple(lengths.tolist())), CPU), np.arange(20), torch.eye(20))
    augmentations = resolve_augmentations(augment)
    return Stream("s", [pool], crop=16, batch_size=32, augmentations=augmentations, seed=0, padding=padding)


@KINDS
def test_padding_changes_nothing_inside_a_clip(kind: str) -> None:
    for step in range(4):
        zeros, repeated = (stream_of(kind, padding, {}).batch(step) for padding in ("zeros", "repeat"))
        assert torch.equal(zeros[1], repeated[1])
        inside = zeros[0] != 0
        assert 0.3 < inside.float().mean() < 1
        assert torch.equal(zeros[0][inside], repeated[0][inside])
        assert bool((repeated[0] != 0).all()), "the clip fills the crop"


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(("kind", "scaled"), [("mel", False), ("waveform", False), ("waveform", True)])
def test_a_repeated_clip_fills_its_crop(kind: str, scaled: bool) -> None:
    seen: list[Batch] = []

    def look(layout: Layout, rng: np.random.Generator) -> Change:
        def apply(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            seen.append(Batch(x, y, layout.start, layout.stop))
            return x, y

        return Change(layout, apply)

    AUGMENTATIONS["look"], FUNCTIONS["look"] = Augmentation(("mel", "waveform"), "before_mix", ""), look
    stream_of(kind, "repeat", {"look": {}, "scale": {}} if scaled else {"look": {}}).batch(3)
    (batch,) = seen
    assert batch.start.tolist() == [0] * 64
    assert batch.stop.tolist() == [16] * 64
    assert bool((batch.x != 0).all())


def test_an_additional_crop_keeps_a_part_of_the_repeated_clip() -> None:
    x, _ = stream_of("mel", "repeat", {"additional_crop": {"p": 1.0, "low": 0.5}}).batch(0)
    kept = (x[:, :, 0] != 0).sum(dim=1)
    assert 8 <= int(kept.min()) < int(kept.max()) <= 16


# --- predictions


def inputs_of_the_trunk(network: Tagger, monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    seen: list[torch.Tensor] = []
    prepare = network.prepare
    monkeypatch.setattr(network, "prepare", lambda x: (seen.append(x.clone()), prepare(x))[1])
    return seen


@BOTH
def test_predictions_pad_both_sides_and_up_to_the_own_length(padding: Padding, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = ClipBank(clips_of("mel", (30, 29, 25)), CPU)
    network = Tagger(ResNetSettings(depth=10, width=4, head_units=8), 6, noisy_head=False)
    seen = inputs_of_the_trunk(network, monkeypatch)
    pads = [4, 0, 9]
    read = ReadSettings(patience=0.35)  # up to a multiple of 8
    scores = predict([network], bank, np.array([2, 0, 1]), pads, padding=padding, read=read)
    assert len(seen) == 3
    for p, pad in enumerate(pads):
        assert seen[p].shape == (3, 32 + 2 * pad, 8)
        assert seen[p].is_contiguous()
        for index, row in enumerate((2, 0, 1)):
            wanted = slow_read(bank.shards.array(row), -pad, 32 + 2 * pad, padding)
            np.testing.assert_array_equal(seen[p][index], wanted)
            with torch.no_grad():
                alone = network.scores(torch.from_numpy(wanted)[None])[0]
            np.testing.assert_allclose(scores[0, 0, p, index], alone, atol=1e-6)


@BOTH
def test_predictions_pad_behind_up_to_the_networks_minimum(padding: Padding, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = ClipBank(clips_of("waveform", (9_000, 5)), CPU)
    network = Tagger(EnvNetSettings(width=4, head_units=8), 6, noisy_head=False)
    seen = inputs_of_the_trunk(network, monkeypatch)
    read = ReadSettings(patience=0.0)
    predict([network], bank, np.array([0]), [0, 1_000, 7_000], padding=padding, read=read)
    for x, pad, behind in zip(seen, (0, 1_000, 7_000), (11_570, 10_570, 7_000), strict=True):
        wanted = slow_read(bank.shards.array(0), -pad, pad + 9_000 + behind, padding)
        assert len(wanted) == max(20_570, 9_000 + 2 * pad)
        np.testing.assert_array_equal(x[0], wanted)


def test_padding_is_zeros_or_repeat() -> None:
    assert TrainSettings().padding == "zeros"
    assert TrainSettings.model_validate({"padding": "repeat"}).padding == "repeat"
    with pytest.raises(ValueError, match="padding"):
        TrainSettings.model_validate({"padding": "reflect"})
