"""docs/cluster/sonogrid.sbatch on hosts: stopped before its time limit, requeued on other nodes, finished alike."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from features.files import sha256_file
from orchestrator.grids.load import load_grid
from orchestrator.launch import launch
from orchestrator.run.bound import Run
from orchestrator.run.selection import Selection, prepare
from tests.fixtures.harm import INLINE, QUIET
from tests.whole.cluster.hosts import require, why_not
from tests.whole.cluster.slurm import DATA, SHARED, Slurm

pytestmark = pytest.mark.cluster

GRID = """
name: queued
data: {folds: 2}
features: {mel: {n_mels: 32, hop_samples: 500}}
defaults:
  network: {kind: resnet, depth: 18, width: 16, head_units: 32}
  crop: 256
  batch_size: 2
  cycles: 2
  epochs: 20
  augment: {mixup: {}, gain: {}}
  predict: {pads: [2]}
conditions:
  plain: {}
blend: {trials: 2}
"""
PATIENCE_S = 1_800
"""The hosts share one machine, which may have other work."""


def wait_for(what: Callable[[], object], slurm: Slurm) -> None:
    until = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < until, slurm.log(7)[-5_000:]
        time.sleep(1)


def histories(run: Path) -> list[Path]:
    """Histories of trainings that have finished an epoch and not yet all."""
    found = [path for path in run.glob("store/train-*/attempt-*/history.jsonl") if path.read_text()]
    return [path for path in found if len(path.read_text().splitlines()) < 40]


def snapshots(run: Path) -> dict[str, str]:
    """Checksums of all snapshots and predictions."""
    opened = Run.open(run)
    return {
        f"{node.name}/{file}": sha256_file(opened.store.results(node) / file)
        for node in opened.graph.nodes.values()
        if node.kind in ("train", "predict")
        for file in opened.store.done(node).files
        if not file.endswith(".jsonl")
    }


def test_a_grid_goes_on_after_a_requeue(tmp_path: Path, small_data: Path) -> None:
    require(why_not())
    with Slurm(tmp_path, small_data, nodes=3) as slurm:
        (slurm.shared / "queued.yaml").write_text(GRID)
        arguments = f"{SHARED}/queued.yaml --data {DATA} --out {SHARED}/run"
        run = slurm.shared / "run"
        first, second, third = slurm.nodes
        job = slurm.start(7, [first, second], arguments)
        wait_for(lambda: histories(run), slurm)
        slurm.signal(first, "USR1")
        assert job.wait(PATIENCE_S) != 0
        assert slurm.requeued == 1, slurm.log(7)[-5_000:]
        assert "Ray has 2 of 2 nodes" in slurm.log(7)
        assert "stopping at the next step" in slurm.log(7)
        begun = [len(path.read_text().splitlines()) for path in histories(run)]
        assert begun, "it was stopped in the middle"
        job = slurm.start(7, [third, second], arguments)
        assert job.wait(PATIENCE_S) == 0, slurm.log(7)[-5_000:]
        assert slurm.requeued == 1
    (tmp_path / "queued.yaml").write_text(GRID)
    alone = prepare(load_grid(str(tmp_path / "queued.yaml")), small_data, tmp_path / "alone")
    assert launch(alone, INLINE, Selection(), QUIET).ok
    assert snapshots(tmp_path / "alone") == snapshots(run)
