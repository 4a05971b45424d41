"""A report by hand, for the words and tables made from it."""

import pytest

from orchestrator.grids.ensembles import Member
from orchestrator.report import types


@pytest.fixture
def made() -> types.Report:
    """Two conditions, of which B is leaky; a step, a blend and test scores."""
    folds = (types.FoldReport(0, "done", 0.8, 0.7), types.FoldReport(1, "failed", None, None))
    gain = types.Gain(0.05, (0.01, 0.09))
    conditions = tuple(
        types.ConditionReport(name, "mel", folds, "best", 0.84, paper, 0.7, (0.6, 0.8), 0.72, over_best=over)
        for name, paper, over in (("=A", 0.85, None), ("B", None, gain))
    )
    blend = types.BlendReport(
        members=(Member("B", 1, "curated", 2),), weights=(1.0,), predictions=2, oof_lwlrap=0.8, oof_lwlrap_nested=0.75,
        uniform_oof_lwlrap=0.7, greedy_oof_lwlrap=0.81, over_best=gain, interval=(0.7, 0.8), test_interval=(0.6, 0.9),
    )  # fmt: skip
    step = types.ComparisonReport("noisy clips", "=A", "B", None, 0.05, (-0.01, 0.1), None, None, leaky=True)
    details = types.Details(
        "blend",
        (types.ClassReport("Bark", 9, 0, 0.7, (0.5, 0.9), 0.6, None),
         types.ClassReport("Rain", 0, 1, None, None, None, None)),
        (types.Confusion("Bark", "Rain", 3, 9),),
        (types.WorstClip("x.wav", ("Bark",), "Rain", 0.4, 0.5),),
    )  # fmt: skip
    return types.Report(
        "tiny", True, conditions, blend, (), (step,), types.TestScores(0.78, None, 0.77), leaky=("B",),
        skipped=("y.wav is silent",), best="=A", chance=0.3, warnings=("look here",), leaky_on_test=("B",),
        details=details,
    )  # fmt: skip
