"""Which members a tagger has; their scores are those of the run."""

import numpy as np
import pytest
import torch

from features.errors import InputError, StoreError
from orchestrator.blending.result import Blend
from orchestrator.report.scores import mean_predictions, nested_blend
from orchestrator.run.bound import Run
from orchestrator.store.marks import DoneMark
from orchestrator.tagger.calibration import fit_calibration
from orchestrator.tagger.members import calibrate, load_conditions, member_weights
from orchestrator.tagger.tagger import Tagger


def test_the_blend_or_its_strongest_members(inline_run: Run) -> None:
    assert inline_run.graph.blend is not None
    blend = Blend.read(inline_run.store.results(inline_run.graph.nodes[inline_run.graph.blend]))
    assert member_weights(inline_run) == dict(blend.weighted())
    (strongest,) = member_weights(inline_run, members=1).items()
    assert strongest == (max(blend.weighted(), key=lambda pair: pair[1])[0], 1.0)
    everything = member_weights(inline_run, members=10**6)
    assert sum(everything.values()) == pytest.approx(1)
    conditions = load_conditions(inline_run, member_weights(inline_run, members=1), torch.device("cpu"))
    assert [condition.weights.size for condition in conditions] == [np.prod(conditions[0].weights.shape)]


@pytest.mark.parametrize("condition", ["plain", "A", "D"])
def test_a_condition_scores_as_the_mean_of_its_members(condition: str, inline_run: Run) -> None:
    paths = [inline_run.data_root / path for path in inline_run.manifest.subset("test")["path"]]
    scores = Tagger.load(inline_run.folder, condition=condition).scores(paths)
    np.testing.assert_allclose(scores, mean_predictions(inline_run)[condition].test, atol=2e-6)


def test_a_condition_needs_no_blend_but_its_trainings(copy: Run) -> None:
    assert copy.graph.blend is not None
    copy.store.drop_marks(copy.store.name(copy.graph.nodes[copy.graph.blend]), DoneMark)
    assert member_weights(copy, "plain")
    with pytest.raises(StoreError, match="the blend is not done yet"):
        member_weights(copy)
    copy.store.drop_marks(copy.store.name(copy.graph.nodes[copy.graph.train["plain", 0]]), DoneMark)
    with pytest.raises(StoreError, match="plain is not trained yet"):
        load_conditions(copy, member_weights(copy, "plain"), torch.device("cpu"))


@pytest.mark.parametrize(
    ("condition", "members", "sentence"),
    [
        ("Z", None, "there is no condition 'Z': there are plain, A, B, D"),
        ("A", 2, "condition and members exclude each other"),
        (None, 0, "members is 0: a tagger needs at least one"),
    ],
)
def test_members_that_are_not_there(condition: str | None, members: int | None, sentence: str, inline_run: Run) -> None:
    with pytest.raises(InputError, match=sentence):
        member_weights(inline_run, condition, members)


def test_scores_are_calibrated_on_clips_that_their_networks_did_not_see(inline_run: Run) -> None:
    truth = inline_run.manifest.targets("curated") > 0
    folds = inline_run.manifest.subset("curated")["fold"].to_numpy()
    nested = nested_blend(inline_run)
    assert nested is not None
    for found, scores in (
        (calibrate(inline_run, member_weights(inline_run), whole=True), nested),
        (calibrate(inline_run, member_weights(inline_run, "A"), whole=False), mean_predictions(inline_run)["A"].oof),
    ):
        np.testing.assert_allclose(found.thresholds, fit_calibration(truth, scores, folds).thresholds, atol=1e-6)


def test_a_calibration_needs_predictions(copy: Run) -> None:
    copy.store.drop_marks(copy.store.name(copy.graph.nodes[copy.graph.predict["plain", 0]]), DoneMark)
    with pytest.raises(StoreError, match="plain is not predicted yet; finish it with"):
        calibrate(copy, member_weights(copy, "plain"), whole=False)
