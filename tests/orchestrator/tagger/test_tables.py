import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import InputError
from orchestrator.tagger.tables import Rows, is_labels, require_form, write_labels, write_table
from orchestrator.tagger.tagger import Segment

SCORES = np.array([[0.25, 0.5], [1.0, 0.0]], np.float32)
NAMES = ["a.wav", "b, c.wav"]
ROWS = Rows(NAMES, [Segment(0.0, 0.0, row) for row in SCORES], windows=False)
TIMELINE = Rows(
    ["a.wav"] * 4,
    [Segment(start, start + 2.0, SCORES[index]) for start, index in ((0.0, 0), (1.0, 1), (2.0, 0), (6.0, 1))],
    windows=True,
)


@pytest.mark.parametrize("ending", ["csv", "CSV", "json", "jsonl", "parquet"])
def test_every_form_holds_the_same_scores(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"scores.{ending}"
    require_form("--to", path, windows=False)
    write_table(path, ROWS, ("x", "y"))
    if ending == "json":
        frame = pd.DataFrame(json.loads(path.read_text())).T.rename_axis("fname").reset_index()
    elif ending == "jsonl":
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        frame = pd.DataFrame([{"fname": line["fname"], **line["scores"]} for line in lines])
    else:
        frame = pd.read_parquet(path) if ending == "parquet" else pd.read_csv(path)
    assert list(frame.columns) == ["fname", "x", "y"]
    assert frame["fname"].tolist() == NAMES
    np.testing.assert_array_equal(frame[["x", "y"]].to_numpy(np.float32), SCORES)


@pytest.mark.parametrize("ending", ["csv", "json", "jsonl", "parquet"])
def test_names_need_not_be_text(ending: str, tmp_path: Path) -> None:
    odd = Rows([os.fsdecode(b"bad\xff.wav"), "\x1b.wav"], ROWS.segments, windows=False)
    write_table(tmp_path / f"s.{ending}", odd, ("x", "y"))
    assert (tmp_path / f"s.{ending}").stat().st_size > 0


@pytest.mark.parametrize("ending", ["csv", "json", "jsonl", "parquet"])
def test_windows_have_their_times(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"windows.{ending}"
    write_table(path, TIMELINE, ("x", "y"))
    if ending == "json":
        found = [(window["start_s"], window["end_s"]) for window in json.loads(path.read_text())["a.wav"]]
    elif ending == "jsonl":
        found = [(line["start_s"], line["end_s"]) for line in map(json.loads, path.read_text().splitlines())]
    else:
        frame = pd.read_parquet(path) if ending == "parquet" else pd.read_csv(path)
        assert list(frame.columns) == ["fname", "start_s", "end_s", "x", "y"]
        found = list(zip(frame["start_s"], frame["end_s"], strict=True))
    assert found == [(0.0, 2.0), (1.0, 3.0), (2.0, 4.0), (6.0, 8.0)]


def test_labels_join_neighbouring_windows(tmp_path: Path) -> None:
    write_labels(tmp_path / "l.txt", TIMELINE, [["x", "y"], ["y"], ["x"], ["x"]])
    assert (tmp_path / "l.txt").read_text().splitlines() == [
        "0.000000\t3.000000\ty", "0.000000\t4.000000\tx", "6.000000\t8.000000\tx",
    ]  # fmt: skip


def test_a_folder_has_the_labels_of_each_recording(tmp_path: Path) -> None:
    names = [str(tmp_path / name) for name in ("rec/a.wav", "rec/b/a.wav", "rec/b/a.wav")]
    rows = Rows(names, TIMELINE.segments[:3], windows=True)
    write_labels(tmp_path / "labels", rows, [["x"], [], ["y"]])
    found = {str(path.relative_to(tmp_path / "labels")): path.read_text() for path in tmp_path.glob("labels/**/*.txt")}
    assert found == {"a.wav.txt": "0.000000\t2.000000\tx\n", "b/a.wav.txt": "2.000000\t4.000000\ty\n"}
    with pytest.raises(InputError, match=r"takes the labels of one recording: name a folder for 2 of them"):
        write_labels(tmp_path / "l.txt", rows, [[], [], []])


def test_other_endings_are_refused() -> None:
    with pytest.raises(InputError, match=r"--to s\.xlsx: the ending says the form: choose one of \.csv, \.json, "):
        require_form("--to", Path("s.xlsx"), windows=False)
    assert is_labels(Path("l.TXT"))
    assert is_labels(Path("labels"))
    require_form("--to", Path("l.txt"), windows=True)
    with pytest.raises(InputError, match=r"--to l\.txt: labels have times; add --windows SECONDS"):
        require_form("--to", Path("l.txt"), windows=False)
