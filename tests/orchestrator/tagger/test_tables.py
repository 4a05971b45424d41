import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.errors import InputError
from orchestrator.tagger.tables import require_table, write_table

SCORES = np.array([[0.25, 0.5], [1.0, 0.0]], np.float32)
NAMES = ["a.wav", "b, c.wav"]


@pytest.mark.parametrize("ending", ["csv", "CSV", "json", "jsonl", "parquet"])
def test_every_form_holds_the_same_scores(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"scores.{ending}"
    require_table("--to", path)
    write_table(path, NAMES, ("x", "y"), SCORES)
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
    write_table(tmp_path / f"s.{ending}", [os.fsdecode(b"bad\xff.wav"), "\x1b.wav"], ("x", "y"), SCORES)
    assert (tmp_path / f"s.{ending}").stat().st_size > 0


def test_other_endings_are_refused() -> None:
    with pytest.raises(InputError, match=r"--to s\.xlsx: the ending says the form: choose one of \.csv, \.json, "):
        require_table("--to", Path("s.xlsx"))
