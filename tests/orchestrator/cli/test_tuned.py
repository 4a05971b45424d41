"""What `sonogrid tune` prints."""

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator.blending.bagging import Mixture
from orchestrator.blending.continued import Continued
from orchestrator.blending.result import Blend, BlendResult
from orchestrator.cli.tuned import print_tuned
from orchestrator.grids.ensembles import Member
from orchestrator.studies.record import Tried
from orchestrator.tune import TunedAgain

MEMBERS = (Member("A", 1, "curated", 8), Member("B", 2, "noisy", 0))
RESULT = BlendResult((0.25, 0.75), 0.81, 0.78, 0.7, None, 0.79, predictions=4)
STUDY = Continued(
    "tiny blend 1 all folds", 50, 160, Tried({}, 0.7471, {}), {"uniform": 0.7, "default": 0.7465}, Mixture(), False
)
TUNED = TunedAgain(Blend(MEMBERS, RESULT), False, (STUDY,), False, None, "RUN/optuna.journal")


def printed(tuned: TunedAgain) -> list[str]:
    text = StringIO()
    print_tuned(tuned, Path("RUN"), Console(file=text, width=160))
    return text.getvalue().splitlines()


def test_what_the_search_bought_comes_first() -> None:
    lines = printed(TUNED)
    assert lines[:4] == [
        "best of 160 trials: lwlrap 0.7471 on clips not tuned on",
        "  baselines: default 0.7465, uniform 0.7000",
        "  the search found 0.0006 more than the best baseline",
        "nothing is better by three standard errors: the blend and its files stay as they are",
    ]
    assert lines[4:7] == ["weights:", "   0.750  B cycle 2 noisy head pad 0", "   0.250  A cycle 1 curated head pad 8"]
    assert lines[7:9] == [
        "lwlrap out of fold:", "  0.7800  each fold by weights tuned without it (the score to report)",
    ]  # fmt: skip
    assert lines[-2:] == ["predictions: 4", "trials: RUN/optuna.journal; sonogrid ui RUN shows them"]


@pytest.mark.parametrize(
    ("tuned", "sentence"),
    [
        (replace(TUNED, changed=True), "the blend has new weights; the report and submission.csv are written again"),
        (replace(TUNED, budget=8), "predictions: 4 (at most 8)"),
        (replace(TUNED, leaky=True), "lwlrap out of fold (leaky):"),
        (
            replace(TUNED, studies=(replace(STUDY, best=Tried({}, 0.7465, {})),)),
            "  the search found no more than the best baseline",
        ),
    ],
)
def test_what_is_particular_is_said(tuned: TunedAgain, sentence: str) -> None:
    assert sentence in printed(tuned)
    assert sentence not in printed(TUNED)


def test_without_a_search_there_are_weights_alone() -> None:
    assert printed(replace(TUNED, studies=()))[0] == "weights:"
