"""The summary at the top of a report."""

from dataclasses import replace

import pytest

from orchestrator.pages.document import Words
from orchestrator.pages.summary import duration, summary
from orchestrator.report.types import BlendReport, Gain, Report
from orchestrator.run.bound import Run


def lead(run: Run, report: Report) -> str:
    first = summary(run, report).blocks[0]
    assert isinstance(first, Words)
    assert first.kind == "lead"
    return first.text


def with_gain(report: Report, low: float, high: float) -> Report:
    gain = Gain((low + high) / 2, (low, high))
    return replace(report, blend=replace(report.blend, over_best=gain))


def test_the_result_is_one_with_its_interval(inline_run: Run, made: Report) -> None:
    text = lead(inline_run, made)
    assert text.startswith("The blend scores lwlrap 0.750 (95 % 0.700 to 0.800) on clips that neither")
    assert "On the test clips it scores 0.780 (95 % 0.600 to 0.900) (private 0.770)." in text


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(0.01, 0.02, "It is better than"), (-0.02, -0.01, "It is worse than"), (-0.1, 0.1, "Whether it is better than")],
)
def test_only_an_interval_beside_zero_is_a_difference(
    inline_run: Run, made: Report, low: float, high: float, words: str
) -> None:
    assert words in lead(inline_run, with_gain(made, low, high))


def test_leaks_and_warnings_are_said(inline_run: Run, made: Report) -> None:
    blocks = summary(inline_run, replace(made, leaky=("B", "blend"))).blocks
    assert "neither its networks nor its weights have seen (leaky)" in lead(inline_run, replace(made, leaky=("blend",)))
    warned = [block.text for block in blocks if isinstance(block, Words) and block.kind == "warning"]
    assert warned[:2] == ["Look here.", "Leaky out of fold: B, blend."]


def test_without_a_blend_the_best_condition_is_the_result(inline_run: Run, made: Report) -> None:
    text = lead(inline_run, replace(made, blend=BlendReport(), test=None))
    assert text.startswith("The best condition is =A: lwlrap 0.700 (95 % 0.600 to 0.800)")
    assert lead(inline_run, replace(made, best=None)) == "Nothing is scored yet."


def test_times_have_their_own_unit() -> None:
    assert [duration(s) for s in (0.4, 119, 120, 7199, 9000)] == ["0 s", "119 s", "2 min", "120 min", "2.5 h"]
