import json
from pathlib import Path
from typing import Any

import pytest

from features.errors import StoreError
from orchestrator.store.marks import (
    Claim,
    Damage,
    DoneMark,
    Failure,
    Lease,
    Mark,
    Placement,
    Queued,
    ResultFile,
    SignOfLife,
    StopRequest,
)

FILES = {"data.npy": ResultFile("ab" * 32, 17)}
MARKS: list[Mark] = [
    DoneMark("manifest", "00", files=FILES),
    DoneMark(
        "train-A-0",
        "01",
        {"curated": "02"},
        {"best_lwlrap": 0.5},
        {"torch": "2"},
        "vm",
        1.5,
        2.0,
        3.0,
        4,
        "attempt-4",
        FILES,
        "cuda: H200",
        2,
        5,
    ),
    Lease(3, "run"),
    Claim(3, "run", "0f", 2, 4, "vm", 1.0, 5),
    Queued(4),
    SignOfLife("vm", 7, "node", 1.0, 20, 1, 25, 30, 2.0, 5, True),
    SignOfLife("vm", 7),
    Failure("memory", "it needs more", 2, "vm", 1.0, "Traceback ..."),
    Failure("damaged", "an input is cut short", 1),
    Failure(epochs_done=3),
    Damage("cut short"),
    StopRequest("now"),
    StopRequest("epoch"),
    Placement("0f"),
]


@pytest.mark.parametrize("mark", MARKS, ids=lambda mark: type(mark).__name__)
def test_a_mark_is_read_as_it_was_written(mark: Mark) -> None:
    assert type(mark).from_json(json.loads(json.dumps(mark.to_json())), "here") == mark


def test_each_mark_has_a_file_of_its_own() -> None:
    classes = {type(mark) for mark in MARKS}
    assert {mark.FILE for mark in classes} == {
        "done.json", "claim.json", "attempt.json", "alive.json", "queued.json", "failed.json", "damaged.json",
        "stop.json", "placement.json",
    }  # fmt: skip


def test_the_form_on_the_disk() -> None:
    assert Lease(3, "run").to_json() == {"attempt": 3, "owner": "run"}
    assert StopRequest("now").to_json() == {"stop": "now"}
    assert list(DoneMark("manifest", "00", files=FILES).to_json()) == ["name", "signature", "files"]
    assert list(MARKS[1].to_json()) == [
        "name", "signature", "inputs", "result", "versions", "host", "started", "seconds", "peak_mb", "device",
        "workers", "threads", "attempts",
        "folder", "files",
    ]  # fmt: skip
    assert "epochs_done" not in Failure().to_json()
    assert Failure("damaged").to_json()["class"] == "damaged"
    assert "epoch" not in SignOfLife().to_json()


@pytest.mark.parametrize(
    ("content", "mark"),
    [
        ({"files": {}}, DoneMark("", "", {}, {}, {}, "", 0.0, 0.0, 0.0, 1, "", {}, "", 1, 0)),
        ({"attempt": 2, "token": "0f"}, Claim(2, "", "0f", 1, 1, "", 0.0)),
        ({"attempt": 2}, Lease(2, "")),
        ({}, SignOfLife("", 0, "", 0.0, 0, None, None, 0, 0.0, 0, False)),
        ({}, Queued(0)),
        ({}, Failure("error", "unknown", None, None, 0.0, None, None)),
        ({}, Damage("unknown")),
        ({}, StopRequest("epoch")),
        ({}, Placement("")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_facts_that_are_left_out(content: dict[str, Any], mark: Mark) -> None:
    assert type(mark).from_json(content, "here") == mark
    required: dict[str, Any] = {key: value for key, value in content.items() if key != "files"}
    assert type(mark)(**required) == mark


def test_a_run_knows_its_claims_and_those_of_its_older_version() -> None:
    assert Claim(1, "word.0f", "token").is_of("word.0f")
    assert not Claim(1, "0f", "token").is_of("word.0f")
    assert Claim(1, "0f").is_of("word.0f")
    assert not Claim(1, "0e").is_of("word.0f")


def test_keys_that_are_unknown_or_missing_are_tolerated() -> None:
    assert DoneMark.from_json({"files": {}, "later": 1}, "here") == DoneMark()
    assert Lease.from_json({"attempt": 1}, "here") == Lease(1)
    assert Failure.from_json({"cause": "it broke", "class": "of tomorrow"}, "here") == Failure(cause="it broke")
    assert Damage.from_json({"cause": "cut short"}, "here") == Damage("cut short")
    assert SignOfLife.from_json({}, "here").epoch is None


@pytest.mark.parametrize(
    ("mark", "content", "why"),
    [
        (DoneMark, [], "not a JSON object"),
        (DoneMark, {}, "lists no files"),
        (DoneMark, {"files": 3}, "'files' is not a JSON object"),
        (DoneMark, {"files": {"../up": {"sha256": "", "bytes": 1}}}, "not the name of a result"),
        (DoneMark, {"files": {"a/b": {"sha256": "", "bytes": 1}}}, "not the name of a result"),
        (DoneMark, {"files": {"a": {"bytes": 1}}}, "no checksum"),
        (DoneMark, {"files": {"a": {"sha256": "", "bytes": -1}}}, "no checksum"),
        (DoneMark, {"files": {}, "folder": "../up"}, "not the folder of an attempt"),
        (DoneMark, {"files": {}, "folder": "attempt-1/x"}, "not the folder of an attempt"),
        (Claim, {"attempt": 1}, "no 'token'"),
        (DoneMark, {"files": {}, "seconds": "long"}, "'seconds' is not of type float"),
        (Lease, {}, "no 'attempt'"),
        (Lease, {"attempt": "2"}, "'attempt' is not of type int"),
        (SignOfLife, {"time": None}, "'time' is not of type float"),
        (Failure, {"cause": 3}, "'cause' is not of type str"),
        (Placement, {"id": 1}, "'id' is not of type str"),
    ],
)
def test_a_damaged_mark_ends_in_a_sentence(mark: type[Mark], content: Any, why: str, tmp_path: Path) -> None:
    where = str(tmp_path / mark.FILE)
    with pytest.raises(StoreError, match=why) as raised:
        mark.from_json(content, where)
    assert str(raised.value).startswith(f"{where} is damaged: ")
    assert str(raised.value).endswith("; remove it and launch again")
