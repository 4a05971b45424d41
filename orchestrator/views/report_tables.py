"""The report on a terminal: the paper's tables with the published figures beside ours, and the gain of each step."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from features.words import count
from orchestrator.views.report_types import ComparisonReport, ConditionReport, EnsembleReport, Interval, Report

__all__ = ["print_report"]

NETWORKS = {"mel": "Table 1: networks on mel", "waveform": "Table 2: networks on waveforms"}


def print_report(report: Report, console: Console) -> None:
    """Conditions with their folds, ensembles, comparisons, the blend.

    Scores of folds, their mean `cv` and the paper's figure are all of the `epoch` that the row names.
    A grid with ensembles or published figures is printed as the paper's Tables 1-3.
    """
    conditions, grid = report.conditions, f"grid {report.grid}"
    like_the_paper = report.ensembles or any(one.published_cv_lwlrap is not None for one in conditions)
    for kind, title in NETWORKS.items() if like_the_paper else ():
        rows = [condition for condition in conditions if condition.features == kind]
        if rows:
            console.print(_conditions_table(f"{title}, {grid}: lwlrap", rows, report.leaky))
    if not like_the_paper:
        console.print(_conditions_table(f"{grid}: lwlrap", conditions, report.leaky))
    if report.ensembles:
        console.print(_ensembles_table(f"Table 3: ensembles, {grid}: lwlrap", report.ensembles))
    if report.comparisons:
        console.print(_comparisons_table(report.comparisons))
    console.print(_blend_table(report))
    for sentence in report.skipped:
        console.print(f"skipped: {sentence}")


def _table(title: str, first: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _conditions_table(title: str, conditions: Sequence[ConditionReport], leaky: Sequence[str]) -> Table:
    numbers = [fold.fold for fold in conditions[0].folds]
    folds = [f"fold {number}" if len(numbers) <= 5 else f"f{number}" for number in numbers]  # ten folds fit a screen
    published = any(condition.published_cv_lwlrap is not None for condition in conditions)
    paper = ["paper"] if published else []
    table = _table(title, "condition", [*folds, "cv", "epoch", *paper, "out-of-fold", "95 %", "test"])
    for condition in conditions:
        epoch = condition.cv_epoch
        cells = [_number(fold.lwlrap(epoch)) if fold.state == "done" else fold.state for fold in condition.folds]
        table.add_row(
            _marked(condition.name, condition.name in leaky),
            *cells,
            _number(condition.cv_lwlrap),
            epoch,
            *([_number(condition.published_cv_lwlrap)] if published else []),
            _number(condition.oof_lwlrap),
            _interval(condition.interval),
            _number(condition.test_lwlrap),
        )
    return table


def _ensembles_table(title: str, ensembles: Sequence[EnsembleReport]) -> Table:
    published = any(ensemble.published is not None for ensemble in ensembles)
    paper = ["paper"] if published else []
    table = _table(title, "ensemble", ["predictions", "out-of-fold", "95 %", *paper, "test"])
    for ensemble in ensembles:
        table.add_row(
            _marked(ensemble.name, ensemble.leaky),
            str(ensemble.predictions),
            _number(ensemble.oof_lwlrap),
            _interval(ensemble.interval),
            *([_number(ensemble.published)] if published else []),
            _number(ensemble.test_lwlrap),
        )
    return table


def _comparisons_table(comparisons: Sequence[ComparisonReport]) -> Table:
    title = "gain of each step: difference in lwlrap, 95 % interval over resampled clips"
    table = _table(title, "step", ["from", "to", "cv", "out-of-fold", "95 %", "test", "95 %"])
    for comparison in comparisons:
        table.add_row(
            _marked(comparison.name, comparison.leaky),
            comparison.before,
            comparison.after,
            _number(comparison.cv_difference, "+.3f"),
            _number(comparison.oof_difference, "+.3f"),
            _interval(comparison.interval, "+.3f"),
            _number(comparison.test_difference, "+.3f"),
            _interval(comparison.test_interval, "+.3f"),
        )
    return table


def _blend_table(report: Report) -> Table:
    blend = report.blend
    counts = count(len(blend.members), "member")
    if blend.predictions is not None:
        used = sum(weight > 0 for weight in blend.weights)
        counts += f", {used} with a weight, {count(blend.predictions, 'prediction')}"
    title = f"{_marked('blend', 'blend' in report.leaky)}: {counts}"
    table = _table(title, "weights", ["out-of-fold", "test"])
    test = report.test.lwlrap if report.test else None
    table.add_row("tuned (in sample)", _number(blend.oof_lwlrap), _number(test))
    table.add_row("tuned on the other folds (honest)", _number(blend.oof_lwlrap_nested), "-")
    table.add_row("uniform", _number(blend.uniform_oof_lwlrap), "-")
    table.add_row("greedy", _number(blend.greedy_oof_lwlrap), "-")
    if blend.paper_oof_lwlrap is not None:
        table.add_row("the paper's weights", _number(blend.paper_oof_lwlrap), "-")
    return table


def _marked(name: str, leaky: bool) -> str:
    return f"{name} (leaky)" if leaky else name


def _number(value: float | None, form: str = ".3f") -> str:
    return "-" if value is None else format(value, form)


def _interval(bounds: Interval | None, form: str = ".3f") -> str:
    return "-" if bounds is None else " to ".join(format(bound, form) for bound in bounds)
