"""A document as Markdown (GitHub's tables). Pictures and sounds are left out: the
numbers of pictures are in the tables beside them."""

import re

from features.words import printable
from orchestrator.pages.document import Block, Code, Document, Picture, Sound, Table, Words

__all__ = ["to_markdown"]

MARKS = re.compile(r"([\\`*_{}\[\]<>|#])")
"""Characters that mean something in Markdown."""


def to_markdown(document: Document) -> str:
    """The whole file."""
    parts = [f"# {_plain(document.title)}", _plain(document.subtitle)]
    for section in document.sections:
        parts.append(f"## {_plain(section.title)}")
        parts += [text for block in section.blocks if (text := _block(block))]
    return "\n\n".join(parts) + "\n"


def _block(block: Block) -> str:
    match block:
        case Words(text, "warning"):
            return f"> **Warning:** {_plain(text)}"
        case Words(text):
            return _plain(text)
        case Code(text, title):
            fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
            return (f"{_plain(title)}\n\n" if title else "") + f"{fence}\n{text}\n{fence}"
        case Table():
            return _table(block)
        case Picture() | Sound():
            return ""


def _table(table: Table) -> str:
    marks = ["---" if index < table.words else "---:" for index in range(len(table.columns))]
    lines = [table.columns, marks, *table.rows]
    rows = ["| " + " | ".join(cell if line is marks else _plain(cell) for cell in line) + " |" for line in lines]
    return (f"**{_plain(table.title)}**\n\n" if table.title else "") + "\n".join(rows)


def _plain(text: str) -> str:
    """Text of which nothing is read as a mark, on one line."""
    return MARKS.sub(r"\\\1", printable(text))
