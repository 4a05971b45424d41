"""The figures of a report as CSV: one row per figure, so that any table can be made from it."""

import csv
import io
from collections.abc import Iterator

from orchestrator.report.types import Gain, Interval, Report
from trainers.metrics import Metrics

__all__ = ["COLUMNS", "safe", "to_csv"]

COLUMNS = ("of", "name", "figure", "value", "low", "high", "published", "leaky")
"""What it is of (condition, ensemble, ...), whose, which figure, its value, its 95 % interval, the published figure,
and whether it is leaky."""

Row = tuple[str, str, str, float | None, Interval | None, float | None, bool]


def to_csv(report: Report) -> str:
    """The whole file; figures that do not exist are left out."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for of, name, figure, value, interval, published, leaky in _rows(report):
        if value is None and published is None:
            continue
        low, high = interval or (None, None)
        cells = (_cell(number) for number in (value, low, high, published))
        writer.writerow([of, safe(name), figure, *cells, "yes" if leaky else "no"])
    return file.getvalue()


def _rows(report: Report) -> Iterator[Row]:
    on_test = {*report.leaky_on_test}
    for one in report.conditions:
        leaky, tainted = one.name in report.leaky, one.name in on_test
        for fold in one.folds:
            yield "condition", one.name, f"fold_{fold.fold}_best_lwlrap", fold.best_lwlrap, None, None, leaky
            yield "condition", one.name, f"fold_{fold.fold}_last_lwlrap", fold.last_lwlrap, None, None, leaky
        yield "condition", one.name, f"cv_{one.cv_epoch}_lwlrap", one.cv_lwlrap, None, one.published_cv_lwlrap, leaky
        yield "condition", one.name, "oof_lwlrap", one.oof_lwlrap, one.interval, None, leaky
        yield "condition", one.name, "test_lwlrap", one.test_lwlrap, None, None, tainted
        yield from _metrics("condition", one.name, "oof", one.oof_metrics, leaky)
        yield from _metrics("condition", one.name, "test", one.test_metrics, tainted)
        yield from _gains("condition", one.name, report, one.over_linear, one.over_best, leaky)
    for each in report.ensembles:
        yield "ensemble", each.name, "oof_lwlrap", each.oof_lwlrap, each.interval, each.published, each.leaky
        yield "ensemble", each.name, "test_lwlrap", each.test_lwlrap, None, None, each.leaky
    for step in report.comparisons:
        yield "step", step.name, "cv_difference", step.cv_difference, None, None, step.leaky
        yield "step", step.name, "oof_difference", step.oof_difference, step.interval, None, step.leaky
        yield "step", step.name, "test_difference", step.test_difference, step.test_interval, None, step.leaky
    yield from _blend(report)
    for kind in report.details.classes if report.details else ():
        leaky = report.details is not None and report.details.of in report.leaky
        yield "class", kind.name, "curated_clips", kind.curated, None, None, False
        yield "class", kind.name, "noisy_clips", kind.noisy, None, None, False
        yield "class", kind.name, "oof_lwlrap", kind.oof_lwlrap, kind.interval, None, leaky
        yield "class", kind.name, "test_lwlrap", kind.test_lwlrap, None, None, False


def _blend(report: Report) -> Iterator[Row]:
    blend, leaky = report.blend, "blend" in report.leaky
    for figure, value in blend.scores().items():
        yield "blend", "blend", figure, value, blend.interval if figure.endswith("nested") else None, None, leaky
    if report.test is not None:
        tainted = "blend" in report.leaky_on_test
        yield "blend", "blend", "test_lwlrap", report.test.lwlrap, blend.test_interval, None, tainted
        yield "blend", "blend", "test_public_lwlrap", report.test.public, None, None, tainted
        yield "blend", "blend", "test_private_lwlrap", report.test.private, None, None, tainted
    yield from _metrics("blend", "blend", "nested", blend.nested_metrics, leaky)
    yield from _gains("blend", "blend", report, blend.over_linear, blend.over_best, leaky)
    for member, weight in zip(blend.members, blend.weights, strict=True):
        name = f"{member.condition} cycle {member.cycle} {member.head} head pad {member.pad}"
        yield "member", name, "weight", weight, None, None, False


def _metrics(of: str, name: str, prefix: str, metrics: Metrics, leaky: bool) -> Iterator[Row]:
    for figure, value in vars(metrics).items():
        yield of, name, f"{prefix}_{figure}", value, None, None, leaky


def _gains(
    of: str, name: str, report: Report, over_linear: Gain | None, over_best: Gain | None, leaky: bool
) -> Iterator[Row]:
    for other, gain in {report.linear: over_linear, report.best: over_best}.items():
        if gain is not None:
            yield of, name, f"oof_difference_over_{other}", gain.oof_difference, gain.interval, None, leaky


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def safe(name: str) -> str:
    """A name that no spreadsheet takes for a formula: names of classes are other people's."""
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name
