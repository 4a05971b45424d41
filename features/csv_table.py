"""A CSV file of clips as text; every fault becomes one sentence."""

import csv
import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from features.errors import DataError

__all__ = ["CsvTable", "read_text"]

MOST_BYTES = 64 << 20
MOST_ROWS = 500_000
"""Of a CSV; the challenge has 20,000 clips in 700 kB."""


@dataclass(frozen=True)
class CsvTable:
    """A CSV file as text: header, and (line number, fields) of every row that is not blank."""

    path: Path
    header: tuple[str, ...]
    rows: list[tuple[int, list[str]]]

    def fault(self, fields: Sequence[str]) -> str | None:
        """Why a row does not fit the header, to follow its place in a sentence; None if it does."""
        if len(fields) == len(self.header):
            return None
        mend = "quote labels that hold commas" if len(fields) > len(self.header) else "complete or remove it"
        return f"has {len(fields)} fields where the header has {len(self.header)}: {mend}"

    @classmethod
    def read(cls, path: Path, separator: str | None = None) -> "CsvTable":
        """Read a whole file.

        Args:
            path: the file.
            separator: character between two fields; by default a comma. Where it is given, spaces after it are
                dropped, and lines at the beginning that start with '#' are comments, the last of which may hold the
                header (as in AudioSet's lists).

        Raises:
            DataError: it is not a regular file, not UTF-8, not CSV, or empty.
        """
        content = read_text(path)
        # Decoded piece by piece: a StringIO would take four bytes per character.
        text = io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", newline="")
        reader = csv.reader(text, strict=True, delimiter=separator or ",", skipinitialspace=separator is not None)
        try:
            filled = ((reader.line_num, fields) for fields in reader if any(field.strip() for field in fields))
            lines = list(itertools.islice(filled, MOST_ROWS + 2))
        except csv.Error as error:
            raise DataError([f"{path} line {reader.line_num} is not CSV ({error}): correct it"]) from None
        if len(lines) > MOST_ROWS + 1:
            raise DataError([f"{path} lists more than {MOST_ROWS} clips, which is too many: check the file"])
        if not lines:
            raise DataError([f"{path} is empty: it should list the dataset's clips"])
        if separator is not None:
            lines = _without_comments(lines)
        header = tuple(name.strip() for name in lines[0][1])
        other = next((mark for mark in (";", "\t", "|") if mark in header[0]), None)
        if separator is None and len(header) == 1 and other is not None:
            raise DataError([f"{path} line 1 separates its columns with {other!r}: save it with commas"])
        return cls(path, header, lines[1:])


def read_text(path: Path) -> bytes:
    """The bytes of a file of UTF-8 text.

    Raises:
        DataError: it is not a regular file, too large, or not UTF-8.
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
    return content


def _without_comments(lines: list[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    """Lines from the header on; a header in a comment loses its mark."""
    first = next((index for index, (_, fields) in enumerate(lines) if not fields[0].startswith("#")), len(lines))
    if first == 0:
        return lines
    number, fields = lines[first - 1]
    named = first == len(lines) or len(fields) == len(lines[first][1])
    return [(number, [fields[0].lstrip("# "), *fields[1:]]), *lines[first:]] if named else lines[first:]
