"""A CSV file of clips as text; every fault becomes one sentence."""

import csv
import io
import itertools
from dataclasses import dataclass
from pathlib import Path

from features.errors import DataError

__all__ = ["CsvTable"]

MOST_BYTES = 64 << 20
MOST_ROWS = 500_000
"""Of a CSV; the challenge has 20,000 clips in 700 kB."""


@dataclass(frozen=True)
class CsvTable:
    """A CSV file as text: header, and (line number, fields) of every row that is not blank."""

    path: Path
    header: tuple[str, ...]
    rows: list[tuple[int, list[str]]]

    @classmethod
    def read(cls, path: Path) -> "CsvTable":
        """Read a whole file.

        Raises:
            DataError: it is not a regular file, not UTF-8, not CSV, or empty.
        """
        try:
            if not path.is_file():
                raise DataError([f"{path} is not a regular file: put the CSV itself there"])
            if (size := path.stat().st_size) > MOST_BYTES:
                raise DataError([f"{path} has {size} bytes, which is too much for a CSV of clips: check the file"])
            content = path.read_bytes()
        except OSError as error:
            raise DataError([f"{path} cannot be read ({error.strerror}): check the file"]) from None
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise DataError([f"{path} is not UTF-8 text: save it as a UTF-8 CSV"]) from None
        if "\0" in text:
            raise DataError([f"{path} is not a text file (it holds a zero byte): save it as a UTF-8 CSV"])
        del text
        # Decoded piece by piece: a StringIO would take four bytes per character.
        reader = csv.reader(io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", newline=""), strict=True)
        try:
            filled = ((reader.line_num, fields) for fields in reader if any(field.strip() for field in fields))
            lines = list(itertools.islice(filled, MOST_ROWS + 2))
        except csv.Error as error:
            raise DataError([f"{path} line {reader.line_num} is not CSV ({error}): correct it"]) from None
        if len(lines) > MOST_ROWS + 1:
            raise DataError([f"{path} lists more than {MOST_ROWS} clips, which is too many: check the file"])
        if not lines:
            raise DataError([f"{path} is empty: it should list the dataset's clips"])
        header = tuple(name.strip() for name in lines[0][1])
        other = next((mark for mark in (";", "\t", "|") if mark in header[0]), None)
        if len(header) == 1 and other is not None:
            raise DataError([f"{path} line 1 separates its columns with {other!r}: save it with commas"])
        return cls(path, header, lines[1:])
