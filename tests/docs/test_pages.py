"""Links, lengths and quotations of the pages."""

import ast
import re
from pathlib import Path

import pytest

from orchestrator.grids.reference import reference_page
from tests.docs.pages import PAGES, ROOT, name_of, prose

MOST_WORDS = 700
WIDEST = 120
QUOTED = re.compile(r"…|train-A-0|RUN|HOST|\d+|'[ab]'|\"|`")
"""What stands for something else in a quoted message."""
LONG = 12


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", prose(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{target} does not exist"
        assert not anchor or anchor in anchors(linked), f"{target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_lines_are_not_too_long(page: Path) -> None:
    """But for tables and code, which can't be broken."""
    long = [line for line in prose(page).splitlines() if len(line) > WIDEST and not line.startswith("|")]
    assert long == []


def test_the_readme_is_short() -> None:
    """Words as `wc -w` counts them, code and drawing included."""
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= MOST_WORDS


def test_the_reference_of_grid_fields_is_up_to_date() -> None:
    page = (ROOT / "docs" / "grids.md").read_text(encoding="utf-8")
    assert page == reference_page(), "run: python -m orchestrator.grids.reference > docs/grids.md"


def test_every_section_that_a_docstring_cites_exists() -> None:
    titles = {*re.findall(r"^#+ (.+)$", (ROOT / "docs" / "paper.md").read_text(encoding="utf-8"), re.MULTILINE)}
    cited = set()
    for package in ("features", "trainers", "orchestrator"):
        for path in (ROOT / package).rglob("*.py"):
            text = " ".join(re.sub(r"^\s*#? ?", "", line) for line in path.read_text(encoding="utf-8").splitlines())
            cited |= {*re.findall(r"docs/paper\.md, ([A-Z][\w -]*[\w])", text)}
    assert cited <= titles


def test_every_test_that_the_reliability_page_cites_exists() -> None:
    usual = [ROOT / "tests" / "whole" / f"test_{name}.py" for name in ("damage", "owners", "interruptions")]
    rows = re.findall(r"^\|.*\|$", (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8"), re.MULTILINE)
    cited = [
        (path, name)
        for row in rows
        for path, name in re.findall(r"`(?:(tests/[\w/]+\.py): )?(test_\w+)(?:…|\[|`)", row)
    ]
    assert len(cited) > 20
    for path, name in cited:
        files = [ROOT / path] if path else usual
        assert any(f"def {name}" in file.read_text(encoding="utf-8") for file in files), f"{path} has no {name}"


def test_every_message_that_the_reliability_page_quotes_is_in_the_source() -> None:
    """Between placeholders: a text of the source has the words, or they have a long piece of an f-string."""
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8").split("## Bad input")[0]
    seen = [row.split("|")[2] for row in re.findall(r"^\|.*\|$", page, re.MULTILINE)]
    quoted = [part.strip() for cell in seen for code in re.findall(r"`([^`]+)`", cell) for part in QUOTED.split(code)]
    messages = [part for part in quoted if len(part) >= LONG and not part.startswith("--")]
    texts = constants()
    pieces = {text.strip() for text in texts if len(text.strip()) >= LONG}
    assert len(messages) > 15
    assert [
        m for m in messages if not any(m in text for text in texts) and not any(piece in m for piece in pieces)
    ] == []


def test_the_cases_of_bad_input_are_those_of_the_golden_file() -> None:
    golden = (ROOT / "tests" / "whole" / "hostile" / "expected.md").read_text(encoding="utf-8").splitlines()
    section = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8").split("## Bad input")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    assert len(rows) == 10
    assert [row for row in rows if row not in golden] == []


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def constants() -> list[str]:
    """All texts of the source, the pieces of f-strings included."""
    return [
        node.value
        for package in ("features", "trainers", "orchestrator")
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
