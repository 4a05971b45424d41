"""Sections: scores of conditions and ensembles against the paper, the gain of each step, the blend."""

from collections.abc import Sequence
from dataclasses import replace

from features.words import count
from orchestrator.blending.result import Blend
from orchestrator.grids.ensembles import Member
from orchestrator.pages.document import Block, Picture, Section, Table, Words
from orchestrator.pages.pictures import Dot, Point, bars, beside_diagonal, dots
from orchestrator.report.form import SIGNED, bounds, marked, number
from orchestrator.report.reliability import ReliabilityBin
from orchestrator.report.rows import Rows, ensemble_rows, gain_rows, metric_rows, step_rows, student_rows
from orchestrator.report.types import ConditionReport, Report

__all__ = ["blend_section", "gains_section", "reliability_section", "scores_section", "steps_section"]

MOST_FOLDS = 8
"""Columns of folds."""
MOST_BARS = 30


def scores_section(report: Report) -> Section:
    """Every condition and ensemble with its scores, beside the published ones."""
    rows = [
        Dot(one.name, one.oof_lwlrap, one.interval, one.name in report.leaky)
        for one in report.conditions
        if one.oof_lwlrap is not None
    ]
    rows += [
        Dot(one.name, one.oof_lwlrap, one.interval, one.leaky) for one in report.ensembles if one.oof_lwlrap is not None
    ]
    if report.blend.oof_lwlrap_nested is not None:
        nested = report.blend.oof_lwlrap_nested
        rows.append(Dot("blend (nested)", nested, report.blend.interval, "blend" in report.leaky))
    blocks: list[Block] = []
    if rows:
        lines = [] if report.chance is None else [(report.chance, "chance")]
        text = "Out-of-fold lwlrap with 95 % intervals: of each condition the mean of its predictions."
        blocks.append(Picture(dots(rows, "lwlrap, out of fold", lines=lines), text))
    blocks += _conditions(report)
    if report.ensembles:
        blocks.append(_shared(ensemble_rows(report), "ensembles with fixed weights (lwlrap)"))
    if (students := student_rows(report)).rows:
        blocks.append(
            _shared(students, "students beside the blend (size, operations, difference in lwlrap out of fold)")
        )
    if (metrics := metric_rows(report)).rows:
        blocks.append(_shared(metrics, "other scores, out of fold and, where there are any, on the test clips"))
    return Section("Scores", blocks)


def _conditions(report: Report) -> list[Block]:
    """One table of conditions, or one for each kind of features, and another for those with outside data."""
    kinds = {"mel": "networks on mel", "waveform": "networks on waveforms", "embedding": "networks on embeddings"}
    inside = [one for one in report.conditions if one.name not in report.outside]
    outside = [one for one in report.conditions if one.name in report.outside]
    groups = {title: [one for one in inside if one.features == kind] for kind, title in kinds.items()}
    groups["with data from outside the dataset"] = outside
    used = {title: rows for title, rows in groups.items() if rows}
    return [_condition_table(title if len(used) > 1 else "conditions", rows, report) for title, rows in used.items()]


def _condition_table(title: str, rows: Sequence[ConditionReport], report: Report) -> Table:
    published = any(one.published_cv_lwlrap is not None for one in rows)
    folds = len(rows[0].folds) if len(rows[0].folds) <= MOST_FOLDS else 0
    columns = [
        "condition",
        *(f"fold {fold}" for fold in range(folds)),
        "cv",
        "epoch",
        *(["paper", "ours - paper"] if published else []),
        "out-of-fold",
        "95 %",
        "test",
    ]
    cells = []
    for one in rows:
        cv, paper = one.cv_lwlrap, one.published_cv_lwlrap
        difference = None if cv is None or paper is None else cv - paper
        of_folds = [number(f.lwlrap(one.cv_epoch)) if f.state == "done" else f.state for f in one.folds[:folds]]
        cells.append(
            [
                marked(one.name, one.name in report.leaky),
                *of_folds,
                number(cv),
                one.cv_epoch,
                *([number(paper), number(difference, SIGNED)] if published else []),
                number(one.oof_lwlrap),
                bounds(one.interval),
                number(one.test_lwlrap),
            ]
        )
    best = frozenset(index for index, one in enumerate(rows) if one.name == report.best)
    note = "cv: mean over folds of the named epoch, as in the paper; the best epoch is optimistic"
    return Table(columns, cells, f"{title} (lwlrap; {note})", strong=best).filled()


def steps_section(report: Report) -> Section:
    """Gain of each step: differences of lwlrap with paired intervals."""
    blocks: list[Block] = []
    steps = [one for one in report.comparisons if one.oof_difference is not None]
    if steps:
        shown = [
            Dot(one.name, one.oof_difference or 0.0, one.interval,
                one.leaky)
            for one in steps
        ]  # fmt: skip
        text = "Gain of each step out of fold with its paired 95 % interval; one that crosses 0 leaves it open."
        blocks.append(Picture(dots(shown, "difference in lwlrap", lines=[(0.0, "no gain")]), text))
    if report.comparisons:
        blocks.append(_shared(step_rows(report), "gain of each step (difference in lwlrap)", words=3))
    gains = gain_rows(report)
    if not steps:
        blocks += _gain_picture(report)
    if gains.rows:
        blocks.append(
            _shared(gains, "gain over the simplest and the best condition (difference in lwlrap, out of fold)")
        )
    return Section("Gain of each step", blocks or [Words("Nothing can be compared yet.", "note")])


def gains_section(report: Report, name: str) -> Section:
    """What a condition, or the blend, gains over the simplest and the best condition, among the others."""
    gains = gain_rows(report)
    if not gains.rows:
        return Section("Gain", [Words("Nothing can be compared yet.", "note")])
    table = _shared(gains, "gain over the simplest and the best condition (difference in lwlrap, out of fold)")
    own = frozenset(index for index, row in enumerate(gains.rows) if row[0].partition(" (")[0] == name)
    return Section("Gain", [*_gain_picture(report), replace(table, strong=own)])


def _gain_picture(report: Report) -> list[Block]:
    simple = _simple_gains(report)
    text = f"Gain over {report.linear or report.best} out of fold, with its paired 95 % interval."
    return [Picture(dots(simple, "difference in lwlrap", lines=[(0.0, "no gain")]), text)] if simple else []


def reliability_section(bins: Sequence[ReliabilityBin]) -> Section:
    """How often a class is there, given the blend's score of it."""
    points = [Point(one.score, one.true, one.interval) for one in bins]
    text = (
        "Nested scores taken for probabilities: of the pairs of a clip and a class with a score, the share in which "
        "the clip has the class. On the dashed line a score is a probability; Tagger.probabilities corrects the rest."
    )
    rows = [
        [f"{one.low:.1f} to {one.high:.1f}", f"{one.pairs:,}", f"{one.score:.3f}", f"{one.true:.3f}",
         bounds(one.interval)]
        for one in bins
    ]  # fmt: skip
    picture = Picture(beside_diagonal(points, "score", "share of clips with the class"), text)
    return Section("Reliability", [picture, Table(["scores", "pairs", "mean score", "share", "95 %"], rows)])


def _simple_gains(report: Report) -> list[Dot]:
    """Over the linear condition, or the best one if there is no linear one."""
    parts = {one.name: one.over_linear if report.linear else one.over_best for one in report.conditions}
    parts["blend (nested)"] = report.blend.over_linear if report.linear else report.blend.over_best
    return [
        Dot(name, gain.oof_difference, gain.interval, name.partition(" (")[0] in report.leaky)
        for name, gain in parts.items()
        if gain is not None and gain.oof_difference is not None
    ]


def _shared(rows: Rows, title: str, words: int = 1) -> Table:
    """A table of rows that the terminal shows too."""
    return Table(rows.columns, rows.rows, title, words=words).filled()


def blend_section(report: Report, blend: Blend | None) -> Section:
    """Weights by member, and what the blend scores in sample and nested.

    Args:
        report: the scores.
        blend: the weights of each fold; None until the blend is done.
    """
    if blend is None:
        return Section("The blend", [Words("There is no blend yet.", "note")])
    found, used = report.blend, sorted(blend.weighted(), key=lambda pair: -pair[1])
    test = number(report.test.lwlrap if report.test else None)
    rows = [
        ["tuned, scored on clips that the weights saw (in sample)", number(found.oof_lwlrap), "-", test],
        ["tuned, scored on other folds (nested: the honest one)", number(found.oof_lwlrap_nested),
         bounds(found.interval), "-"],
        ["uniform weights", number(found.uniform_oof_lwlrap), "-", "-"],
        ["greedy selection (in sample)", number(found.greedy_oof_lwlrap), "-", "-"],
    ]  # fmt: skip
    if found.paper_oof_lwlrap is not None:
        rows.append(["the paper's weights", number(found.paper_oof_lwlrap), "-", "-"])
    intro = (
        f"The blend is a weighted mean of the scores of {count(len(used), 'member')} of {len(blend.members)}; a member "
        "is a condition at one cycle, head and pad, averaged over the folds' networks. Each test clip takes "
        f"{count(found.predictions or 0, 'prediction')}. The nested score tunes the weights once more without each "
        "fold and scores that fold."
    )
    places = {member: index for index, member in enumerate(blend.members)}
    folds = [
        [weights[places[member]] for weights in blend.result.fold_weights] for member, _ in used
    ]  # without each fold
    table = [
        [_name(member), f"{weight:.3f}", bounds((min(of), max(of))) if of else "-"]
        for (member, weight), of in zip(used, folds, strict=True)
    ]
    scores = Table(["weights", "out-of-fold", "95 %", "test"], rows, "lwlrap of the blend", strong=frozenset({1}))
    named = [_name(member) for member, _ in used[:MOST_BARS]]
    text = f"Weights of the {len(named)} heaviest members." if len(used) > MOST_BARS else "Weights of the members."
    return Section(
        marked("The blend", "blend" in report.leaky),
        [
            Words(intro),
            scores.filled(),
            Picture(bars(named, [weight for _, weight in used[:MOST_BARS]], "weight"), text),
            Table(["member", "weight", "tuned without each fold"], table, "weights"),
        ],
    )


def _name(member: Member) -> str:
    head = "" if member.head == "curated" else f", {member.head} head"
    return f"{member.condition}, cycle {member.cycle}{head}, pad {member.pad}"
