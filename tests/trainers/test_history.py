import json
import subprocess
import sys
from pathlib import Path

import pytest

from trainers.history import HISTORY, epoch_line, is_measured, latest_history, parse_history, read_history

RECORDS = [{"epoch": 1, "lwlrap": 0.5}, {"epoch": 2, "lwlrap": 1}]
TEXT = "".join(json.dumps(record) + "\n" for record in RECORDS)


def test_records_are_read_back(tmp_path: Path) -> None:
    assert read_history(tmp_path) == []
    (tmp_path / HISTORY).write_text(TEXT)
    assert read_history(tmp_path) == RECORDS


def test_a_history_that_is_removed_at_this_moment_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda _: True)
    assert read_history(tmp_path) == []


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "\n",
        '{"epoch": 3, "lwl',
        '{"epoch": 3, "lwlrap": 0.7}',
        "no json\n",
        "[1]\n",
        '{"epoch": 3}\n',
        '{"lwlrap": "1"}\n',
    ],
)
def test_what_is_not_a_whole_record_ends_the_history(rest: str) -> None:
    assert parse_history(TEXT + rest) == RECORDS
    assert parse_history(TEXT + rest + "\n" + TEXT)[:2] == RECORDS


def test_bytes_that_are_not_text_end_it_too(tmp_path: Path) -> None:
    (tmp_path / HISTORY).write_bytes(TEXT.encode() + b"\xff\xfe\n")
    assert read_history(tmp_path) == RECORDS


def test_the_longest_history_of_several_attempts_is_the_latest(tmp_path: Path) -> None:
    for name, count in (("a", 1), ("b", 2), ("c", 0)):
        (tmp_path / name).mkdir()
        (tmp_path / name / HISTORY).write_text("".join(TEXT.splitlines(keepends=True)[:count]))
    assert latest_history([tmp_path / "a", tmp_path / "b", tmp_path / "c", tmp_path / "none"]) == RECORDS
    assert latest_history([]) == []


def test_it_does_not_import_torch() -> None:
    subprocess.run([sys.executable, "-c", "import sys, trainers.history; sys.exit('torch' in sys.modules)"], check=True)


def test_an_epoch_is_a_line_of_a_log() -> None:
    record = {
        "epoch": 3, "loss_curated": 0.21349, "loss_noisy": 0.1, "lwlrap": 0.6821, "lr": 9.7e-4, "samples_per_s": 38.22,
        "seconds": 12.44, "time": 1.0,
    }  # fmt: skip
    assert epoch_line(record, 20) == (
        "epoch 3 of 20: loss curated 0.2135, noisy 0.1000; lwlrap 0.6821; rate 0.00097; 38.2 samples/s; 12.4 s"
    )


def test_times_and_what_a_process_uses_are_measured_and_scores_are_not() -> None:
    measured = {"seconds", "samples_per_s", "time", "system/process_memory_megabytes"}
    assert {key for key in {*measured, "epoch", "lwlrap", "lr", "loss_curated"} if is_measured(key)} == measured
