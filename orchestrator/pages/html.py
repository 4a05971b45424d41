"""A document as one HTML file: no script, no network, fit to be printed and sent."""

from importlib.resources import files

from jinja2 import DictLoader, Environment, StrictUndefined

from features.words import printable
from orchestrator.pages.document import Block, Document

__all__ = ["SAFE", "render", "to_html"]

SAFE = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"
"""Content-Security-Policy of a page: it loads nothing, whatever it contains."""


def to_html(document: Document) -> str:
    """The whole file."""
    return render("page.html.j2", document=document)


def render(template: str, **values: object) -> str:
    """A template of `templates/`, filled with values, all of which are escaped."""
    folder = files("orchestrator.pages") / "templates"
    sources = {each.name: each.read_text(encoding="utf-8") for each in folder.iterdir()}
    made = Environment(
        loader=DictLoader(sources), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters["form"] = _form
    made.filters["printable"] = printable
    return made.get_template(template).render(policy=SAFE, **values)


def _form(block: Block) -> str:
    return type(block).__name__.lower()
