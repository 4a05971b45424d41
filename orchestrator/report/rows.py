"""Columns and rows that the terminal and the pages share: ensembles, steps, gains, students, other scores."""

from dataclasses import dataclass

from orchestrator.report.form import SIGNED, bounds, marked, number
from orchestrator.report.types import Gain, Report
from trainers.metrics import Metrics

__all__ = ["Rows", "ensemble_rows", "gain_rows", "metric_rows", "step_rows", "student_rows"]

BLEND = "blend (nested)"


@dataclass(frozen=True)
class Rows:
    """A table in no form yet."""

    columns: list[str]
    """The first ones are words, the others figures."""
    rows: list[list[str]]
    """A figure that does not exist is '-'."""


def ensemble_rows(report: Report) -> Rows:
    """Ensembles with fixed weights, beside the published figures if there are any."""
    published = any(one.published is not None for one in report.ensembles)
    rows = [
        [
            marked(one.name, one.leaky),
            str(one.predictions),
            number(one.oof_lwlrap),
            bounds(one.interval),
            *([number(one.published)] if published else []),
            number(one.test_lwlrap),
        ]
        for one in report.ensembles
    ]
    paper = ["paper"] if published else []
    return Rows(["ensemble", "predictions", "out-of-fold", "95 %", *paper, "test"], rows)


def step_rows(report: Report) -> Rows:
    """The gain of each step of the grid, as differences in lwlrap; three columns of words."""
    rows = [
        [
            marked(one.name, one.leaky),
            one.before,
            one.after,
            number(one.cv_difference, SIGNED),
            number(one.oof_difference, SIGNED),
            bounds(one.interval, SIGNED),
            number(one.test_difference, SIGNED),
            bounds(one.test_interval, SIGNED),
        ]
        for one in report.comparisons
    ]
    return Rows(["step", "from", "to", "cv", "out-of-fold", "95 %", "test", "95 %"], rows)


def gain_rows(report: Report) -> Rows:
    """The gain of each condition and the blend over the linear and the best condition, once if they are the same.

    No rows where nothing is known.
    """
    found = [(marked(one.name, one.name in report.leaky), one.over_linear, one.over_best) for one in report.conditions]
    found.append((marked(BLEND, "blend" in report.leaky), report.blend.over_linear, report.blend.over_best))
    known = [each for each in found if any(gain is not None and gain != Gain() for gain in each[1:])]
    two = report.linear not in (None, report.best)
    tested = any(gain is not None and gain.test_difference is not None for _, *gains in known for gain in gains)
    over = [f"over {name}" for name in ((report.linear,) if two else ()) + (report.best,)]
    columns = ["", *(cell for name in over for cell in (name, "95 %", *(("test", "95 %") if tested else ())))]
    rows = [
        [name, *(cell for gain in (gains if two else gains[1:]) for cell in _gain_cells(gain or Gain(), tested))]
        for name, *gains in known
    ]
    return Rows(columns, rows)


def _gain_cells(gain: Gain, tested: bool) -> list[str]:
    cells = [number(gain.oof_difference, SIGNED), bounds(gain.interval, SIGNED)]
    test = [number(gain.test_difference, SIGNED), bounds(gain.test_interval, SIGNED)]
    return cells + test if tested else cells


def student_rows(report: Report) -> Rows:
    """How much smaller and cheaper each student is than the blend, and what that costs; no rows without students."""
    tested = any(one.over_blend.test_difference is not None for one in report.students)
    rows = [
        [
            marked(one.name, one.name in report.leaky),
            f"{one.n_bytes / 1e6:.1f}",
            f"{one.blend_bytes / one.n_bytes:.1f}",
            f"{one.blend_clip_flops / one.clip_flops:.1f}",
            *_gain_cells(one.over_blend, tested),
        ]
        for one in report.students
    ]
    more = ["test", "95 %"] if tested else []
    return Rows(["student", "MB", "times smaller", "times fewer operations", "lwlrap", "95 %", *more], rows)


def metric_rows(report: Report) -> Rows:
    """mAP, ROC AUC and, where each clip has one label, accuracy; no rows where nothing is known."""
    found = [
        (marked(one.name, one.name in report.leaky), one.oof_metrics, one.test_metrics) for one in report.conditions
    ]
    blend = report.blend
    found.append((marked(BLEND, "blend" in report.leaky), blend.nested_metrics, blend.test_metrics))
    found = [each for each in found if any(part != Metrics() for part in each[1:])]
    tested = any(test != Metrics() for *_, test in found)
    single = any(part.accuracy is not None for _, *parts in found for part in parts)
    names = ["mAP", "ROC AUC", *(["accuracy"] if single else [])]
    rows = [
        [name, *(cell for part in (parts if tested else parts[:1]) for cell in _metric_cells(part)[: len(names)])]
        for name, *parts in found
    ]
    return Rows(["", *names, *([f"test {name}" for name in names] if tested else [])], rows)


def _metric_cells(metrics: Metrics) -> list[str]:
    return [number(metrics.mean_average_precision), number(metrics.roc_auc), number(metrics.accuracy)]
