from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator.grids.condition import ConditionSettings, parents
from trainers.settings import TrainSettings

MEL: dict[str, Any] = {"features": {"kind": "mel"}, "train": {}, "predict": {}}


def changed(**train: Any) -> dict[str, Any]:
    return {**MEL, "train": train}


def test_a_condition_is_complete() -> None:
    condition = ConditionSettings.model_validate(MEL)
    assert condition.cv == "best"
    assert condition.predict.pads == (8, 32)
    assert ConditionSettings.model_validate_json(condition.model_dump_json()) == condition


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        ({**MEL, "features": {"kind": "waveform"}}, "network resnet reads mel features, not waveform"),
        ({**MEL, "predict": {"heads": ["curated", "noisy"]}}, "a noisy head exists only with multitask"),
        (
            changed(crop=100_000_000),
            "crop 100000000 and batch_size 64 make batches of 6,554 GB, above the limit",
        ),
        ({**MEL, "cv": "first"}, "cv\n  Input should be 'best' or 'last'"),
    ],
)
def test_parts_that_do_not_fit_are_refused(raw: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        ConditionSettings.model_validate(raw)


def test_parents_are_named_by_their_field() -> None:
    assert parents(TrainSettings()) == {}
    train = TrainSettings.model_validate({"init_from": "c1", "pseudo": {"teacher": "A"}})
    assert parents(train) == {"init_from": "c1", "pseudo.teacher": "A"}
