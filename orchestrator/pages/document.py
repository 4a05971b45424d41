"""The content of a page: sections of words, tables, pictures and sounds. `html.py` and `markdown.py` give it a form."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from orchestrator.pages.pictures import Drawing
from orchestrator.pages.sounds import Excerpt

__all__ = ["Block", "Code", "Document", "Picture", "Section", "Sound", "Table", "Words"]


@dataclass(frozen=True)
class Words:
    """A paragraph."""

    text: str
    kind: Literal["plain", "lead", "note", "warning"] = "plain"
    """`lead` is what a reader in a hurry should see."""


@dataclass(frozen=True)
class Code:
    """Text as it is typed or stored, folded away behind a title if it has one."""

    text: str
    title: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of cells. Cells of all but the first `words` columns are figures, aligned to the right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    words: int = 1
    strong: frozenset[int] = frozenset()
    """Rows that stand out."""

    def filled(self) -> "Table":
        """The table without columns of figures that are '-' in every row, such as test scores before there are any."""
        kept = [
            index
            for index in range(len(self.columns))
            if index < self.words or any(row[index] != "-" for row in self.rows)
        ]
        rows = [[row[index] for index in kept] for row in self.rows]
        return replace(self, columns=[self.columns[index] for index in kept], rows=rows)


@dataclass(frozen=True)
class Picture:
    """A drawing made here; as SVG it enters a page as it is."""

    drawing: Drawing
    text: str
    """What it shows, for those who can't see it; also its caption."""


@dataclass(frozen=True)
class Sound:
    """A sound to play, with the picture of its spectrogram."""

    title: str
    excerpt: Excerpt
    text: str = ""


Block = Words | Code | Table | Picture | Sound


@dataclass(frozen=True)
class Section:
    """A part of a page under a heading."""

    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)


@dataclass(frozen=True)
class Document:
    """A page."""

    title: str
    subtitle: str
    sections: Sequence[Section]
