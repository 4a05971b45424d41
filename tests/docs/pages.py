"""The Markdown pages of the project, their code blocks and the commands in them."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
NO_COMMANDS = ("grid demo: lwlrap", "DATA/", " audio + CSVs", "features/", "fname,labels", "    ")
"""How a block without a language begins that holds no commands: output, a drawing, a layout."""


@dataclass(frozen=True)
class Block:
    """A fenced code block of a page."""

    page: str
    language: str
    text: str


def name_of(page: Path) -> str:
    """Path of a page from the project's root."""
    return str(page.relative_to(ROOT))


def blocks() -> list[Block]:
    """All fenced code blocks."""
    fence = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    return [
        Block(name_of(page), language, text)
        for page in PAGES
        for language, text in fence.findall(page.read_text(encoding="utf-8"))
    ]


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def typed() -> list[str]:
    """Every line of the blocks that hold commands, and what such a line has another machine run; each once."""
    found: dict[str, None] = {}
    for block in blocks():
        if block.language or block.text.startswith(NO_COMMANDS):
            continue
        for line in block.text.replace("\\\n", " ").splitlines():
            if line.strip():
                found[line.strip()] = None
                for inner in re.findall(r"'((?:sonogrid|python) [^']+)'|-- (sonogrid .+)", line):
                    found[inner[0] or inner[1]] = None
    return list(found)


def mentioned() -> list[str]:
    """Every whole command of sonogrid in a sentence or table; each once. A verb alone is a name, not a command."""
    found = {" ".join(code.split()): None for page in PAGES for code in re.findall(r"`(sonogrid [^`]+)`", prose(page))}
    return [command for command in found if len(words_of(command)) > 2 and "VERB" not in command]


def words_of(line: str) -> list[str]:
    """The words of a command, as a shell splits them."""
    return shlex.split(line, comments=True)
