"""A terminal table for thousands of rows, for which `rich.table.Table` takes seconds."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from textwrap import wrap

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions
from rich.segment import Segment
from rich.style import Style

from features.words import printable

__all__ = ["Lines"]

GAP = 2
"""Spaces between two columns."""
MIN_WORDS = 20
"""Width of the last column on a narrow terminal."""


class Lines:
    """Rows below column names. The last column is wrapped; markup in cells is not interpreted."""

    def __init__(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        right: Collection[str] = (),
        styles: Mapping[str, str] | None = None,
    ) -> None:
        """`right`: columns to align right, such as numbers; `styles`: style of a row's first cell, by its text."""
        self.columns = columns
        self.rows = [tuple(map(printable, row)) for row in rows]
        self.right = [column in right for column in columns]
        self.styles = styles or {}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        widths = [max(map(cell_len, column)) for column in zip(self.columns, *self.rows, strict=True)]
        indent = sum(widths[:-1]) + GAP * len(widths[:-1])
        room = max(MIN_WORDS, options.max_width - indent)
        yield from self._line(self.columns, widths, console.get_style("bold"))
        last = widths[-1] if self.right[-1] else cell_len(self.columns[-1])  # text may be long, numbers are not
        yield from (Segment("─" * min(options.max_width, indent + last)), Segment.line())
        for *cells, words in self.rows:
            first, *rest = wrap(words, room) if len(words) > room else [words]
            style = console.get_style(self.styles.get(cells[0], "none"))
            yield from self._line((*cells, first), widths, style, cells=1)
            for more in rest:
                yield from (Segment(" " * indent + more), Segment.line())

    def _line(self, row: Sequence[str], widths: Sequence[int], style: Style, cells: int = 0) -> Iterator[Segment]:
        """A row with its first `cells` cells in a style; 0: all of them."""
        texts = [
            " " * (width - cell_len(cell)) + cell + " " * GAP if right else set_cell_size(cell, width + GAP)
            for cell, width, right in zip(row, widths, self.right, strict=True)
        ]
        head, tail = "".join(texts[:cells]), "".join(texts[cells:]).rstrip()
        yield from (Segment(head, style), Segment(tail, None if cells else style), Segment.line())
