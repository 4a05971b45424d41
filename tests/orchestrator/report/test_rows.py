"""Rows that the terminal and the pages share."""

from dataclasses import replace

from orchestrator.report.rows import ensemble_rows, gain_rows, metric_rows, step_rows
from orchestrator.report.types import (
    BlendReport,
    ComparisonReport,
    ConditionReport,
    EnsembleReport,
    Gain,
    Report,
)
from trainers.metrics import Metrics

A = ConditionReport("A", "mel", (), "best", 0.8, None, 0.7, None, None, oof_metrics=Metrics(0.5, 0.9, None))
B = replace(A, name="B", over_linear=Gain(0.1, (0.05, 0.15)), over_best=Gain(-0.01, (-0.02, 0.0)))
REPORT = Report(
    grid="g", complete=True, conditions=(A, B), blend=BlendReport(), ensembles=(), comparisons=(), test=None,
    leaky=("B",), skipped=(), linear="A", best="C",
)  # fmt: skip


def test_gains_are_over_the_linear_and_the_best_condition() -> None:
    found = gain_rows(REPORT)
    assert found.columns == ["", "over A", "95 %", "over C", "95 %"]
    assert found.rows == [["B (leaky)", "+0.100", "+0.050 to +0.150", "-0.010", "-0.020 to +0.000"]]


def test_a_gain_over_one_condition_is_shown_once() -> None:
    assert gain_rows(replace(REPORT, best="A")).columns == ["", "over A", "95 %"]
    assert gain_rows(replace(REPORT, linear=None)).columns == ["", "over C", "95 %"]


def test_gains_on_test_clips_have_columns_where_one_is_known() -> None:
    tested = replace(B, over_best=Gain(0.1, (0.0, 0.2), 0.3, (0.1, 0.4)))
    found = gain_rows(replace(REPORT, conditions=(A, tested), linear=None))
    assert found.columns == ["", "over C", "95 %", "test", "95 %"]
    assert found.rows[0][3:] == ["+0.300", "+0.100 to +0.400"]


def test_other_scores_have_accuracy_only_where_each_clip_has_one_label() -> None:
    assert metric_rows(REPORT).columns == ["", "mAP", "ROC AUC"]
    single = replace(A, test_metrics=Metrics(0.4, 0.8, 0.6))
    found = metric_rows(replace(REPORT, conditions=(single,)))
    assert found.columns == ["", "mAP", "ROC AUC", "accuracy", "test mAP", "test ROC AUC", "test accuracy"]
    assert found.rows == [["A", "0.500", "0.900", "-", "0.400", "0.800", "0.600"]]


def test_ensembles_and_steps() -> None:
    ensemble = EnsembleReport("A+B", 4, 0.8, (0.7, 0.9), 0.85, None, leaky=True)
    step = ComparisonReport("noise", "A", "B", None, 0.1, (0.0, 0.2), None, None, leaky=False)
    report = replace(REPORT, ensembles=(ensemble,), comparisons=(step,))
    assert ensemble_rows(report).rows == [["A+B (leaky)", "4", "0.800", "0.700 to 0.900", "0.850", "-"]]
    assert ensemble_rows(replace(report, ensembles=(replace(ensemble, published=None),))).columns[-2:] == [
        "95 %",
        "test",
    ]
    assert step_rows(report).rows == [["noise", "A", "B", "-", "+0.100", "+0.000 to +0.200", "-", "-"]]
