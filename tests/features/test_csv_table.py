import os
from pathlib import Path

import pytest

from features import csv_table
from features.csv_table import CsvTable
from features.errors import DataError


def test_a_csv_of_many_gigabytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "train_curated.csv"
    path.write_text("fname,labels\n")
    os.truncate(path, 8 << 30)  # sparse
    with pytest.raises(DataError, match="has 8589934592 bytes, which is too much for a CSV of clips: check the file"):
        CsvTable.read(path)


def test_as_many_rows_as_are_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_table, "MOST_ROWS", 3)
    path = tmp_path / "train_curated.csv"
    path.write_text("fname,labels\n" + "a.wav,A\n" * 3)
    assert len(CsvTable.read(path).rows) == 3
    path.write_text("fname,labels\n" + "a.wav,A\n" * 4)
    with pytest.raises(DataError, match="lists more than 3 clips, which is too many: check the file"):
        CsvTable.read(path)


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_a_row_that_spans_lines_and_the_line_numbers(tmp_path: Path, ends: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(f'\ufefffname,labels{ends}a,"A{ends}B"{ends}{ends}\u2028b,C{ends}'.encode())
    table = CsvTable.read(path)
    assert table.header == ("fname", "labels")
    assert table.rows == [(3, ["a", f"A{ends}B"]), (5, ["\u2028b", "C"])]
