"""The report on a terminal: the paper's tables with the published figures beside ours, and the gain of each step."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from features.words import count, listed
from orchestrator.report.form import SIGNED, bounds, marked, number
from orchestrator.report.types import ComparisonReport, ConditionReport, EnsembleReport, Gain, Report
from trainers.metrics import Metrics

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
        console.print(_ensembles_table(f"Table 3: ensembles, {grid}: lwlrap", report.ensembles))
    if report.comparisons:
        console.print(_comparisons_table(report.comparisons))
    console.print(_blend_table(report))
    for table in (_gains_table(report), _students_table(report), _metrics_table(report)):
        if table.row_count:
            console.print(table)
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
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
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


def _ensembles_table(title: str, ensembles: Sequence[EnsembleReport]) -> Table:
    published = any(ensemble.published is not None for ensemble in ensembles)
    paper = ["paper"] if published else []
    table = _table(title, "ensemble", ["predictions", "out-of-fold", "95 %", *paper, "test"])
    for ensemble in ensembles:
        table.add_row(
            marked(ensemble.name, ensemble.leaky),
            str(ensemble.predictions),
            number(ensemble.oof_lwlrap),
            bounds(ensemble.interval),
            *([number(ensemble.published)] if published else []),
            number(ensemble.test_lwlrap),
        )
    return table


def _comparisons_table(comparisons: Sequence[ComparisonReport]) -> Table:
    title = "gain of each step: difference in lwlrap, 95 % interval over resampled clips"
    table = _table(title, "step", ["from", "to", "cv", "out-of-fold", "95 %", "test", "95 %"])
    for comparison in comparisons:
        table.add_row(
            marked(comparison.name, comparison.leaky),
            comparison.before,
            comparison.after,
            number(comparison.cv_difference, SIGNED),
            number(comparison.oof_difference, SIGNED),
            bounds(comparison.interval, SIGNED),
            number(comparison.test_difference, SIGNED),
            bounds(comparison.test_interval, SIGNED),
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
    table.add_row("tuned on the other folds (honest)", number(blend.oof_lwlrap_nested), "-")
    table.add_row("uniform", number(blend.uniform_oof_lwlrap), "-")
    table.add_row("greedy", number(blend.greedy_oof_lwlrap), "-")
    if blend.paper_oof_lwlrap is not None:
        table.add_row("the paper's weights", number(blend.paper_oof_lwlrap), "-")
    return table


def _gains_table(report: Report) -> Table:
    """Of each condition and the blend, over the linear and the best condition; no rows where nothing is known."""
    rows = {marked(one.name, one.name in report.leaky): (one.over_linear, one.over_best) for one in report.conditions}
    rows[marked("blend (honest)", "blend" in report.leaky)] = (report.blend.over_linear, report.blend.over_best)
    known = {name: gains for name, gains in rows.items() if any(gain and gain != Gain() for gain in gains)}
    has_linear = report.linear not in (None, report.best)  # the gains over one condition are shown once
    tested = any(gain and gain.test_difference is not None for gains in known.values() for gain in gains)
    over = [f"over {name}" for name in ((report.linear,) if has_linear else ()) + (report.best,)]
    title = "gain over the linear and the best condition" if has_linear else "gain over the best condition"
    if report.linear is not None and report.linear == report.best:
        title = "gain over the linear condition, which is the best"
    columns = [cell for name in over for cell in (name, "95 %", *(("test", "95 %") if tested else ()))]
    table = _table(f"{title}: difference in lwlrap, out of fold, 95 % over resampled groups of clips", "", columns)
    for name, gains in known.items():
        shown = gains if has_linear else gains[1:]
        table.add_row(name, *(cell for gain in shown for cell in _gain_cells(gain or Gain(), tested)))
    return table


def _students_table(report: Report) -> Table:
    """How much smaller and cheaper each student is than the blend, and what that costs; no rows without students."""
    tested = any(one.over_blend.test_difference is not None for one in report.students)
    columns = ["MB", "times smaller", "times fewer operations", "lwlrap", "95 %", *(("test", "95 %") if tested else ())]
    title = "students beside the blend: size, operations, difference in lwlrap, out of fold, 95 % over resampled groups"
    table = _table(title, "student", columns)
    for one in report.students:
        table.add_row(
            marked(one.name, one.name in report.leaky),
            f"{one.n_bytes / 1e6:.1f}",
            f"{one.blend_bytes / one.n_bytes:.1f}",
            f"{one.blend_clip_flops / one.clip_flops:.1f}",
            *_gain_cells(one.over_blend, tested),
        )
    return table


def _gain_cells(gain: Gain, tested: bool) -> list[str]:
    cells = [number(gain.oof_difference, SIGNED), bounds(gain.interval, SIGNED)]
    test = [number(gain.test_difference, SIGNED), bounds(gain.test_interval, SIGNED)]
    return cells + test if tested else cells


def _metrics_table(report: Report) -> Table:
    """mAP, ROC AUC and, where each clip has one label, accuracy; no rows where nothing is known."""
    blend, leaky = report.blend, report.leaky
    rows = {marked(one.name, one.name in leaky): (one.oof_metrics, one.test_metrics) for one in report.conditions}
    rows[marked("blend (honest)", "blend" in leaky)] = (blend.nested_metrics, blend.test_metrics)
    rows = {name: parts for name, parts in rows.items() if any(part != Metrics() for part in parts)}
    tested = any(test != Metrics() for _, test in rows.values())
    single = any(part.accuracy is not None for parts in rows.values() for part in parts)
    columns = ["mAP", "ROC AUC", *(["accuracy"] if single else [])]
    table = _table(
        "other scores, out of fold" + (" and on test clips" if tested else ""),
        "",
        columns + ([f"test {name}" for name in columns] if tested else []),
    )
    for name, parts in rows.items():
        shown = parts if tested else parts[:1]
        table.add_row(name, *(cell for part in shown for cell in _metric_cells(part)[: len(columns)]))
    return table


def _metric_cells(metrics: Metrics) -> list[str]:
    return [number(metrics.mean_average_precision), number(metrics.roc_auc), number(metrics.accuracy)]
