"""The report on a terminal: the paper's tables with the published figures beside ours, and the gain of each step."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from features.words import count, listed
from orchestrator.report.form import bounds, marked, number
from orchestrator.report.rows import Rows, ensemble_rows, gain_rows, metric_rows, step_rows, student_rows
from orchestrator.report.types import ConditionReport, Report

__all__ = ["print_report"]

NETWORKS = {"mel": "Table 1: networks on mel", "waveform": "Table 2: networks on waveforms"}


def print_report(report: Report, console: Console) -> None:
    """Conditions with their folds, ensembles, comparisons, the blend, gains, other scores, warnings.

    Scores of folds, their mean `cv` and the paper's figure are all of the best or all of the last epoch. Where rows
    differ in that, a column `epoch` says which; else the headings do.
    A grid with ensembles or published figures is printed as the paper's Tables 1-3. Conditions with data from outside
    the dataset have a table of their own.
    """
    grid = f"grid {report.grid}"
    conditions = [condition for condition in report.conditions if condition.name not in report.outside]
    outside = [condition for condition in report.conditions if condition.name in report.outside]
    like_the_paper = report.ensembles or any(one.published_cv_lwlrap is not None for one in report.conditions)
    for kind, title in NETWORKS.items() if like_the_paper else ():
        rows = [condition for condition in conditions if condition.features == kind]
        if rows:
            console.print(_conditions_table(f"{title}, {grid}: lwlrap", rows, report.leaky))
    if conditions and not like_the_paper:
        console.print(_conditions_table(f"{grid}: lwlrap", conditions, report.leaky))
    if outside:
        console.print(_conditions_table(f"{grid}, conditions with outside data: lwlrap", outside, report.leaky))
    if report.ensembles:
        console.print(_shared(f"Table 3: ensembles, {grid}: lwlrap", ensemble_rows(report)))
    if report.comparisons:
        title = "gain of each step: difference in lwlrap, 95 % interval over resampled clips"
        console.print(_shared(title, step_rows(report)))
    console.print(_blend_table(report))
    for title, shared in _below_the_blend(report).items():
        if shared.rows:
            console.print(_shared(title, shared))
    if report.left_out:
        classes = count(len(report.left_out), "class", "classes")
        console.print(f"mAP and ROC AUC leave out {classes} without a clip: {listed(report.left_out)}")
    for sentence in report.warnings:
        console.print(f"warning: {sentence}", style="yellow")
    if report.leaky_on_test:
        names = ", ".join(report.leaky_on_test)
        console.print(
            f"leaky on the test clips, as some, their copies or clips of their groups were trained on: {names}"
        )
    for sentence in report.skipped:
        console.print(f"skipped: {sentence}")


def _table(title: str, first: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first, overflow="fold")
    for column in columns:
        # On a narrow terminal, headings of several words are wrapped, and neither figures nor intervals.
        table.add_column(column, justify="right", no_wrap=column in ("95 %", "out-of-fold"))
    return table


def _conditions_table(title: str, conditions: Sequence[ConditionReport], leaky: Sequence[str]) -> Table:
    numbers = [fold.fold for fold in conditions[0].folds]
    folds = [f"fold {number}" if len(numbers) <= 5 else f"f{number}" for number in numbers]  # ten folds fit a screen
    published = any(condition.published_cv_lwlrap is not None for condition in conditions)
    epochs = sorted({condition.cv_epoch for condition in conditions})
    of = f" ({epochs[0]})" if len(epochs) == 1 else ""
    column = [] if of else ["epoch"]
    paper = [f"paper{of}"] if published else []
    table = _table(title, "condition", [*folds, f"cv{of}", *column, *paper, "out-of-fold", "95 %", "test"])
    for condition in conditions:
        epoch = condition.cv_epoch
        cells = [number(fold.lwlrap(epoch)) if fold.state == "done" else fold.state for fold in condition.folds]
        table.add_row(
            marked(condition.name, condition.name in leaky),
            *cells,
            number(condition.cv_lwlrap),
            *([] if of else [epoch]),
            *([number(condition.published_cv_lwlrap)] if published else []),
            number(condition.oof_lwlrap),
            bounds(condition.interval),
            number(condition.test_lwlrap),
        )
    return table


def _blend_table(report: Report) -> Table:
    blend = report.blend
    counts = count(len(blend.members), "member")
    if blend.predictions is not None:
        used = sum(weight > 0 for weight in blend.weights)
        counts += f", {used} with a weight, {count(blend.predictions, 'prediction')}"
    outside = ", with outside data" if "blend" in report.outside else ""
    title = f"{marked('blend', 'blend' in report.leaky)}{outside}: {counts}"
    table = _table(title, "weights", ["out-of-fold", "test"])
    test = report.test.lwlrap if report.test else None
    table.add_row("tuned (in sample)", number(blend.oof_lwlrap), number(test))
    table.add_row("tuned on the other folds (nested)", number(blend.oof_lwlrap_nested), "-")
    table.add_row("uniform", number(blend.uniform_oof_lwlrap), "-")
    table.add_row("greedy", number(blend.greedy_oof_lwlrap), "-")
    if blend.paper_oof_lwlrap is not None:
        table.add_row("the paper's weights", number(blend.paper_oof_lwlrap), "-")
    return table


def _below_the_blend(report: Report) -> dict[str, Rows]:
    """Title -> gains, students and other scores; no rows where nothing is known."""
    over = "the best condition"
    if report.linear is not None:
        same = report.linear == report.best
        over = "the linear condition, which is the best" if same else "the linear and the best condition"
    metrics = metric_rows(report)
    tested = " and on test clips" if any(name.startswith("test ") for name in metrics.columns) else ""
    return {
        f"gain over {over}: difference in lwlrap, out of fold, 95 % over resampled groups of clips": gain_rows(report),
        "students beside the blend: size, operations, difference in lwlrap, out of fold, 95 % over resampled groups":
            student_rows(report),
        f"other scores, out of fold{tested}": metrics,
    }  # fmt: skip


def _shared(title: str, rows: Rows) -> Table:
    """A table of rows that the pages have too."""
    table = _table(title, rows.columns[0], rows.columns[1:])
    for row in rows.rows:
        table.add_row(*row)
    return table
