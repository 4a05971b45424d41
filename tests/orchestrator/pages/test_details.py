"""Classes, confusions and clips."""

from dataclasses import replace

from orchestrator.pages.details import classes_section
from orchestrator.pages.document import Table
from orchestrator.report.types import Report


def test_classes_come_hardest_first_with_their_numbers(made: Report) -> None:
    blocks = classes_section(made).blocks
    classes, confused, clips = [block for block in blocks if isinstance(block, Table)]
    assert list(classes.columns) == ["class", "curated clips", "noisy clips", "out-of-fold", "95 %", "=A", "over =A"]
    assert [row[0] for row in classes.rows] == ["Bark", "Rain"], "one without a clip comes last"
    assert list(classes.rows[0])[1:] == ["9", "0", "0.700", "0.500 to 0.900", "0.600", "+0.100"]
    assert list(confused.rows[0]) == ["Bark", "Rain", "3 of 9"]
    assert list(clips.rows[0]) == ["x.wav", "Bark", "Rain", "0.400", "0.500"]


def test_nothing_is_scored_yet(made: Report) -> None:
    assert "Nothing is scored yet" in str(classes_section(replace(made, details=None)).blocks)
