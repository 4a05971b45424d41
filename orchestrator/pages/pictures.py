"""Pictures in one style, as SVG or PNG: readable in print, in grey and by the colour-blind.

Text in an SVG can be searched.

Colours are those of Okabe & Ito, "Color Universal Design", 2008; colour is never the only sign. Equal input makes
the same bytes.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imsave
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from features.words import short

__all__ = [
    "COLOURS", "Curve", "Dot", "Drawing", "Floats", "Point", "Span", "bars", "beside_diagonal", "curves", "dots",
    "mel_png", "timeline",
]  # fmt: skip

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Blue, vermilion, green, purple, orange, sky blue, black."""
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "++++", "----")
GREY = "#666666"
WIDTH = 7.2
"""Of a picture, in inches: the text width of a page."""
DPI = 150
"""Dots per inch of a PNG."""
ROW = 0.24
"""Height of a row of dots or bars, in inches."""
ABOVE, BELOW = 0.3, 0.45
"""Room above and below the rows, for notes and for the axis."""
CHARACTER = 0.078
"""Width of a character."""
MOST_CHARACTERS = 40
"""Of a row's name."""

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Drawing:
    """A picture that is rendered when it is asked for."""

    figure: Figure
    salt: str
    """Makes ids in the SVG unlike those of other pictures of a page."""

    def svg(self) -> str:
        """As SVG."""
        file = io.StringIO()
        with _styled(self.salt):
            metadata = {"Date": None, "Creator": None, "Type": None, "Format": None}
            self.figure.savefig(file, format="svg", metadata=metadata)
        text = file.getvalue()
        return text[text.index("<svg") :]

    def png(self) -> bytes:
        """As PNG, for places that show no SVG."""
        file = io.BytesIO()
        with _styled(self.salt):
            self.figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
        return file.getvalue()


@dataclass(frozen=True)
class Dot:
    """A score with its interval."""

    name: str
    value: float
    interval: tuple[float, float] | None = None
    hollow: bool = False
    """Drawn hollow: the score is leaky."""
    other: float | None = None
    """A second figure of the same row, drawn as a diamond."""


@dataclass(frozen=True)
class Curve:
    """A score by epoch: the mean over folds, with the lowest and the highest fold."""

    name: str
    mean: Floats
    """(E,)"""
    low: Floats
    high: Floats


@dataclass(frozen=True)
class Point:
    """A point with an interval of y."""

    x: float
    y: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Span:
    """A piece of work on a lane, in seconds."""

    lane: str
    kind: str
    start: float
    end: float


def dots(rows: Sequence[Dot], label: str, *, lines: Sequence[tuple[float, str]] = (), other: str = "") -> Drawing:
    """Scores with intervals, one row each, the first on top.

    Args:
        rows: the scores.
        label: of the axis.
        lines: vertical lines (value, name), such as chance.
        other: name of the second figures.
    """
    with _axes([row.name for row in rows], label) as (axes, drawing):
        for place, row in enumerate(rows):
            if row.interval is not None:
                axes.plot(row.interval, [place, place], color=COLOURS[0], linewidth=1.4, solid_capstyle="butt")
            face = "white" if row.hollow else COLOURS[0]
            axes.plot(row.value, place, "o", color=COLOURS[0], markerfacecolor=face, markersize=5.5, zorder=3)
            if row.other is not None:
                axes.plot(row.other, place, "D", color=COLOURS[1], markersize=4.5, markerfacecolor="white", zorder=2)
        for value, name in lines:
            axes.axvline(value, color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
            axes.annotate(
                name, (value, 1), xycoords=("data", "axes fraction"), xytext=(0, 3), textcoords="offset points",
                ha="center", color=GREY, fontsize=8,
            )  # fmt: skip
        notes = ["hollow: leaky"] if any(row.hollow for row in rows) else []
        notes += [f"diamond: {other}"] if any(row.other is not None for row in rows) else []
        axes.set_xlabel(label + (f"  ({'; '.join(notes)})" if notes else ""))
    return drawing


def bars(names: Sequence[str], values: Sequence[float], label: str) -> Drawing:
    """A bar for each value, the first on top."""
    with _axes(names, label) as (axes, drawing):
        axes.barh(range(len(values)), values, height=0.62, color=COLOURS[0])
        for place, value in enumerate(values):
            axes.annotate(
                f"{value:.3f}", (value, place), xytext=(3, 0), textcoords="offset points", va="center", fontsize=8
            )
        axes.grid(visible=False, axis="y")
        axes.set_xlim(0, max(values, default=1) * 1.12)
    return drawing


def curves(panels: Sequence[Curve], label: str, columns: int = 4) -> Drawing:
    """A small panel for each curve on common axes, with its band and a ring at the best epoch of the mean."""
    columns = min(columns, max(len(panels), 1))
    rows = max(-(-len(panels) // columns), 1)
    height = 0.6 + 1.5 * rows
    with _figure(f"curves {label}", height) as drawing:
        grid = drawing.figure.subplots(
            rows, columns, sharey=True, squeeze=False,
            gridspec_kw={
                "left": 0.09, "right": 0.985, "top": 1 - 0.25 / height, "bottom": 0.5 / height, "wspace": 0.12,
                "hspace": 0.5,
            },
        )  # fmt: skip
        for axes, panel in zip(grid.flat, panels, strict=False):
            epochs = np.arange(1, len(panel.mean) + 1)
            axes.fill_between(epochs, panel.low, panel.high, color=COLOURS[0], alpha=0.22, linewidth=0)
            axes.plot(epochs, panel.mean, color=COLOURS[0])
            best = int(panel.mean.argmax())
            axes.plot(epochs[best], panel.mean[best], "o", color=COLOURS[1], markerfacecolor="white", markersize=5)
            axes.set_title(short(panel.name, MOST_CHARACTERS // 2), loc="left")
            axes.margins(x=0.03)
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        drawing.figure.text(0.53, 0.06 / height, "epoch", ha="center")
        drawing.figure.text(0.012, 0.5, label, va="center", rotation=90)
    return drawing


def timeline(spans: Sequence[Span], label: str, unit_s: float) -> Drawing:
    """Work on lanes over time, a colour and a hatch for each kind.

    Args:
        spans: the work; the first lane is on top.
        label: of the axis.
        unit_s: seconds of a unit of the axis.
    """
    lanes = list(dict.fromkeys(span.lane for span in spans))
    kinds = list(dict.fromkeys(span.kind for span in spans))
    handles = []
    with _axes(lanes, label) as (axes, drawing):
        for number, kind in enumerate(kinds):
            colour, hatch = COLOURS[number % len(COLOURS)], HATCHES[number % len(HATCHES)]
            for place, lane in enumerate(lanes):
                found = [span for span in spans if (span.lane, span.kind) == (lane, kind)]
                pieces = [(span.start / unit_s, max(span.end - span.start, 0) / unit_s) for span in found]
                axes.broken_barh(
                    pieces, (place - 0.36, 0.72), facecolor=colour, hatch=hatch, edgecolor="white", linewidth=0.4
                )
            handles.append(Patch(facecolor=colour, hatch=hatch, edgecolor="white", label=kind))
        axes.autoscale_view()
        axes.set_xlim(left=0)
        axes.legend(
            handles=handles, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=len(kinds), frameon=False,
            borderaxespad=0.2, fontsize=8,
        )  # fmt: skip
    return drawing


def beside_diagonal(points: Sequence[Point], x_label: str, y_label: str) -> Drawing:
    """Points from 0 to 1 with intervals, beside the line on which both axes agree."""
    size = 3.7
    with _figure(f"{x_label} {y_label}", size, size) as drawing:
        axes = drawing.figure.add_axes((0.6 / size, 0.5 / size, 3.0 / size, 3.0 / size))
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)))
        for point in points:
            axes.plot([point.x, point.x], point.interval, color=COLOURS[0], linewidth=1.4)
        axes.plot([point.x for point in points], [point.y for point in points], "o", color=COLOURS[0], markersize=5.5)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=x_label, ylabel=y_label)
    return drawing


def mel_png(
    decibels: Floats, limits: tuple[float, float] | None = None, *, height: int = 96, width: int = 320
) -> bytes:
    """A spectrogram (frames, bands) as a PNG, time to the right and high bands on top.

    Args:
        decibels: the spectrogram.
        limits: decibels of the darkest and the brightest colour; by default its own extremes.
        height: pixels.
        width: pixels.
    """
    frames = np.linspace(0, len(decibels) - 1, width).round().astype(int)
    bands = np.linspace(decibels.shape[1] - 1, 0, height).round().astype(int)
    low, high = limits or (float(decibels.min()), float(decibels.max()))
    file = io.BytesIO()
    imsave(file, decibels[frames][:, bands].T, vmin=low, vmax=max(high, low + 1), cmap="cividis", format="png")
    return file.getvalue()


@contextmanager
def _axes(names: Sequence[str], label: str) -> Iterator[tuple[Axes, Drawing]]:
    """Axes with a named row for each of some values, the first on top."""
    shown = [short(name, MOST_CHARACTERS) for name in names]
    # Places are computed, as a layout engine would draw everything twice; a reader's fonts differ anyway.
    left = 0.15 + CHARACTER * max(map(len, shown), default=0)
    rows = ROW * max(len(names), 1)
    height = rows + ABOVE + BELOW
    with _figure(label, height) as drawing:
        box = (left / WIDTH, BELOW / height, 1 - (left + 0.15) / WIDTH, rows / height)
        axes = drawing.figure.add_axes(box)
        axes.set_xlabel(label)
        axes.set_yticks(range(len(shown)), shown)
        axes.tick_params(axis="y", length=0)
        yield axes, drawing
        axes.set_ylim(len(shown) - 0.4, -0.6)


@contextmanager
def _figure(salt: str, height: float, width: float = WIDTH) -> Iterator[Drawing]:
    """A drawing to be filled."""
    with _styled(salt):
        yield Drawing(Figure(figsize=(width, height)), salt)


@contextmanager
def _styled(salt: str) -> Iterator[None]:
    """The style of all pictures, until the end of the block."""
    with mpl.rc_context(
        {
            "font.family": "sans-serif",
            "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
            "font.size": 9.0,
            "axes.titlesize": 9.0,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": GREY,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": "#E4E4E4",
            "grid.linewidth": 0.6,
            "xtick.color": "#333333",
            "ytick.color": "#333333",
            "lines.linewidth": 1.6,
            "hatch.linewidth": 0.6,
            "svg.fonttype": "none",  # text stays text
            "text.parse_math": False,  # names are other people's
            "svg.hashsalt": f"sonogrid {salt}",
        }
    ):
        yield
