from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from trainers.augment import FUNCTIONS
from trainers.batch import Batch, Change, Layout
from trainers.clips import ClipBank, MemoryClips
from trainers.randomness import generator
from trainers.registry import AUGMENTATIONS, Augmentation, resolve_augmentations
from trainers.streams import Partners, Pool, Stream, crop_starts

CPU = torch.device("cpu")
ALL = {
    "mel": resolve_augmentations(
        {"additional_crop": {}, "mixup": {}, "frequency_mask": {"low": 1, "high": 3}, "gain": {}}
    ),
    "waveform": resolve_augmentations({"scale": {}, "bc_mix": {}, "gain_db": {}}),
}


def pool_of(clips: int, *, first: int = 0, classes: int = 100, kind: str = "mel", seed: int = 0) -> Pool:
    """Clips of 5-39 positions, all of a value that tells the clip, whose label is the clip's number from `first` on."""
    lengths = np.random.default_rng(seed).integers(5, 40, clips)
    numbers = first + np.arange(clips)
    if kind == "mel":
        arrays = [np.full((n, 4), 1.0 + value, np.float32) for n, value in zip(lengths, numbers, strict=True)]
    else:
        arrays = [np.full(n, 1 + value, np.int16) for n, value in zip(lengths, numbers, strict=True)]
    # The bank lists the clips backwards, so that rows and places in the pool differ.
    rows = np.arange(clips)[::-1].copy()
    return Pool(ClipBank(MemoryClips(arrays[::-1]), CPU), rows, torch.eye(classes)[numbers])


def stream_of(
    pools: list[Pool],
    *,
    name: str = "s",
    batch_size: int = 8,
    seed: int = 0,
    augment: dict[str, Any] | None = None,
    partners: Partners = "balanced",
) -> Stream:
    return Stream(
        name, pools, crop=16, batch_size=batch_size, augmentations=augment or {}, seed=seed, partners=partners
    )


def numbers_of(labels: torch.Tensor) -> NDArray[np.int64]:
    assert bool((labels.sum(dim=1) == 1).all())
    numbers: NDArray[np.int64] = labels.argmax(dim=1).numpy()
    return numbers


def assert_uniform(values: NDArray[np.int64], low: int, high: int) -> None:
    """All of low..high, each about as often."""
    counts = np.bincount(values - low, minlength=high - low + 1)
    expected = len(values) / (high - low + 1)
    assert len(counts) == high - low + 1
    assert np.abs(counts - expected).max() < 5.5 * np.sqrt(expected)


# --- where crops begin


def starts_of(length: int, crop: int, border: int, n: int = 20_000) -> NDArray[np.int64]:
    return crop_starts(np.full(n, length), crop, np.random.default_rng(0), border=border)


def test_a_long_clip_is_cropped_anywhere_inside() -> None:
    assert_uniform(starts_of(30, 20, 0), 0, 10)


def test_a_short_clip_lies_anywhere_in_zeros() -> None:
    assert_uniform(starts_of(14, 20, 0), -6, 0)


def test_a_clip_of_the_crops_length_is_taken_whole() -> None:
    assert not starts_of(20, 20, 0, 100).any()


@pytest.mark.parametrize("length", [1, 14, 20, 30])
def test_a_waveform_has_half_a_crop_of_zeros_on_both_sides(length: int) -> None:
    # Zeros of 10, the clip, zeros of 10: windows of 20 begin at 0 .. length, counted from the padded front.
    assert_uniform(starts_of(length, 20, 10), -10, length - 10)


def test_an_odd_crop_of_one_sample_clips() -> None:
    assert set(starts_of(1, 21, 10, 1_000)) == {-10}


def test_starts_are_drawn_clip_by_clip() -> None:
    lengths = np.array([5, 20, 1_000, 64])
    starts = np.stack([crop_starts(lengths, 20, np.random.default_rng(seed), border=0) for seed in range(300)])
    assert starts[:, 0].min() == -15
    assert starts[:, 0].max() == 0
    assert not starts[:, 1].any()
    assert 0 <= starts[:, 2].min() < 50
    assert 930 < starts[:, 2].max() <= 980
    assert abs(np.corrcoef(starts[:, 2], starts[:, 3])[0, 1]) < 0.3


# --- batches


@pytest.mark.parametrize("kind", ["mel", "waveform"])
@pytest.mark.parametrize("pools", [1, 2])
def test_a_batch_is_a_function_of_the_step(kind: str, pools: int) -> None:
    def stream() -> Stream:
        made = [pool_of(13, kind=kind), pool_of(21, first=40, kind=kind, seed=1)]
        return stream_of(made[:pools], augment=ALL[kind])

    one = stream()
    in_order = [one.batch(step) for step in range(12)]
    other = stream()
    for step in (11, 3, 3, 0, 7, 1, 11):
        torch.manual_seed(step)  # the state of other generators plays no part
        x, y = other.batch(step)
        assert torch.equal(x, in_order[step][0])
        assert torch.equal(y, in_order[step][1])
    assert in_order[0][0].shape == ((8, 16, 4) if kind == "mel" else (8, 16))
    assert in_order[0][1].shape == (8, 100)
    assert len({x.numpy().tobytes() for x, _ in in_order}) == 12


@pytest.mark.parametrize(("name", "seed"), [("t", 0), ("s", 1)])
def test_streams_and_seeds_differ(name: str, seed: int) -> None:
    pools = [pool_of(30)]
    one, other = stream_of(pools).batch(0), stream_of(pools, name=name, seed=seed).batch(0)
    assert not torch.equal(one[1], other[1])


@pytest.mark.parametrize(("clips", "batch_size"), [(24, 8), (13, 8), (3, 8), (8, 8), (9, 2)])
def test_each_pass_covers_each_clip_once(clips: int, batch_size: int) -> None:
    stream = stream_of([pool_of(clips)], batch_size=batch_size)
    steps = 6 * clips // batch_size + 1
    seen = np.concatenate([numbers_of(stream.batch(step)[1]) for step in range(steps)])
    passes = [tuple(seen[number * clips : (number + 1) * clips]) for number in range(6)]
    for order in passes:
        assert sorted(order) == list(range(clips))
    assert len(set(passes)) > 1


def test_labels_stay_with_their_clips() -> None:
    for kind in ("mel", "waveform"):
        stream = stream_of([pool_of(10, kind=kind), pool_of(20, first=10, kind=kind, seed=1)], batch_size=32)
        for step in range(5):
            x, y = stream.batch(step)
            value = x.flatten(1).amax(dim=1).numpy() * (1 if kind == "mel" else 32_768)
            kept = value > 0  # a crop of a waveform may lie in its border
            assert kept.mean() > 0.8
            np.testing.assert_array_equal(value[kept] - 1, numbers_of(y)[kept])


def test_two_pools_come_one_to_one() -> None:
    stream = stream_of([pool_of(5), pool_of(50, first=5, seed=1)], batch_size=100)
    seen = np.concatenate([numbers_of(stream.batch(step)[1]) for step in range(60)])
    of_first = seen[seen < 5]
    assert len(of_first) / len(seen) == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(len(seen)))
    assert_uniform(of_first, 0, 4)
    assert_uniform(seen[seen >= 5], 5, 54)


def test_a_pool_that_no_clip_was_drawn_from() -> None:
    stream = stream_of([pool_of(5), pool_of(5, first=5)], batch_size=1, augment=ALL["mel"])
    for step in range(20):
        x, _ = stream.batch(step)
        assert x.shape == (1, 16, 4)
        assert x.isfinite().all()
    waves = stream_of(
        [pool_of(5, kind="waveform"), pool_of(5, first=5, kind="waveform")], batch_size=1, augment=ALL["waveform"]
    )
    assert all(waves.batch(step)[0].shape == (1, 16) for step in range(20))


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize("pools", [1, 2])
def test_partners_are_drawn_at_random_from_the_same_pools(pools: int) -> None:
    def partners(layout: Layout, rng: np.random.Generator) -> Change:
        half = layout.shape[0] // 2
        return Change(layout.first(half), lambda x, y: (x[half:], y[half:]))

    AUGMENTATIONS["partners"], FUNCTIONS["partners"] = Augmentation(("mel",), "mix", ""), partners

    made = [pool_of(5), pool_of(50, first=5, seed=1)]
    stream = stream_of(made[:pools], batch_size=100, augment={"partners": {}})
    seen = np.concatenate([numbers_of(stream.batch(step)[1]) for step in range(60)])
    own = np.concatenate([numbers_of(stream_of(made[:pools], batch_size=100).batch(step)[1]) for step in range(60)])
    assert_uniform(seen[seen < 5], 0, 4)
    if pools == 2:
        assert (seen < 5).mean() == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(len(seen)))
        assert ((own < 5) & (seen < 5)).mean() == pytest.approx(0.25, abs=0.03)  # independent of the clip
    else:
        assert (own == seen).mean() == pytest.approx(0.2, abs=0.03)


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize("pools", [1, 2])
@pytest.mark.parametrize("kind", ["mel", "waveform"])
def test_start_and_stop_are_where_the_clip_lies(kind: str, pools: int) -> None:
    seen: list[Batch] = []

    def look(layout: Layout, rng: np.random.Generator) -> Change:
        def apply(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            seen.append(Batch(x, y, layout.start, layout.stop))
            return x, y

        return Change(layout, apply)

    AUGMENTATIONS["look"], FUNCTIONS["look"] = Augmentation(("mel", "waveform"), "before_mix", ""), look
    made = [pool_of(20, kind=kind), pool_of(20, first=20, kind=kind, seed=1)]
    stream = stream_of(made[:pools], batch_size=64, augment={"look": {}})
    for step in range(5):
        stream.batch(step)
    place = np.arange(16)
    for batch in seen:
        inside = (batch.x if kind == "waveform" else batch.x[:, :, 0]).numpy() > 0
        start, stop = batch.start[:, None], batch.stop[:, None]
        np.testing.assert_array_equal(inside, (place >= start) & (place < stop))
    starts = np.concatenate([batch.start for batch in seen])
    # A mel clip of 5 frames begins at most 11 into the crop; a waveform has half a crop of zeros around it.
    assert int(starts.max()) == (11 if kind == "mel" else 8)


@pytest.mark.usefixtures("registry")
def test_scaled_clips_are_read_at_their_rate() -> None:
    """A ramp, so that the slope of a crop is the inverse of the rate of its clip."""
    clips = MemoryClips([np.arange(1, 2_001, dtype=np.int16)] * 30)
    pool = Pool(ClipBank(clips, CPU), np.arange(30), torch.eye(30))
    augmentations = resolve_augmentations({"scale": {"factor": 2}})
    stream = Stream("s", [pool], crop=100, batch_size=30, augmentations=augmentations, seed=4)
    rates = 2.0 ** generator(4, "s/crop-0/scale", 0).uniform(-1, 1, 60)[:30]
    x, _ = stream.batch(0)
    checked = 0
    for crop, rate in zip(x.numpy() * 32_768, rates, strict=True):
        if (crop > 0).all():
            assert (crop[-1] - crop[0]) / 99 == pytest.approx(1 / rate, abs=0.02)
            checked += 1
    assert checked > 15


@pytest.mark.parametrize("kind", ["mel", "waveform"])
def test_views_are_the_same_clips_read_anew(kind: str) -> None:
    pool = pool_of(30, kind=kind)

    def stream(**view: int) -> Stream:
        augment = {name: facts for name, facts in ALL[kind].items() if name not in ("mixup", "bc_mix")}
        return Stream("s", [pool], crop=16, batch_size=8, augmentations=augment, seed=0, **view)  # type: ignore[arg-type]

    for step in (0, 5):
        plain, *views = [s.batch(step) for s in (stream(), stream(view=0), stream(view=1), stream(view=2))]
        assert torch.equal(plain[0], views[0][0]), "the first view is the stream itself"
        for _, y in views:
            assert torch.equal(y, plain[1])
        assert len({x.numpy().tobytes() for x, _ in views}) == 3


@pytest.mark.usefixtures("registry")
def test_uniform_partners_are_any_clip_of_both_pools() -> None:
    """The clips themselves stay balanced, and are the same ones."""

    def partners(layout: Layout, rng: np.random.Generator) -> Change:
        half = layout.shape[0] // 2
        return Change(layout.first(half), lambda x, y: (x[half:], y[half:]))

    AUGMENTATIONS["partners"], FUNCTIONS["partners"] = Augmentation(("mel",), "mix", ""), partners
    made = [pool_of(5), pool_of(20, first=5, seed=1)]

    def numbers(**more: Any) -> NDArray[np.int64]:
        stream = stream_of(made, batch_size=100, **more)
        return np.concatenate([numbers_of(stream.batch(step)[1]) for step in range(60)])

    seen = numbers(augment={"partners": {}}, partners="uniform")
    assert_uniform(seen, 0, 24)
    assert (seen < 5).mean() == pytest.approx(0.2, abs=4 * 0.4 / np.sqrt(len(seen)))
    np.testing.assert_array_equal(numbers(partners="uniform"), numbers())


def test_what_a_seed_draws_stays_the_same() -> None:
    """Other draws would be another training under an equal signature: raise the version of its stage with them."""
    one = stream_of([pool_of(12)], batch_size=6, seed=3)
    drawn = numbers_of(torch.cat([one.batch(step)[1] for step in (0, 1, 2)])).tolist()
    assert drawn == [11, 1, 7, 6, 8, 10, 3, 0, 5, 2, 4, 9, 0, 2, 5, 6, 9, 1]
    two = stream_of([pool_of(12), pool_of(12, first=12)], batch_size=6, seed=3)
    drawn = numbers_of(torch.cat([two.batch(step)[1] for step in (0, 1, 2)])).tolist()
    assert drawn == [12, 2, 16, 1, 0, 9, 15, 9, 9, 5, 9, 6, 7, 6, 15, 11, 18, 0]


@pytest.mark.usefixtures("registry")
def test_scaled_clips_end_where_their_samples_do() -> None:
    """A clip of 37 samples at rate r is floor(37 r) samples long."""
    seen: list[Batch] = []

    def look(layout: Layout, rng: np.random.Generator) -> Change:
        def apply(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            seen.append(Batch(x, y, layout.start, layout.stop))
            return x, y

        return Change(layout, apply)

    AUGMENTATIONS["look"], FUNCTIONS["look"] = Augmentation(("mel", "waveform"), "before_mix", ""), look
    pool = Pool(ClipBank(MemoryClips([np.ones(37, np.int16)] * 30), CPU), np.arange(30), torch.eye(30))
    augmentations = resolve_augmentations({"scale": {"factor": 2}, "look": {}})
    Stream("s", [pool], crop=200, batch_size=30, augmentations=augmentations, seed=4).batch(0)
    rates = 2.0 ** generator(4, "s/crop-0/scale", 0).uniform(-1, 1, 60)
    np.testing.assert_array_equal(seen[0].stop - seen[0].start, np.floor(37 * rates))
