"""Tables of scores."""

from dataclasses import replace

from orchestrator.blending.result import Blend, BlendResult
from orchestrator.pages.document import Section, Table
from orchestrator.pages.results import blend_section, scores_section, steps_section
from orchestrator.report.types import Report


def tables(section: Section) -> list[Table]:
    return [block for block in section.blocks if isinstance(block, Table)]


def test_scores_stand_beside_the_paper_and_leaks_are_marked(made: Report) -> None:
    (table,) = tables(scores_section(made))
    assert list(table.columns) == [
        "condition", "fold 0", "fold 1", "cv", "epoch", "paper", "ours - paper", "out-of-fold", "95 %", "test"
    ]  # fmt: skip
    assert list(table.rows[0]) == [
        "=A", "0.800", "failed", "0.840", "best", "0.850", "-0.010", "0.700", "0.600 to 0.800", "0.720"
    ]  # fmt: skip
    assert table.rows[1][0] == "B (leaky)"
    assert table.strong == {0}, "the best one"


def test_conditions_with_outside_data_have_a_table_of_their_own(made: Report) -> None:
    first, second = tables(scores_section(replace(made, outside=("B",))))
    assert [row[0] for row in first.rows] == ["=A"]
    assert "outside" in second.title


def test_steps_are_differences_with_intervals(made: Report) -> None:
    step, gains = tables(steps_section(made))
    assert list(step.rows[0])[:5] == ["noisy clips (leaky)", "=A", "B", "+0.050", "-0.010 to +0.100"]
    assert [row[0] for row in gains.rows] == ["B (leaky)", "blend (nested)"]


def test_the_blend_has_both_scores_and_its_weights_by_name(made: Report) -> None:
    result = BlendResult((1.0,), 0.8, 0.75, 0.7, None, 0.81, 2, fold_weights=((0.9,), (1.0,)))
    scores, weights = tables(blend_section(made, Blend(made.blend.members, result)))
    assert [list(row)[1] for row in scores.rows] == ["0.800", "0.750", "0.700", "0.810"]
    assert list(weights.rows[0]) == ["B, cycle 1, pad 2", "1.000", "0.900 to 1.000"]
    assert "no blend yet" in str(blend_section(made, None).blocks)
