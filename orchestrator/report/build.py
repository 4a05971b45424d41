"""Builds the report of a run from the store, and writes the files made from it."""

from collections.abc import Sequence

import numpy as np

from features.files import write_json
from orchestrator.planning.leaks import leaky_on_test
from orchestrator.planning.seen import outside_conditions
from orchestrator.report.classes import class_reports, confusions, worst_clips
from orchestrator.report.gains import (
    BLEND,
    below_chance,
    best_condition,
    blend_with_gains,
    linear_condition,
    seen_sentences,
    warnings,
    with_gains,
)
from orchestrator.report.scores import (
    Scores,
    blended_test,
    classes_without_clips,
    finished_blend,
    known_labels,
    mean_predictions,
    nested_blend,
    scores_on_test,
)
from orchestrator.report.students import student_reports
from orchestrator.report.submission import write_submission
from orchestrator.report.types import (
    BlendReport,
    ComparisonReport,
    ConditionReport,
    Details,
    EnsembleReport,
    FoldReport,
    Report,
)
from orchestrator.run.bound import Run
from trainers.metrics import chance_lwlrap

__all__ = ["build_report", "write_reports"]


def build_report(run: Run) -> Report:
    """All scores of a run that exist.

    Raises:
        StoreError: a result or the file of test labels is damaged.
    """
    recipe = run.recipe
    leaky, outside = run.leaky, outside_conditions(recipe)
    leaky_ensembles = {name for name, ensemble in recipe.ensembles.items() if ensemble.members.keys() & set(leaky)}
    means = mean_predictions(run)
    known = known_labels(run)
    blend, nested = finished_blend(run), nested_blend(run)
    truth, groups = run.manifest.targets("curated"), run.manifest.subset("curated")["group"].to_numpy()
    oof = Scores(truth, {name: mean.oof for name, mean in means.items()} | _blend_as(nested), groups)
    # Without test labels, no prediction has a score.
    blended = blended_test(run) if known and blend else None
    test = Scores(known[0] if known else None, {name: mean.test for name, mean in means.items()} | _blend_as(blended))
    conditions = tuple(_condition(run, name, oof, test) for name in recipe.conditions)
    linear, best = linear_condition(recipe), best_condition(conditions, leaky, outside)
    conditions = tuple(with_gains(one, linear, best, oof, test) for one in conditions)
    blend_report = BlendReport() if blend is None else BlendReport.of(blend)
    blend_report = blend_with_gains(blend_report, linear, best, oof, test)
    chance = chance_lwlrap(truth)
    worse = below_chance(means, chance)
    of_best = means[best].oof if best is not None else None
    scored = nested if nested is not None else of_best
    on_test = blended if nested is not None else means[best].test if best is not None else None
    return Report(
        grid=recipe.name,
        complete=blend is not None and all(fold.state == "done" for one in conditions for fold in one.folds),
        conditions=conditions,
        blend=blend_report,
        ensembles=tuple(_ensemble(run, name, oof, test, name in leaky_ensembles) for name in recipe.ensembles),
        comparisons=tuple(
            _comparison(name, sides, conditions, oof, test, leaky=bool({*sides} & {*leaky, *leaky_ensembles}))
            for name, sides in recipe.comparisons.items()
        ),
        test=scores_on_test(known[0], blended, known[1]) if known and blended is not None else None,
        leaky=tuple(leaky),
        skipped=tuple(run.manifest.skipped),
        linear=linear,
        best=best,
        chance=chance,
        below_chance=worse,
        left_out=classes_without_clips(run, truth),
        outside=tuple(outside),
        warnings=(
            *warnings(conditions, blend_report, linear, best, chance, worse),
            *seen_sentences(run.clips_seen, run.manifest),
        ),
        leaky_on_test=tuple(leaky_on_test(recipe, run.graph, run.clips_seen, run.overlaps)),
        students=student_reports(run, blend, oof, test),
        details=_details(run, "blend" if nested is not None else best, scored, of_best, _pair(known, on_test)),
    )


def _pair(
    known: tuple[np.ndarray, np.ndarray | None] | None, scores: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray] | None:
    """Labels and scores of the test clips, if both are known."""
    return (known[0], scores) if known is not None and scores is not None else None


def _details(
    run: Run,
    name: str | None,
    scores: np.ndarray | None,
    best: np.ndarray | None,
    test: tuple[np.ndarray, np.ndarray] | None,
) -> Details | None:
    """What scores (N, C) say of single classes and clips."""
    if name is None or scores is None:
        return None
    return Details(
        of=name,
        classes=class_reports(run.manifest, scores, best, test),
        confusions=confusions(run.manifest.classes, run.manifest.targets("curated"), scores),
        worst_clips=worst_clips(run.manifest, scores),
    )


def _blend_as(scores: np.ndarray | None) -> dict[str, np.ndarray]:
    """The blend's scores under its name, if there are any."""
    return {} if scores is None else {BLEND: scores}


def _condition(run: Run, name: str, oof: Scores, test: Scores) -> ConditionReport:
    folds = tuple(_fold(run, name, fold) for fold in range(run.recipe.data.folds))
    epoch = run.recipe.conditions[name].cv
    scores = [score for fold in folds if fold.state == "done" and (score := fold.lwlrap(epoch)) is not None]
    return ConditionReport(
        name=name,
        features=run.recipe.conditions[name].features.kind,
        folds=folds,
        cv_epoch=epoch,
        cv_lwlrap=float(np.mean(scores)) if len(scores) == len(folds) else None,
        published_cv_lwlrap=run.recipe.published.cv.get(name),
        oof_lwlrap=oof.lwlrap(name),
        interval=oof.interval(name),
        test_lwlrap=test.lwlrap(name),
        oof_metrics=oof.metrics(name),
        test_metrics=test.metrics(name),
    )


def _fold(run: Run, condition: str, fold: int) -> FoldReport:
    node = run.graph.nodes[run.graph.train[condition, fold]]
    history = [record["lwlrap"] for record in run.store.history(node)]
    return FoldReport(
        fold=fold,
        state=run.store.state(node).state,
        best_lwlrap=max(history, default=None),
        last_lwlrap=history[-1] if history else None,
    )


def _ensemble(run: Run, name: str, oof: Scores, test: Scores, leaky: bool) -> EnsembleReport:
    return EnsembleReport(
        name=name,
        predictions=run.recipe.ensemble_predictions(name),
        oof_lwlrap=oof.lwlrap(name),
        interval=oof.interval(name),
        published=run.recipe.published.ensembles.get(name),
        test_lwlrap=test.lwlrap(name),
        leaky=leaky,
    )


def _comparison(
    name: str, sides: Sequence[str], conditions: Sequence[ConditionReport], oof: Scores, test: Scores, *, leaky: bool
) -> ComparisonReport:
    before, after = sides
    cv = {condition.name: condition.cv_lwlrap for condition in conditions}
    first, second = cv.get(before), cv.get(after)
    oof_difference, interval = oof.difference(before, after)
    test_difference, test_interval = test.difference(before, after)
    return ComparisonReport(
        name=name,
        before=before,
        after=after,
        cv_difference=None if first is None or second is None else second - first,
        oof_difference=oof_difference,
        interval=interval,
        test_difference=test_difference,
        test_interval=test_interval,
        leaky=leaky,
    )


def write_reports(run: Run) -> Report:
    """Write `report.json` and, where the blend is done and there are test clips, the submission."""
    report = build_report(run)
    write_json(run.folder / "report.json", report.as_dict())
    if report.blend.weights and len(run.manifest.subset("test")):
        write_submission(run)
    return report
