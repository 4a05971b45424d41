"""A grid as a picture of the terminal: a row per condition, and in it a cell per fold with its epoch and lwlrap."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from features.words import printable

__all__ = ["Cell", "CellState", "Cells", "spark_line"]

CellState = Literal["waiting", "running", "done", "failed"]
STYLES = {"waiting": "dim", "running": "cyan", "done": "green", "failed": "red"}
SPARKS = "▁▂▃▄▅▆▇█"
SPARK_WIDTH = 8
GAP = 2
"""Spaces between two columns."""


@dataclass(frozen=True)
class Cell:
    """One training."""

    state: CellState
    epochs: int
    """How many it has in all."""
    scores: tuple[float, ...] = ()
    """lwlrap by epoch as far as it is known, the last one last."""
    epoch: int | None = None
    """How far it has come, if that is more than the scores say."""

    def text(self, detail: int, *, pictures: bool) -> str:
        """Its words: 0 few, 1 with the score, 2 with a line of all scores, if pictures can be shown."""
        score = f"{self.scores[-1]:.3f}".removeprefix("0") if self.scores else ""
        if self.state == "done":
            words = [score or "done"]
        elif self.state == "running":
            epoch = len(self.scores) if self.epoch is None else self.epoch
            words = [f"{epoch}/{self.epochs}", *([score] if detail and score else [])]
        else:
            words = ["-" if self.state == "waiting" else "failed"]
        if detail == 2 and pictures and len(self.scores) > 1:
            words.append(spark_line(self.scores, SPARK_WIDTH))
        return " ".join(words)


def spark_line(values: Sequence[float], width: int) -> str:
    """Values as a line of blocks, the lowest one for the least of them; of many values, some evenly spaced ones."""
    if len(values) > width:
        values = [values[round(place * (len(values) - 1) / (width - 1))] for place in range(width)]
    low, high = min(values), max(values)
    step = (high - low) / (len(SPARKS) - 1) or 1.0
    return "".join(SPARKS[round((value - low) / step)] for value in values)


class Cells:
    """The picture, with as much detail as the width has room for, and at most so many rows.

    Args:
        rows: condition -> fold -> its training. If there are too many, those with a running training come first.
        most: number of rows.
    """

    def __init__(self, rows: Mapping[str, Mapping[int, Cell]], most: int) -> None:
        self._rows, self._most = rows, most

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        pictures = options.encoding.startswith("utf")
        names = list(self._rows)
        if len(names) > self._most:
            names.sort(key=lambda name: not any(cell.state == "running" for cell in self._rows[name].values()))
            names = names[: self._most]
        folds = sorted({fold for name in names for fold in self._rows[name]})
        for detail in (2, 1, 0):
            texts = {
                (name, fold): cell.text(detail, pictures=pictures)
                for name in names
                for fold, cell in self._rows[name].items()
            }
            widths = [
                max([6, *(cell_len(text) for (_, other), text in texts.items() if other == fold)]) for fold in folds
            ]
            if max(map(cell_len, names)) + sum(widths) + GAP * len(widths) <= options.max_width:
                break
        table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
        table.add_column("condition", no_wrap=True)
        for fold, width in zip(folds, widths, strict=True):
            table.add_column(f"fold {fold}", no_wrap=True, min_width=width)
        for name in names:
            cells = [self._rows[name].get(fold) for fold in folds]
            shown = [
                Text(texts[name, fold], STYLES[cell.state]) if cell else Text()
                for fold, cell in zip(folds, cells, strict=True)
            ]
            table.add_row(printable(name), *shown)
        yield table
        if len(self._rows) > len(names):
            yield Text(f"and {len(self._rows) - len(names)} more conditions", "dim")
