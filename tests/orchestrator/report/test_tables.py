"""The report on a terminal: tables with every figure once, and what they leave out."""

import io
from dataclasses import replace
from typing import Literal

from rich.console import Console

from orchestrator.grids.ensembles import Member
from orchestrator.report import types
from orchestrator.report.tables import print_report
from trainers.metrics import Metrics


def condition(
    name: str, *, features: str = "mel", epoch: Literal["best", "last"] = "best", published: float | None = None
) -> types.ConditionReport:
    folds = (types.FoldReport(0, "done", 0.811, 0.8), types.FoldReport(1, "partial", 0.5, 0.5))
    return types.ConditionReport(
        name=name, features=features, folds=folds, cv_epoch=epoch, cv_lwlrap=None, published_cv_lwlrap=published,
        oof_lwlrap=0.71, interval=(0.61, 0.805), test_lwlrap=None,
    )  # fmt: skip


REPORT = types.Report(
    grid="tiny", complete=False, conditions=(condition("A"), condition("D", features="waveform")),
    blend=types.BlendReport(), ensembles=(), comparisons=(), test=None, leaky=(), skipped=(),
)  # fmt: skip
ENSEMBLE = types.EnsembleReport(
    name="A+D", predictions=6, oof_lwlrap=0.912, interval=(0.8, 0.95), published=0.89, test_lwlrap=0.92, leaky=False
)
COMPARISON = types.ComparisonReport(
    name="step", before="A", after="A+D", cv_difference=None, oof_difference=0.2, interval=(-0.1, 0.3),
    test_difference=None, test_interval=None, leaky=False,
)  # fmt: skip


def printed(report: types.Report, width: int = 140) -> str:
    console = Console(file=io.StringIO(), width=width, markup=False)
    print_report(report, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def cells(text: str, first: str) -> list[str]:
    """The cells of the row that begins with a text."""
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if line.startswith("│")]
    (row,) = [row for row in rows if row[0] == first]
    return row


def test_eighty_columns_wrap_headings_but_no_figure() -> None:
    tested = replace(condition("A"), test_lwlrap=0.8)
    text = printed(replace(REPORT, conditions=(tested,)), 80)
    assert "0.610 to 0.805" in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_plain_grid_has_one_table_of_conditions() -> None:
    text = printed(REPORT)
    assert text.startswith("grid tiny: lwlrap")
    assert cells(text, "A") == ["A", "0.811", "partial", "-", "0.710", "0.610 to 0.805", "-"]
    assert "cv (best)" in text
    assert "epoch" not in text
    assert cells(text, "D")[0] == "D"
    assert "Table" not in text
    assert "paper" not in text
    assert "blend: 0 members" in text


def test_published_figures_bring_the_papers_tables() -> None:
    conditions = (condition("A", published=0.849), condition("D", features="waveform"))
    text = printed(replace(REPORT, conditions=conditions, ensembles=(ENSEMBLE,)))
    one, rest = text.split("Table 2: networks on waveforms")
    two, three = rest.split("Table 3: ensembles")
    assert one.startswith("Table 1: networks on mel")
    assert cells(one, "A")[3:5] == ["-", "0.849"]
    assert "cv (best)" in one
    assert "paper (best)" in one
    assert cells(two, "D")[0] == "D"
    assert cells(three, "A+D") == ["A+D", "6", "0.912", "0.800 to 0.950", "0.890", "0.920"]


def test_gains_have_their_sign() -> None:
    text = printed(replace(REPORT, comparisons=(COMPARISON,)))
    assert "gain of each step" in text
    assert cells(text, "step") == ["step", "A", "A+D", "-", "+0.200", "-0.100 to +0.300", "-", "-"]


def test_scores_are_of_the_epoch_that_the_row_names() -> None:
    text = printed(replace(REPORT, conditions=(condition("A"), condition("c8", epoch="last", published=0.809))))
    assert cells(text, "A")[1:6] == ["0.811", "partial", "-", "best", "-"]
    assert cells(text, "c8")[1:6] == ["0.800", "partial", "-", "last", "0.809"]
    text = printed(replace(REPORT, conditions=(condition("c8", epoch="last", published=0.809),)))
    assert cells(text, "c8")[1:5] == ["0.800", "partial", "-", "0.809"]
    assert "cv (last)" in text
    assert "paper (last)" in text


def test_two_conditions_have_a_gain_in_cv() -> None:
    text = printed(replace(REPORT, comparisons=(replace(COMPARISON, cv_difference=-0.0123),)))
    assert cells(text, "step")[3] == "-0.012"


def test_the_blend_counts_members_weights_and_predictions() -> None:
    members = (Member("A", 1, "curated", 2), Member("A", 2, "curated", 2))
    blend = types.BlendReport(
        members=members, weights=(1.0, 0.0), predictions=2, oof_lwlrap=0.9, oof_lwlrap_nested=0.85,
        uniform_oof_lwlrap=0.8, paper_oof_lwlrap=None, greedy_oof_lwlrap=0.88,
    )  # fmt: skip
    text = printed(replace(REPORT, blend=blend, test=types.TestScores(0.87, None, None)))
    assert "blend: 2 members, 1 with a weight, 2 predictions" in text
    assert cells(text, "tuned (in sample)") == ["tuned (in sample)", "0.900", "0.870"]
    assert cells(text, "tuned on the other folds (nested)")[1:] == ["0.850", "-"]
    assert "the paper's weights" not in text
    text = printed(replace(REPORT, blend=replace(blend, paper_oof_lwlrap=0.83)))
    assert cells(text, "the paper's weights") == ["the paper's weights", "0.830", "-"]
    assert cells(text, "tuned (in sample)")[2] == "-"


def test_conditions_that_are_leaky_on_the_test_clips_are_named() -> None:
    said = printed(replace(REPORT, leaky_on_test=("A", "blend")))
    assert "leaky on the test clips, as some, their copies or clips of their groups were trained on: A, blend" in said
    assert "leaky on the test clips" not in printed(REPORT)


def test_leaky_scores_are_marked_everywhere() -> None:
    ensemble, comparison = replace(ENSEMBLE, leaky=True), replace(COMPARISON, leaky=True)
    text = printed(replace(REPORT, ensembles=(ensemble,), comparisons=(comparison,), leaky=("A", "blend")))
    assert all(f"{name} (leaky)" in text for name in ("A", "A+D", "step", "blend"))
    assert "D (leaky)" not in text.replace("A+D (leaky)", "")


def test_skipped_files_are_named_as_they_are() -> None:
    assert "skipped: [bold]x.wav is silent" in printed(replace(REPORT, skipped=("[bold]x.wav is silent",)))


GAIN = types.Gain(0.05, (0.01, 0.0912), 0.04, (-0.02, 0.1))


def test_gains_over_the_linear_and_the_best_condition_have_a_table() -> None:
    conditions = (replace(condition("A"), over_best=GAIN, over_linear=GAIN), replace(condition("L"), over_best=GAIN))
    blend = replace(REPORT.blend, over_linear=replace(GAIN, test_difference=None, test_interval=None))
    text = printed(replace(REPORT, conditions=conditions, blend=blend, linear="L", best="B"))
    table = text.split("gain over the linear and the best condition")[1]
    assert "over L" in table
    assert "over B" in table
    shown = ["+0.050", "+0.010 to +0.091", "+0.040", "-0.020 to +0.100"]
    assert cells(table, "A") == ["A", *shown, *shown]
    assert cells(table, "L") == ["L", *["-"] * 4, *shown]
    assert cells(table, "blend (nested)")[1:4] == ["+0.050", "+0.010 to +0.091", "-"]


def test_a_linear_condition_that_is_the_best_is_compared_with_once() -> None:
    gain = replace(GAIN, test_difference=None, test_interval=None)
    conditions = (replace(condition("A"), over_best=gain, over_linear=gain), condition("L"))
    text = printed(replace(REPORT, conditions=conditions, linear="L", best="L"))
    table = text.split("which is the best")[1]
    assert table.count("over L") == 1
    assert cells(table, "A") == ["A", "+0.050", "+0.010 to +0.091"]


def test_without_a_linear_condition_and_test_labels_their_columns_are_left_out() -> None:
    gain = replace(GAIN, test_difference=None, test_interval=None)
    text = printed(replace(REPORT, conditions=(replace(condition("A"), over_best=gain), condition("B")), best="B"))
    table = text.split("gain over the best condition")[1]
    assert cells(table, "A") == ["A", "+0.050", "+0.010 to +0.091"]
    assert "linear" not in table


def test_other_scores_have_a_table_with_accuracy_where_it_is_defined() -> None:
    one = replace(condition("A"), oof_metrics=Metrics(0.5, 0.75, None), test_metrics=Metrics(0.6, 0.8, None))
    text = printed(replace(REPORT, conditions=(one,), left_out=("Bark", "Meow")))
    table = text.split("other scores, out of fold and on test clips")[1]
    assert cells(table, "A") == ["A", "0.500", "0.750", "0.600", "0.800"]
    assert "accuracy" not in table
    assert "mAP and ROC AUC leave out 2 classes without a clip: Bark, Meow" in text
    one = replace(condition("A"), oof_metrics=Metrics(0.5, 0.75, 0.25))
    table = printed(replace(REPORT, conditions=(one,))).split("other scores, out of fold")[1]
    assert cells(table, "A") == ["A", "0.500", "0.750", "0.250"]


def test_warnings_are_printed() -> None:
    assert "warning: the blend is not better" in printed(replace(REPORT, warnings=("the blend is not better",)))


def test_conditions_with_outside_data_have_a_table_of_their_own() -> None:
    embedded = condition("E", features="embedding")
    for published in (None, 0.8):
        rows = (condition("A", published=published), embedded)
        text = printed(replace(REPORT, conditions=rows, outside=("E", "blend")))
        own, outside = text.split("grid tiny, conditions with outside data: lwlrap")
        assert cells(own, "A")
        assert cells(outside, "E")
        assert "│ E" not in own
        assert "blend, with outside data: 0 members" in text
    only = printed(replace(REPORT, conditions=(embedded,), outside=("E",)))
    assert only.startswith("grid tiny, conditions with outside data: lwlrap")
    assert "blend: 0 members" in only


def test_students_have_a_table_of_what_they_save_and_cost() -> None:
    gain = types.Gain(-0.0123, (-0.03, 0.004))
    student = types.StudentReport("small", 1_500_000, 30_000_000, 2e6, 5e6, gain)
    assert "students" not in printed(REPORT)
    text = printed(replace(REPORT, students=(student,)))
    assert cells(text, "small") == ["small", "1.5", "20.0", "2.5", "-0.012", "-0.030 to +0.004"]
    tested = replace(student, over_blend=replace(gain, test_difference=0.01, test_interval=(-0.02, 0.04)))
    assert cells(printed(replace(REPORT, students=(tested,))), "small")[-2:] == ["+0.010", "-0.020 to +0.040"]
