"""The work of each kind of node, as a real grid makes it."""

import pickle
from pathlib import Path
from typing import get_args

import pytest

from orchestrator.grids.load import load_grid
from orchestrator.jobs import JobSpec
from orchestrator.jobs.blend import BlendSpec
from orchestrator.jobs.execution import JobExecution
from orchestrator.jobs.predict import PredictSpec
from orchestrator.jobs.pseudo import PseudoSpec
from orchestrator.jobs.registry import KINDS
from orchestrator.jobs.shard import ShardSpec
from orchestrator.jobs.train import TrainSpec
from orchestrator.run.bound import Run
from orchestrator.run.selection import prepare
from orchestrator.store.node import Kind
from trainers.settings import PredictSettings


@pytest.fixture
def run(small_data: Path, tiny_grid: Path, tmp_path: Path) -> Run:
    return prepare(load_grid(str(tiny_grid)), small_data, tmp_path / "run")


def claimed(run: Run, name: str) -> JobSpec:
    node = next(node for node in run.graph.nodes.values() if node.name == name)
    return run.claim(node, JobExecution(gpus=1.0, workers=2, checkpoint_steps=3))


def test_there_is_one_file_for_each_kind() -> None:
    assert tuple(KINDS) == get_args(Kind)
    assert [work.__module__ for work in KINDS.values()] == [f"orchestrator.jobs.{kind}" for kind in KINDS]


def test_a_claim_takes_a_new_attempt_and_says_what_to_read(run: Run) -> None:
    first, second = claimed(run, "train-B-0"), claimed(run, "train-B-0")
    assert (first.attempt, second.attempt) == (1, 2)
    claim = run.store.latest_claim(first.node)
    assert claim is not None
    assert (claim.attempt, claim.run_id) == (2, run.identity)
    assert first.inputs.keys() == first.input_signatures.keys() == {"curated", "noisy", "init", "pseudo"}
    assert first.inputs["init"][0].startswith("train-plain-0-")
    assert first.execution == JobExecution(gpus=1.0, workers=2, checkpoint_steps=3)
    assert first.manifest == run.manifest_name


def test_work_holds_what_its_kind_needs(run: Run) -> None:
    shard = claimed(run, "shard-mel-curated-0000").work
    assert isinstance(shard, ShardSpec)
    assert shard.plan.subset == "curated"
    assert shard.features == run.recipe.conditions["A"].features
    assert shard.data_root == run.data_root
    train = claimed(run, "train-B-1").work
    assert train == TrainSpec(run.recipe.conditions["B"], (1,))
    predict = claimed(run, "predict-A-0").work
    a = run.recipe.conditions["A"]
    assert predict == PredictSpec(a, a.predict, ("curated", "test"), (0,), labels_seen=(1,))
    noisy = claimed(run, "predict-noisy-A-0").work
    assert noisy == PredictSpec(a, PredictSettings(pads=(0,)), ("noisy",), (0,), labels_seen=(1,))
    pseudo = next(node.name for node in run.graph.nodes.values() if node.kind == "pseudo")
    assert isinstance(claimed(run, pseudo).work, PseudoSpec)
    blend = claimed(run, "blend").work
    assert isinstance(blend, BlendSpec)
    assert blend.settings.trials == 5
    assert blend.paper_weights == {"A": 3, "B": 4, "D": 1}


def test_specs_travel(run: Run) -> None:
    for node in list(run.graph.nodes.values()):
        spec = run.claim(node, JobExecution())
        assert pickle.loads(pickle.dumps(spec)) == spec  # noqa: S301 - as Ray does it
