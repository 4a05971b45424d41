"""The JSON form of the report (docs/design.md, Report)."""

import json

from orchestrator.blending.result import Blend, BlendResult
from orchestrator.grids.ensembles import Member
from orchestrator.report import types
from trainers.metrics import Metrics

NO_METRICS = {"mean_average_precision": None, "roc_auc": None, "accuracy": None}
FOLDS = (types.FoldReport(0, "done", 0.8, 0.7), types.FoldReport(1, "new", None, None))
CONDITION = types.ConditionReport(
    name="A", features="mel", folds=FOLDS, cv_epoch="best", cv_lwlrap=None, published_cv_lwlrap=0.84, oof_lwlrap=0.7,
    interval=(0.6, 0.8), test_lwlrap=None, over_best=types.Gain(0.1, (0.0, 0.2)), oof_metrics=Metrics(0.6, 0.8),
)  # fmt: skip
ENSEMBLE = types.EnsembleReport(
    name="A+D", predictions=6, oof_lwlrap=0.9, interval=(0.8, 0.95), published=0.89, test_lwlrap=0.91, leaky=True
)
COMPARISON = types.ComparisonReport(
    name="step", before="A", after="A+D", cv_difference=None, oof_difference=0.2, interval=(0.1, 0.3),
    test_difference=None, test_interval=None, leaky=True,
)  # fmt: skip


def report(blend: types.BlendReport, test: types.TestScores | None) -> types.Report:
    return types.Report(
        "tiny", False, (CONDITION,), blend, (ENSEMBLE,), (COMPARISON,), test, ("A",), ("x is silent",), None, "A", 0.3,
        (types.MemberScore(Member("A", 1, "curated", 2), 0.1),),
        left_out=("Bark",), warnings=("a sentence",),
    )  # fmt: skip


def test_an_unfinished_report_has_all_keys_and_nulls() -> None:
    value = report(types.BlendReport(), None).as_dict()
    assert json.loads(json.dumps(value)) == value, "lists, not tuples"
    assert value == {
        "grid": "tiny",
        "complete": False,
        "conditions": [
            {
                "name": "A",
                "features": "mel",
                "folds": [
                    {"fold": 0, "state": "done", "best_lwlrap": 0.8, "last_lwlrap": 0.7},
                    {"fold": 1, "state": "new", "best_lwlrap": None, "last_lwlrap": None},
                ],
                "cv_epoch": "best",
                "cv_lwlrap": None,
                "published_cv_lwlrap": 0.84,
                "oof_lwlrap": 0.7,
                "interval": [0.6, 0.8],
                "test_lwlrap": None,
                "over_linear": None,
                "over_best": {
                    "oof_difference": 0.1,
                    "interval": [0.0, 0.2],
                    "test_difference": None,
                    "test_interval": None,
                },
                "oof_metrics": {"mean_average_precision": 0.6, "roc_auc": 0.8, "accuracy": None},
                "test_metrics": NO_METRICS,
            }
        ],
        "blend": {
            "members": [],
            "weights": [],
            "predictions": None,
            "oof_lwlrap": None,
            "oof_lwlrap_nested": None,
            "uniform_oof_lwlrap": None,
            "paper_oof_lwlrap": None,
            "greedy_oof_lwlrap": None,
            "over_linear": None,
            "over_best": None,
            "nested_metrics": NO_METRICS,
            "test_metrics": NO_METRICS,
            "interval": None,
            "test_interval": None,
        },
        "ensembles": [
            {
                "name": "A+D",
                "predictions": 6,
                "oof_lwlrap": 0.9,
                "interval": [0.8, 0.95],
                "published": 0.89,
                "test_lwlrap": 0.91,
                "leaky": True,
            }
        ],
        "comparisons": [
            {
                "name": "step",
                "from": "A",
                "to": "A+D",
                "cv_difference": None,
                "oof_difference": 0.2,
                "interval": [0.1, 0.3],
                "test_difference": None,
                "test_interval": None,
                "leaky": True,
            }
        ],
        "test": None,
        "leaky": ["A"],
        "skipped": ["x is silent"],
        "linear": None,
        "best": "A",
        "chance": 0.3,
        "below_chance": [{"member": {"condition": "A", "cycle": 1, "head": "curated", "pad": 2}, "oof_lwlrap": 0.1}],
        "outside": [],
        "left_out": ["Bark"],
        "warnings": ["a sentence"],
        "leaky_on_test": [],
        "details": None,
        "students": [],
    }


def test_a_finished_blend_is_reported_with_its_members() -> None:
    blend = Blend((Member("A", 1, "curated", 2),), BlendResult((1.0,), 0.9, 0.85, 0.8, None, 0.88, 2))
    value = report(types.BlendReport.of(blend), types.TestScores(0.9, None, 0.8)).as_dict()
    assert value["blend"] == {
        "members": [{"condition": "A", "cycle": 1, "head": "curated", "pad": 2}],
        "weights": [1.0],
        "predictions": 2,
        "oof_lwlrap": 0.9,
        "oof_lwlrap_nested": 0.85,
        "uniform_oof_lwlrap": 0.8,
        "paper_oof_lwlrap": None,
        "greedy_oof_lwlrap": 0.88,
        "over_linear": None,
        "over_best": None,
        "nested_metrics": NO_METRICS,
        "test_metrics": NO_METRICS,
        "interval": None,
        "test_interval": None,
    }
    assert value["test"] == {"lwlrap": 0.9, "public": None, "private": 0.8}


def test_scores_of_labels_are_flat() -> None:
    scores = types.LabelScores(
        0.9,
        None,
        None,
        {"A": 0.8},
        {"A+D": None},
        {"Bark": 0.7},
        {"Bark": 3},
        Metrics(0.6),
        {"A": Metrics()},
        ("Meow",),
    )
    assert scores.as_dict() == {
        "lwlrap": 0.9, "public": None, "private": None, "conditions": {"A": 0.8}, "ensembles": {"A+D": None},
        "classes": {"Bark": 0.7}, "pairs": {"Bark": 3},
        "metrics": {"mean_average_precision": 0.6, "roc_auc": None, "accuracy": None},
        "condition_metrics": {"A": NO_METRICS}, "left_out": ["Meow"],
    }  # fmt: skip


def test_scores_for_mlflow_are_named_like_the_fields() -> None:
    scores = CONDITION.scores()
    assert (scores["cv_lwlrap"], scores["oof_lwlrap"], scores["test_lwlrap"]) == (None, 0.7, None)
    assert {name for name in scores if name.startswith(("gain_", "oof_lwlrap_"))} == {
        "oof_lwlrap_low", "oof_lwlrap_high", "gain_over_linear", "gain_over_best"
    }  # fmt: skip
    assert ENSEMBLE.scores() == {"oof_lwlrap": 0.9, "test_lwlrap": 0.91}
    assert set(types.BlendReport().scores()) == {
        "oof_lwlrap", "oof_lwlrap_nested", "uniform_oof_lwlrap", "paper_oof_lwlrap", "greedy_oof_lwlrap",
    }  # fmt: skip
