"""The check itself is tests/trainers/test_weights.py's; this is when it is made and what it says."""

from pathlib import Path

import pytest
import torch

from features.errors import GridError
from orchestrator.grids.load import load_grid
from orchestrator.run.selection import prepare
from trainers.network import Tagger
from trainers.settings import ResNetSettings
from trainers.weights import save_snapshot

GRID = """
name: starts
data: {{folds: 2}}
features: {{mel: {{n_mels: 16, hop_samples: 1000}}}}
defaults: {{network: {{kind: resnet, depth: 10, width: 4, head_units: 8, statistics: true}}, crop: 16}}
conditions:
  fresh: {{}}
  started: {{network: {{width: {width}, init_from: {start}}}}}
"""


def test_weights_of_another_network_are_refused_before_anything_runs(small_data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    start, grid = tmp_path / "start.safetensors", tmp_path / "grid.yaml"
    save_snapshot(start, Tagger(ResNetSettings(depth=10, width=4, head_units=16), 3, noisy_head=False), {})
    grid.write_text(GRID.format(width=4, start=start), encoding="utf-8")
    prepare(load_grid(str(grid)), small_data, tmp_path / "run")
    grid.write_text(GRID.format(width=8, start=start), encoding="utf-8")
    with pytest.raises(
        GridError, match=r"^conditions\.started\.network\.init_from: .* is \(4, 1, 7, 7\), not \(8"
    ) as error:
        prepare(load_grid(str(grid)), small_data, tmp_path / "other")
    assert "use the kind, depth and width that the file was trained with" in str(error.value)
    assert not (tmp_path / "other" / "run.json").exists()
    recipe = load_grid(str(grid))
    start.unlink()
    prepare(recipe, small_data, tmp_path / "gone")
