"""A document as one file for each of its parts: the page, pictures as PNG, tables as CSV, sounds as MP3 with a PNG.

MLflow and others show such files one by one. A picture and the table with its numbers have one name.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from features.files import atomic
from orchestrator.pages.document import Block, Document, Picture, Sound, Table
from orchestrator.pages.html import to_html
from orchestrator.pages.tidy import safe

__all__ = ["PAGE", "write_parts"]

PAGE = "overview.html"


def write_parts(document: Document, folder: Path) -> None:
    """Write the files into a folder; those that are there are replaced."""
    _write(folder / PAGE, to_html(document).encode("utf-8", "backslashreplace"))
    for section in document.sections:
        used: Counter[str] = Counter()
        for block in section.blocks:
            for name, content in _files(block):
                stem, _, ending = name.rpartition(".")
                used[name] += 1
                number = f"-{used[name]}" if used[name] > 1 else ""
                _write(folder / f"{'-'.join(filter(None, [_slug(section.title), stem]))}{number}.{ending}", content)


def _files(block: Block) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file of a block; a name may be an ending alone."""
    match block:
        case Picture():
            yield ".png", block.drawing.png()
        case Table():
            yield ".csv", _csv(block).encode("utf-8", "backslashreplace")
        case Sound():
            yield f"{_slug(block.title)}.mp3", block.excerpt.mp3
            yield f"{_slug(block.title)}.png", block.excerpt.png


def _csv(table: Table) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerows([safe(cell) if column < table.words else cell for column, cell in enumerate(row)]
                     for row in (table.columns, *table.rows))  # fmt: skip
    return file.getvalue()


def _slug(text: str) -> str:
    """A text as part of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60]


def _write(path: Path, content: bytes) -> None:
    with atomic(path) as temporary:
        temporary.write_bytes(content)
