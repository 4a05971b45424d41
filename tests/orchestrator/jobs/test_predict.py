from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import trainers.predict
from features.errors import JobError, StoreError
from orchestrator.blending.predictions import Predictions
from orchestrator.jobs.execution import JobExecution
from orchestrator.jobs.inputs import Inputs
from orchestrator.jobs.predict import PredictSpec, load_networks
from orchestrator.jobs.spec import JobSpec
from orchestrator.launch import resume
from orchestrator.report.scores import mean_predictions
from orchestrator.run.bound import Run
from orchestrator.store.results import PredictResult
from orchestrator.tagger.tagger import Tagger as RunTagger
from tests.fixtures.harm import INLINE, QUIET
from trainers.checkpoints import snapshot_path
from trainers.network import Tagger
from trainers.settings import PooledSettings
from trainers.weights import save_snapshot


def test_networks_are_one_per_snapshot(inline_run: Run) -> None:
    folder = inline_run.store.results(inline_run.graph.nodes[inline_run.graph.train["A", 0]])
    condition = inline_run.recipe.conditions["A"]
    networks = load_networks(folder, condition, 6, torch.device("cpu"), soup=False)
    assert len(networks) == 2
    first, second = (next(network.parameters()) for network in networks)
    assert not torch.equal(first, second)
    *snapshots, mean = load_networks(folder, condition, 6, torch.device("cpu"), soup=True)
    assert len(snapshots) == 2
    torch.testing.assert_close(next(mean.parameters()), (first + second) / 2)
    kernels = [weight for network in (*snapshots, mean) for weight in network.parameters() if weight.dim() == 4]
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels), "as in training"


def test_a_soup_is_a_member_that_a_tagger_uses(copy: Run) -> None:
    """With the scores that the run's own job computed; a teacher's labels stay those of its snapshots."""
    assert resume(copy.folder, INLINE, QUIET, changes=("conditions.A.predict.soup=true",)).ok
    run = Run.open(copy.folder)
    assert run.graph.train == copy.graph.train
    assert run.graph.taught == copy.graph.taught
    found = mean_predictions(run)["A"]
    assert {member.cycle for member in found.members} == {1, 2, 3}
    clips = [run.data_root / path for path in run.manifest.subset("test")["path"]]
    np.testing.assert_allclose(RunTagger.load(run.folder, condition="A").scores(clips), found.test, atol=2e-6)


def test_a_prediction_has_every_axis_and_lists_it(inline_run: Run) -> None:
    node = inline_run.graph.nodes[inline_run.graph.predict["A", 1]]
    assert PredictResult.of(inline_run.store.done(node)) == PredictResult(2, ("curated", "noisy"), (2, 4), (0,))
    predictions = Predictions.open(inline_run.store.results(node), inline_run.manifest, (1,))
    for subset in ("curated", "test"):
        scores = predictions.read(subset)  # type: ignore[arg-type]
        assert scores.dtype == np.float32
        assert scores.shape[:3] == (2, 2, 2)
        assert np.isfinite(scores).all()
    with pytest.raises(StoreError, match=r"noisy\.npy is missing"):
        predictions.read("noisy")


def test_a_teacher_predicts_the_noisy_clips_at_their_own_pads(inline_run: Run) -> None:
    ((_, signature),) = {jobs for key, jobs in inline_run.graph.taught.items() if key[:2] == ("A", (1,))}
    node = inline_run.graph.nodes[signature]
    assert PredictResult.of(inline_run.store.done(node)) == PredictResult(2, ("curated",), (0,), (0,))
    folder = inline_run.store.results(node)
    assert sorted(path.name for path in folder.glob("*.npy")) == ["noisy.npy"]
    scores = Predictions.open(folder, inline_run.manifest).read("noisy")
    assert scores.shape == (2, 1, 1, len(inline_run.manifest.subset("noisy")), 6)


def test_networks_have_the_weights_of_their_snapshots(inline_run: Run, tmp_path: Path) -> None:
    condition = inline_run.recipe.conditions["A"]
    features = condition.features.model_copy(update={"n_mels": 20})
    train = condition.train.model_copy(update={"network": PooledSettings(), "multitask": True, "cycles": 2})
    condition = condition.model_copy(update={"features": features, "train": train})
    saved = [Tagger(PooledSettings(), 3, noisy_head=True, bands=20) for _ in range(2)]
    for cycle, network in enumerate(saved, 1):
        for weights in network.parameters():
            torch.nn.init.uniform_(weights)
        save_snapshot(snapshot_path(tmp_path, cycle), network, {})
    for network, found in zip(
        saved, load_networks(tmp_path, condition, 3, torch.device("cpu"), soup=False), strict=True
    ):
        for name, weights in network.state_dict().items():
            torch.testing.assert_close(found.state_dict()[name], weights, rtol=0, atol=0)


@dataclass
class Folder:
    """Stands in for an attempt."""

    folder: Path
    beats: int = 0

    def progress(self) -> None:
        self.beats += 1


def job_of(run: Run, **form: Any) -> tuple[PredictSpec, JobSpec, Inputs]:
    """The prediction job of condition A, fold 1, which reads clips in another way, and repeats short ones."""
    spec = run.claim(run.graph.nodes[run.graph.predict["A", 1]], JobExecution())
    assert isinstance(spec.work, PredictSpec)
    condition = spec.work.condition
    train = condition.train.model_copy(update={"padding": "repeat"})
    work = replace(
        spec.work,
        condition=condition.model_copy(update={"train": train}),
        form=spec.work.form.model_copy(update={"part": "crops", "crops": 2, **form}),
    )
    return work, spec, Inputs(spec.manifest, spec.inputs, run.store)


def test_clips_are_predicted_as_the_condition_says(copy: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, given = list[dict[str, Any]](), list[np.ndarray]()
    real = trainers.predict.predict

    def predict(*arguments: Any, **more: Any) -> np.ndarray:
        asked.append({"pads": arguments[3], **more})
        given.append(real(*arguments, **more))
        return given[-1]

    monkeypatch.setattr(trainers.predict, "predict", predict)
    work, spec, inputs = job_of(copy)
    attempt = Folder(tmp_path)
    work.do(spec, inputs, attempt)  # type: ignore[arg-type]
    assert work.subsets == ("curated", "test")
    for call in asked:
        assert (call["pads"], call["heads"], call["padding"]) == ((2, 4), ("curated", "noisy"), "repeat")
        assert (call["read"], call["crop"]) == (work.form, work.condition.train.crops[-1])
    assert attempt.beats > 0
    for subset, scores in zip(work.subsets, given, strict=True):
        np.testing.assert_array_equal(np.load(tmp_path / f"{subset}.npy"), scores)
        assert scores.any()


def test_of_no_clips_there_are_no_scores(copy: Run, tmp_path: Path) -> None:
    work, spec, inputs = job_of(copy)
    without = replace(copy.manifest, clips=copy.manifest.clips[copy.manifest.clips["subset"] != "test"])
    vars(inputs)["manifest"] = without
    work.do(spec, inputs, Folder(tmp_path))  # type: ignore[arg-type]
    scores = np.load(tmp_path / "test.npy")
    assert (scores.shape, scores.dtype) == ((2, 2, 2, 0, 6), np.float32)


def test_a_score_that_is_no_number_is_an_error(copy: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = trainers.predict.predict
    monkeypatch.setattr(trainers.predict, "predict", lambda *a, **k: real(*a, **k) * np.float32("nan"))
    work, spec, inputs = job_of(copy)
    with pytest.raises(JobError, match="predict-A-1: a score of the curated clips is not finite"):
        work.do(spec, inputs, Folder(tmp_path))  # type: ignore[arg-type]
    assert not list(tmp_path.glob("*.npy"))
