"""A page holds all of its document, and whatever names hold, it runs and loads nothing."""

from html.parser import HTMLParser

import pytest

from orchestrator.pages.document import Code, Document, Picture, Section, Sound, Table, Words
from orchestrator.pages.html import SAFE, to_html
from orchestrator.pages.pictures import bars
from orchestrator.pages.sounds import Excerpt

HOSTILE = "<script>alert(1)</script>\"'&\x1b[31m\u202e"


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def document(word: str) -> Document:
    blocks = [
        Words(word, "warning"), Code(word, word), Code(word), Picture(bars(["A"], [1.0], "weight"), word),
        Sound(word, Excerpt(b"mp3", b"png", 1.0), word),
        Table([word, "b"], [[word, "0.5"]], word, strong=frozenset({0})),
    ]  # fmt: skip
    return Document(word, word, [Section(word, blocks)])


def test_every_block_is_on_the_page() -> None:
    page = Page(to_html(document("WORD")))
    assert "".join(page.words).count("WORD") == 3 + 2 + 10, "title twice, subtitle, contents and heading, blocks"
    for tag in ("h1", "h2", "nav", "table", "caption", "figure", "svg", "pre", "details", "audio", "img"):
        assert tag in page.tags


def test_names_are_escaped_wherever_they_stand() -> None:
    page = Page(to_html(document(HOSTILE)))
    assert "script" not in page.tags
    assert not any(name.startswith("on") for name, _ in page.attributes)
    text = to_html(document("x" + "\x1b"))
    assert "\x1b" not in text.replace("<pre>x\x1b</pre>", "")


def test_a_page_may_load_nothing() -> None:
    page = Page(to_html(document("a")))
    assert ("content", SAFE) in page.attributes
    assert SAFE.startswith("default-src 'none'")
    for name, value in page.attributes:
        if name in ("src", "href"):
            assert (value or "").startswith(("#", "data:"))


@pytest.mark.parametrize("rows", [[["a", "-", "1"]], [["a", "-", "-"], ["b", "-", "2"]]])
def test_columns_without_any_figure_are_left_out(rows: list[list[str]]) -> None:
    table = Table(["name", "never", "sometimes"], rows).filled()
    assert list(table.columns) == ["name", "sometimes"]
    assert [len(row) for row in table.rows] == [2] * len(rows)
