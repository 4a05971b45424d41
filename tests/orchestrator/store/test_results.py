import json
from dataclasses import replace

import pytest

from features.errors import StoreError
from orchestrator.store.marks import DoneMark
from orchestrator.store.results import PredictResult, TrainResult

MARK = DoneMark("train-A-0", "00", host="vm")


def test_results_are_read_as_they_were_written() -> None:
    for result in (
        TrainResult(0.5, 0.25, ("snapshot-1.safetensors",)),
        PredictResult(2, ("curated", "noisy"), (4, 16), (1,)),
    ):
        content = json.loads(json.dumps(result.to_json()))
        assert type(result).of(replace(MARK, result=content)) == result


def test_marks_of_older_versions_lack_some_facts() -> None:
    assert TrainResult.of(replace(MARK, result={"best_lwlrap": 1, "last_lwlrap": 0.5})) == TrainResult(1.0, 0.5)
    old = {"cycles": 1, "heads": ["curated"], "pads": [4]}
    assert PredictResult.of(replace(MARK, result=old)).labels_seen == ()


def test_a_result_of_another_form_ends_in_a_sentence() -> None:
    with pytest.raises(StoreError, match=r"done\.json of train-A-0 is damaged.*training"):
        TrainResult.of(MARK)
    with pytest.raises(StoreError, match=r"damaged.*prediction"):
        PredictResult.of(replace(MARK, result={"cycles": "2", "heads": [], "pads": []}))
