from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError

from features.settings import DataSettings, MelSettings, Settings, WaveformSettings
from orchestrator.grids.recipe import Recipe


def test_defaults_are_the_papers() -> None:
    assert DataSettings().model_dump() == {"folds": 5, "fold_seed": 42, "group_by": None, "stratify": False}
    assert MelSettings().model_dump(exclude={"shard_mb"}) == {
        "kind": "mel", "sample_rate_hz": 44_100, "n_mels": 128, "n_fft_samples": 2_560, "hop_samples": 347,
        "fmin_hz": 20.0, "fmax_hz": 22_050.0,
    }  # fmt: skip
    assert WaveformSettings().sample_rate_hz == 44_100


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"sample_rate_hz": 22_050}, "fmax_hz is 22050, above half of sample_rate_hz 22050: set it to at most 11025"),
        ({"fmin_hz": 22_050.0}, "fmin_hz 22050 is not below fmax_hz 22050: lower it"),
        ({"n_mels": 40, "n_fft_samples": 64}, "n_mels 40 is more than the 33 bins of n_fft_samples 64"),
        ({"n_mels": 64.0}, "n_mels"),
        ({"hop": 3}, "hop\n  Extra inputs are not permitted"),
    ],
)
def test_mel_settings_that_do_not_fit_are_refused(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        MelSettings.model_validate(change)


@pytest.mark.parametrize(("n_samples", "frames"), [(0, 1), (1, 1), (346, 1), (347, 2), (44_100, 128)])
def test_frames_are_centred(n_samples: int, frames: int) -> None:
    assert MelSettings().rows(n_samples) == frames


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        DataSettings().folds = 3


def models(annotation: Any) -> set[type[BaseModel]]:
    """All settings that a type leads to."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        inner = (models(field.annotation) for field in annotation.model_fields.values())
        return {annotation}.union(*inner)
    return set().union(*(models(part) for part in get_args(annotation)))


def test_every_field_of_every_settings_model_is_described() -> None:
    """docs/grids.md is generated from these."""
    found = models(Recipe)
    assert len(found) > 15
    missing = [
        f"{model.__name__}.{name}"
        for model in found for name, field in model.model_fields.items() if not field.description
    ]  # fmt: skip
    assert missing == []
