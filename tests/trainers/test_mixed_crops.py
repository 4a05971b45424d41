"""One training with several crop lengths."""

from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from trainers.clips import ClipBank, MemoryClips
from trainers.registry import resolve_augmentations
from trainers.settings import TrainSettings
from trainers.streams import Pool, Stream

CPU = torch.device("cpu")
AUGMENT = resolve_augmentations({"additional_crop": {}, "mixup": {}})


def stream_of(name: str, crop: int | tuple[int, ...], *, seed: int = 0, wave: bool = False) -> Stream:
    rng = np.random.default_rng(0)
    shape: tuple[int, ...] = () if wave else (4,)
    arrays = [rng.integers(1, 99, (n, *shape)).astype(np.int16 if wave else np.float32) for n in range(20, 50)]
    pool = Pool(ClipBank(MemoryClips(arrays), CPU), np.arange(30), torch.eye(30))
    return Stream(name, [pool], crop=crop, batch_size=3, augmentations={} if wave else AUGMENT, seed=seed)


def test_each_step_draws_one_of_the_lengths() -> None:
    stream = stream_of("s", (8, 16, 40))
    lengths = [stream.batch(step)[0].shape[1] for step in range(300)]
    counts = [lengths.count(length) for length in (8, 16, 40)]
    assert sum(counts) == 300
    assert all(abs(count - 100) < 5 * np.sqrt(300 * 2 / 9) for count in counts)


def test_all_streams_of_a_step_have_one_length() -> None:
    one, other = stream_of("curated", (8, 16, 40)), stream_of("pseudo", (8, 16, 40))
    assert [one.batch(s)[0].shape[1] for s in range(40)] == [other.batch(s)[0].shape[1] for s in range(40)]
    third = stream_of("curated", (8, 16, 40), seed=1)
    assert [one.crop_length(s) for s in range(40)] != [third.crop_length(s) for s in range(40)]


@pytest.mark.parametrize("wave", [False, True])
def test_a_step_is_that_of_a_training_with_its_length_alone(wave: bool) -> None:
    mixed = stream_of("s", (8, 16), wave=wave)
    for step in (7, 0, 3, 7, 1, 2):
        x, y = mixed.batch(step)
        alone = stream_of("s", x.shape[1], wave=wave).batch(step)
        assert torch.equal(x, alone[0])
        assert torch.equal(y, alone[1])


@pytest.mark.parametrize(
    ("crop", "wanted", "crops"),
    [
        (512, 512, (512,)),
        ([512], 512, (512,)),
        ([512, 256], (256, 512), (256, 512)),
        ((256, 512, 1024), (256, 512, 1024), (256, 512, 1024)),
    ],
)
def test_equal_crops_are_written_alike(crop: Any, wanted: Any, crops: tuple[int, ...]) -> None:
    settings = TrainSettings.model_validate({"crop": crop})
    assert settings.crop == wanted
    assert settings.crops == crops
    assert TrainSettings.model_validate_json(settings.model_dump_json()) == settings
    assert settings.model_dump(mode="json")["crop"] == (crops[0] if len(crops) == 1 else list(crops))


@pytest.mark.parametrize(
    ("crop", "message"),
    [
        (0, "crop is a whole number from 1 to 100000000, or a list of such numbers, not 0"),
        ([256, 0], r"not \[256, 0\]"),
        ([], r"not \[\]"),
        ([256, "512"], "whole number"),
        (True, "whole number"),
        ([256.0], "whole number"),
        (None, "whole number"),
        ({"low": 1}, "whole number"),
        ([256, 512, 256], "given twice"),
    ],
)
def test_other_crops_are_refused(crop: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TrainSettings.model_validate({"crop": crop})


def test_every_length_must_be_long_enough() -> None:
    with pytest.raises(ValidationError, match="crop 20000 is too short for envnet; it needs 20570 samples"):
        TrainSettings.model_validate({"network": {"kind": "envnet"}, "crop": [30_000, 20_000]})
    assert TrainSettings.model_validate({"network": {"kind": "envnet"}, "crop": [30_000, 20_570]}).crops[0] == 20_570
