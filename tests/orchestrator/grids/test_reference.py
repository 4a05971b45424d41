"""The reference of grid fields is read from the settings."""

import re

import pytest

from features.settings import Settings
from orchestrator.grids.recipe import Recipe
from orchestrator.grids.reference import SECTIONS, reference_page
from trainers.registry import AUGMENTATIONS, LOSSES
from trainers.settings import TrainSettings


@pytest.fixture(scope="module")
def page() -> str:
    return reference_page()


def row(page: str, heading: str, field: str) -> list[str]:
    """The cells of a field in the section under a heading."""
    section = re.split(r"^#+ ", page.split(f"# {heading}\n")[1], flags=re.MULTILINE)[0]
    lines = [line for line in section.splitlines() if line.startswith(f"| `{field}` |")]
    assert len(lines) == 1, f"{heading}: {field}"
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", lines[0])[1:-1]]


@pytest.mark.parametrize("settings", [*SECTIONS], ids=lambda settings: settings.__name__)
def test_every_field_of_every_part_has_a_row(page: str, settings: type[Settings]) -> None:
    heading = next(title for title in re.findall(r"^#+ (.+)$", page, re.MULTILINE) if slug(title) == SECTIONS[settings])
    for field in settings.model_fields:
        assert len(row(page, heading, field)) == 5


def test_every_field_of_a_grid_has_a_row(page: str) -> None:
    for field in (*Recipe.model_fields, "base", "defaults", "features", "overlays"):
        assert len(row(page, "top level", field)) == 5


def test_a_row_has_type_bounds_default_and_meaning(page: str) -> None:
    meaning = TrainSettings.model_fields["batch_size"].description
    assert row(page, "conditions and defaults", "batch_size")[1:] == [
        "whole number",
        ">= 2, <= 65,536",
        "`64`",
        meaning,
    ]
    assert row(page, "network seresnext", "width")[2] == ">= 4, <= 512, multiple of 4"
    assert row(page, "network resnet", "depth")[1:4] == ["`10`, `18`, `34`", "", "`34`"]
    assert row(page, "predict", "pads")[1:4] == ["list of whole number", "at least 1, at most 64", "`[8, 32]`"]
    assert row(page, "pseudo", "teacher")[3] == "required"
    assert row(page, "published", "cv")[1] == "mapping of name to number (>= 0, <= 1)"


def test_augmentations_and_losses_are_listed_by_name(page: str) -> None:
    for name in AUGMENTATIONS:
        assert len(row(page, "augment", name)) == 5
    for name in LOSSES:
        assert len(row(page, "losses", name)) == 3
    assert "`p: 0.5` (0 to 1)" in row(page, "augment", "mixup")[3]


def test_links_lead_to_headings(page: str) -> None:
    anchors = {slug(title) for title in re.findall(r"^#+ (.+)$", page, re.MULTILINE)}
    assert {*re.findall(r"\(#([^)]+)\)", page)} <= anchors


def slug(title: str) -> str:
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
