from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from features.shards import ShardSet
from trainers.clips import ClipBank, ClipSource, MemoryClips

CPU = torch.device("cpu")
KINDS = pytest.mark.parametrize("kind", ["mel", "waveform"])
RESIDENT = pytest.mark.parametrize("resident", [False, True])


def memory_clips(kind: str, lengths: tuple[int, ...] = (1, 7, 40, 12)) -> MemoryClips:
    rng = np.random.default_rng(0)
    if kind == "mel":
        return MemoryClips([rng.uniform(0.1, 1, (n, 8)).astype(np.float32) for n in lengths])
    return MemoryClips([rng.integers(1, 32_768, n).astype(np.int16) for n in lengths])


def bank_of(clips: ClipSource, *, resident: bool) -> ClipBank:
    return ClipBank(clips, CPU, resident_bytes=1 << 30 if resident else 0)


def slow_crop(array: NDArray[Any], start: int, length: int, rate: float = 1.0) -> NDArray[np.float32]:
    """One value after the other: position t of the crop is at (start + t) / rate of the clip, zeros outside."""
    crop = np.zeros((length, *array.shape[1:]), np.float32)
    for t in range(length):
        place = int(np.floor((start + t) / rate))
        if 0 <= place < len(array):
            crop[t] = array[place] / (32_768 if array.dtype == np.int16 else 1)
    return crop


@KINDS
@RESIDENT
def test_crop_is_the_slow_one(kind: str, resident: bool) -> None:
    clips = memory_clips(kind)
    rng = np.random.default_rng(1)
    rows = rng.integers(0, 4, 60)
    starts = rng.integers(-30, 50, 60)  # before, across and beyond both ends
    crops = bank_of(clips, resident=resident).crop(rows, starts, 20)
    assert crops.dtype == torch.float32
    for crop, row, start in zip(crops.numpy(), rows, starts, strict=True):
        np.testing.assert_array_equal(crop, slow_crop(clips.array(row), start, 20))


@KINDS
@RESIDENT
@pytest.mark.parametrize("factor", [1.25, 3.0])
def test_crop_at_rate_is_nearest_neighbour(kind: str, resident: bool, factor: float) -> None:
    clips = memory_clips(kind)
    rng = np.random.default_rng(2)
    bank = bank_of(clips, resident=resident)
    for _ in range(20):
        rows = rng.integers(0, 4, 9)
        starts = rng.integers(-30, 60, 9)
        rates = factor ** rng.uniform(-1, 1, 9)
        crops = bank.reading_at_rate(rows, starts, 25, rates).on(CPU)
        assert crops.shape[:2] == (9, 25)
        for crop, row, start, rate in zip(crops.numpy(), rows, starts, rates, strict=True):
            np.testing.assert_array_equal(crop, slow_crop(clips.array(row), start, 25, rate))


@pytest.mark.parametrize("start", [-7, 0, 5])
def test_rate_one_is_a_plain_crop(start: int) -> None:
    bank = bank_of(memory_clips("waveform"), resident=False)
    rows, starts = np.array([2, 3]), np.array([start, start])
    assert torch.equal(bank.reading_at_rate(rows, starts, 20, np.ones(2)).on(CPU), bank.crop(rows, starts, 20))


@RESIDENT
def test_samples_are_scaled_to_one(resident: bool) -> None:
    clips = MemoryClips([np.array([-32_768, 16_384, 0, 32_767], np.int16)])
    crop = bank_of(clips, resident=resident).crop([0], np.array([0]), 5)
    np.testing.assert_array_equal(crop.numpy(), np.array([[-1.0, 0.5, 0.0, 32_767 / 32_768, 0.0]], np.float32))


@KINDS
def test_resident_and_streamed_shards_agree(kind: str, shards: dict[tuple[str, str], ShardSet]) -> None:
    clips = shards[kind, "curated"]
    streamed, resident = bank_of(clips, resident=False), bank_of(clips, resident=True)
    rng = np.random.default_rng(3)
    rows = rng.permutation(len(clips))
    span = int(clips.lengths.max())
    starts = rng.integers(-span // 4, span, len(clips))
    assert torch.equal(streamed.crop(rows, starts, span // 2), resident.crop(rows, starts, span // 2))
    whole = resident.crop(rows, np.zeros(len(clips), np.int64), span)
    for crop, row in zip(whole.numpy(), rows, strict=True):
        array, length = clips.array(row), clips.lengths[row]
        np.testing.assert_array_equal(crop[:length], array / np.float32(1 if kind == "mel" else 32_768))
        assert not crop[length:].any()


@KINDS
def test_features_are_resident_within_the_budget_only(kind: str) -> None:
    clips = memory_clips(kind)
    size = sum(array.nbytes for array in clips.arrays)
    rows, starts = np.arange(4), np.zeros(4, np.int64)
    whole, within = (ClipBank(clips, CPU, resident_bytes=size - 1 + more) for more in (0, 1))
    before = whole.crop(rows, starts, 40)
    for array in clips.arrays:
        array[:] = 0
    assert not whole.crop(rows, starts, 40).any()  # still reads the clips
    assert torch.equal(within.crop(rows, starts, 40), before)


@KINDS
@RESIDENT
def test_no_rows_give_an_empty_crop(kind: str, resident: bool) -> None:
    none = np.zeros(0, np.int64)
    crop = bank_of(memory_clips(kind), resident=resident).crop(none, none, 5)
    assert crop.shape == ((0, 5, 8) if kind == "mel" else (0, 5))


def test_memory_clips_tell_their_form() -> None:
    assert memory_clips("mel").n_mels == 8
    assert memory_clips("waveform").n_mels is None
    np.testing.assert_array_equal(memory_clips("mel").lengths, [1, 7, 40, 12])
