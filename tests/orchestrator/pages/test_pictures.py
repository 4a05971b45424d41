"""Pictures are well-formed SVG or PNG with their words as text, the same each time."""

import io
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from orchestrator.pages.pictures import (
    COLOURS,
    DPI,
    WIDTH,
    Curve,
    Dot,
    Point,
    Span,
    bars,
    beside_diagonal,
    curves,
    dots,
    mel_png,
    timeline,
)  # fmt: skip

RISE = np.linspace(0.2, 0.8, 9)
HOSTILE = 'a<b>&"$x_1$'
MADE = {
    "dots": lambda: dots(
        [Dot(HOSTILE, 0.5, (0.4, 0.6)), Dot("B", 0.7, hollow=True, other=0.6)], "lwlrap", lines=[(0.3, "chance")],
        other="test",
    ),
    "bars": lambda: bars([HOSTILE, "B"], [0.25, 0.75], "weight"),
    "curves": lambda: curves([Curve(HOSTILE, RISE, RISE - 0.1, RISE + 0.1)] * 5, "lwlrap"),
    "beside_diagonal": lambda: beside_diagonal([Point(0.2, 0.3, (0.1, 0.5))], HOSTILE, "share"),
    "timeline": lambda: timeline([Span(HOSTILE, "training", 0, 60), Span("vm", "blend", 60, 61)], "minutes", 60),
}  # fmt: skip


@pytest.mark.parametrize("name", MADE)
def test_a_picture_is_svg_that_runs_and_loads_nothing(name: str) -> None:
    svg = MADE[name]().svg()
    root = ET.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags.isdisjoint({"script", "image", "foreignObject", "a"})
    for element in root.iter():
        for key, value in element.attrib.items():
            assert not key.startswith("on")
            if key.endswith("href"):
                assert value.startswith("#"), "it refers to itself only"
    assert HOSTILE in "".join(root.itertext()), "names are text, and no formula"


@pytest.mark.parametrize("name", MADE)
def test_a_picture_is_the_same_each_time(name: str) -> None:
    assert MADE[name]().svg() == MADE[name]().svg()
    assert MADE[name]().png() == MADE[name]().png()


@pytest.mark.parametrize("name", MADE)
def test_the_style_ends_with_the_picture(name: str) -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    MADE[name]().svg()
    assert dict(mpl.rcParams) == before


def test_nothing_and_one_row_can_be_drawn() -> None:
    for drawing in (dots([], "x"), bars([], [], "x"), curves([], "x"), dots([Dot("one", 1.0)], "x")):
        assert drawing.svg().startswith("<svg")


def test_a_png_is_as_wide_as_a_page() -> None:
    image = Image.open(io.BytesIO(MADE["bars"]().png()))
    assert (image.format, image.width) == ("PNG", round(WIDTH * DPI))


def test_colours_differ_in_grey() -> None:
    """Printed without colour, neighbours of the first three kinds differ in lightness or hatch."""
    grey = [int(c[1:3], 16) * 0.299 + int(c[3:5], 16) * 0.587 + int(c[5:7], 16) * 0.114 for c in COLOURS]
    assert len({round(value) for value in grey}) == len(COLOURS)


def test_a_spectrogram_has_high_bands_on_top() -> None:
    decibels = np.full((50, 16), -80.0)
    decibels[:, 15] = 0  # the highest band
    image = Image.open(io.BytesIO(mel_png(decibels, height=32, width=64)))
    assert image.size == (64, 32)
    pixels = np.asarray(image.convert("L"))
    assert pixels[0].min() > pixels[-1].max()
