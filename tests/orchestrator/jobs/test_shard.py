"""One shard, computed without a store; whole grids run it in tests/whole/test_inline_run.py."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from features.manifest import build_manifest
from features.settings import DataSettings
from orchestrator.grids.load import parse_grid
from orchestrator.jobs.shard import ShardSpec
from orchestrator.jobs.spec import Binding
from orchestrator.planning.graph import build_graph

ROW = {"network": {"kind": "resnet", "depth": 10, "width": 8}, "crop": 16}
ROWS = {
    "coarse": {**ROW, "features": {"n_mels": 16, "hop_samples": 1000}},
    "fine": {**ROW, "features": {"n_mels": 24, "hop_samples": 1000}},
}


def test_a_shard_has_the_features_of_its_node(small_data: Path, tmp_path: Path) -> None:
    recipe = parse_grid({"name": "t", "data": {"folds": 2}, "conditions": ROWS}, "test")
    manifest = build_manifest(small_data, DataSettings(folds=2))
    binding = Binding(recipe, small_data, lambda signature: signature, lambda signature: ())
    shards = [node for node in build_graph(recipe, manifest).nodes.values() if node.kind == "shard"]
    works = [ShardSpec.of(node, binding) for node in shards]
    assert {work.features for work in works} == {condition.features for condition in recipe.conditions.values()}
    for node, work in zip(shards, works, strict=True):
        assert work.features.signed() == node.payload["features"]
        assert (work.plan, work.data_root) == (node.shard, small_data)
    work = next(work for work in works if work.plan.subset == "test")
    progress: list[None] = []
    nothing: Any = None
    attempt: Any = SimpleNamespace(folder=tmp_path, store=None, progress=lambda: progress.append(None))
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        result = work.do(nothing, nothing, attempt)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    clips = manifest.subset("test")
    assert result["clips"] == len(progress) == len(clips)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.npy", "index.parquet"]
    assert np.load(tmp_path / "data.npy").shape == (work.plan.n_rows, 16)
