"""Markdown of a document: what stands in it is read as text."""

from markdown_it import MarkdownIt

from orchestrator.pages.document import Code, Document, Picture, Section, Table, Words
from orchestrator.pages.markdown import to_markdown
from orchestrator.pages.pictures import bars

HOSTILE = "*a* | `b` [c](http://d) <e> #f"


def rendered(*blocks: Words | Code | Table | Picture) -> str:
    text = to_markdown(Document("title", "subtitle", [Section("part", blocks)]))
    return str(MarkdownIt("commonmark").enable("table").render(text))


def test_names_are_read_as_text() -> None:
    html = rendered(Words(HOSTILE, "warning"), Table([HOSTILE, "b"], [[HOSTILE, "1"]], HOSTILE))
    shown = HOSTILE.replace("<", "&lt;").replace(">", "&gt;")
    assert html.count(shown) == 4
    assert html.count("<td") == 2
    assert "<a " not in html


def test_code_stays_in_its_fence_and_pictures_are_left_out() -> None:
    html = rendered(Code("a\n```\nb"), Picture(bars([], [], "weight"), "a drawing"))
    assert "<code>a\n```\nb\n</code>" in html
    assert "drawing" not in html
