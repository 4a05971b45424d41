"""Classes, confusions and clips."""

from dataclasses import replace

from orchestrator.pages.details import classes_section, confusion_blocks, mistakes_section
from orchestrator.pages.document import Sound, Table
from orchestrator.report.build import build_report
from orchestrator.report.types import Details, Report
from orchestrator.run.bound import Run


def test_classes_come_hardest_first_with_their_numbers(made: Report) -> None:
    blocks = classes_section(made).blocks
    classes, confused, clips = [block for block in blocks if isinstance(block, Table)]
    assert list(classes.columns) == ["class", "curated clips", "noisy clips", "out-of-fold", "95 %", "=A", "over =A"]
    assert [row[0] for row in classes.rows] == ["Bark", "Rain"], "one without a clip comes last"
    assert list(classes.rows[0])[1:] == ["9", "0", "0.700", "0.500 to 0.900", "0.600", "+0.100"]
    assert list(confused.rows[0]) == ["Bark", "Rain", "3 of 9", "0.333"]
    assert list(clips.rows[0]) == ["x.wav", "Bark", "Rain", "0.400", "0.500"]


def test_nothing_is_scored_yet(made: Report) -> None:
    assert "Nothing is scored yet" in str(classes_section(replace(made, details=None)).blocks)


def test_without_confusions_there_is_nothing_to_draw() -> None:
    assert confusion_blocks(Details("A", (), (), ())) == []


def test_the_worst_clips_can_be_heard(inline_run: Run) -> None:
    details = build_report(inline_run).details
    assert details is not None
    sounds = [block for block in mistakes_section(details, inline_run).blocks if isinstance(block, Sound)]
    assert [sound.title.partition(" ")[2] for sound in sounds] == [one.clip for one in details.worst_clips[:12]]
    assert all(sound.excerpt.mp3 and sound.excerpt.png for sound in sounds)
