"""The report of a real run."""

from pathlib import Path

import numpy as np
import pytest

from features.files import read_json, write_json
from orchestrator.grids.load import load_grid
from orchestrator.report.build import build_report, write_reports
from orchestrator.report.types import Gain
from orchestrator.run.bound import Run
from orchestrator.store.marks import DoneMark


def test_a_finished_run_has_all_scores(inline_run: Run) -> None:
    report = build_report(inline_run)
    assert report.complete
    assert report.grid == "tiny"
    assert [condition.name for condition in report.conditions] == ["plain", "A", "B", "D"]
    for condition in report.conditions:
        best = [fold.best_lwlrap for fold in condition.folds if fold.best_lwlrap is not None]
        assert condition.cv_lwlrap == pytest.approx(np.mean(best))
        assert condition.oof_lwlrap is not None
        assert condition.interval is not None
        assert condition.interval[0] <= condition.oof_lwlrap <= condition.interval[1]
    assert report.blend.predictions == 2 * np.count_nonzero(report.blend.weights)
    assert report.linear is None
    assert report.best == max(report.conditions, key=lambda one: one.oof_lwlrap or 0).name
    assert report.blend.over_best is not None
    best = next(one for one in report.conditions if one.name == report.best)
    assert report.blend.oof_lwlrap_nested is not None
    assert best.oof_lwlrap is not None
    gain = report.blend.oof_lwlrap_nested - best.oof_lwlrap
    assert report.blend.over_best.oof_difference == pytest.approx(gain, abs=1e-6)
    assert any(one.startswith("the blend is not better") for one in report.warnings) == (gain <= 0)
    assert report.chance is not None
    worst = [one.oof_lwlrap for one in report.below_chance]
    assert all(score < report.chance for score in worst)
    step, nothing = report.comparisons
    assert (step.before, step.after) == ("A-all", "A+D")
    assert nothing.oof_difference == 0


def test_cv_is_of_the_epoch_that_the_grid_names(inline_run: Run, tiny_grid: Path) -> None:
    changes = ["conditions.plain.cv=last", "conditions.A.cv=best", "comparisons={step: [plain, A], other: [A, A-all]}"]
    recipe = load_grid(str(tiny_grid), changes)
    run = Run(inline_run.folder, recipe, inline_run.data_root, inline_run.store, inline_run.manifest)
    assert run.graph.nodes.keys() == inline_run.graph.nodes.keys(), "it changes no work"
    report = build_report(run)
    plain, a = report.conditions[:2]
    assert (plain.cv_epoch, a.cv_epoch) == ("last", "best")
    assert plain.cv_lwlrap == pytest.approx(np.mean([fold.last_lwlrap for fold in plain.folds]))  # type: ignore[arg-type]
    assert a.cv_lwlrap == pytest.approx(np.mean([fold.best_lwlrap for fold in a.folds]))  # type: ignore[arg-type]
    step, other = report.comparisons
    assert plain.cv_lwlrap is not None
    assert a.cv_lwlrap is not None
    assert step.cv_difference == pytest.approx(a.cv_lwlrap - plain.cv_lwlrap)
    assert other.cv_difference is None, "an ensemble has no epochs"


def test_an_unfinished_condition_has_no_cv_and_no_oof_score(copy: Run) -> None:
    copy.store.forget(copy.graph.nodes[copy.graph.train["D", 1]])
    copy.store.forget(copy.graph.nodes[copy.graph.predict["D", 1]])
    report = build_report(copy)
    assert not report.complete
    d = report.conditions[3]
    assert (d.cv_lwlrap, d.oof_lwlrap, d.interval) == (None, None, None)
    assert d.folds[1].state == "damaged", "it is computed again"
    assert report.ensembles[1].oof_lwlrap is None, "A+D waits for D"
    assert report.conditions[1].oof_lwlrap is not None


def test_what_descends_from_labels_of_all_folds_is_leaky(inline_run: Run, tiny_grid: Path) -> None:
    recipe = load_grid(str(tiny_grid), ["conditions.B.pseudo.folds=all", "conditions.plain.init_from=null"])
    run = Run(inline_run.folder, recipe, inline_run.data_root, inline_run.store, inline_run.manifest)
    report = build_report(run)
    assert report.leaky == ("B", "blend")
    assert not any(ensemble.leaky for ensemble in report.ensembles)


def test_the_reports_are_written_to_the_run(copy: Run) -> None:
    for name in ("report.json", "submission.csv"):
        (copy.folder / name).unlink(missing_ok=True)
    write_reports(copy)
    assert read_json(copy.folder / "report.json") == build_report(copy).as_dict()
    assert (copy.folder / "submission.csv").exists()


def test_a_pooled_condition_is_the_one_to_beat(inline_run: Run, tiny_grid: Path) -> None:
    recipe = load_grid(str(tiny_grid), ["conditions.simple={network: {kind: pooled}}"])
    run = Run(inline_run.folder, recipe, inline_run.data_root, inline_run.store, inline_run.manifest)
    report = build_report(run)
    assert report.linear == "simple"
    assert report.conditions[0].over_linear == Gain(), "it is not trained"


def test_a_blend_of_an_earlier_version_has_no_gain_out_of_fold(copy: Run) -> None:
    assert copy.graph.blend is not None
    folder = copy.store.results(copy.graph.nodes[copy.graph.blend])
    (folder / "nested.npy").unlink()
    for path in (folder / DoneMark.FILE, folder.parent / DoneMark.FILE):
        if path.exists():
            mark = read_json(path)
            del mark["files"]["nested.npy"]
            write_json(path, mark)
    report = build_report(Run.open(copy.folder))
    assert report.blend.oof_lwlrap_nested is not None
    assert report.blend.over_best is not None
    assert report.blend.over_best.oof_difference is None
