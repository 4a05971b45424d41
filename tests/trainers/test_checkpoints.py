"""Progress on disk. `test_loop.py` kills and damages whole jobs."""

import json
import logging
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from features.errors import StoreError
from trainers.checkpoints import CHECKPOINT, PREVIOUS, Checkpoints, snapshot_path
from trainers.history import read_history
from trainers.weights import save_snapshot

STEPS, EPOCHS = 2, 2
"""Steps per epoch and epochs per cycle."""


def parts(seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(seed)
    network = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
    network(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return network, optimizer


def saved(folder: Path, step: int, seed: int = 0) -> Checkpoints:
    """A folder as a job leaves it after a step: epochs before it in the history, snapshots of whole cycles."""
    folder.mkdir(exist_ok=True)
    checkpoints = Checkpoints(folder, STEPS, EPOCHS)
    checkpoints.step = step
    checkpoints.history = [{"epoch": epoch + 1, "lwlrap": 0.1 * epoch} for epoch in range(step // STEPS)]
    network, optimizer = parts(seed)
    for cycle in range(1, checkpoints.epoch // EPOCHS + 1):
        save_snapshot(snapshot_path(folder, cycle), network, {"cycle": cycle})
    checkpoints.save(network, optimizer, {"curated": torch.tensor(float(step))})
    return checkpoints


def resumed(folder: Path, **earlier: float) -> tuple[Checkpoints, nn.Module, dict[str, Any]]:
    checkpoints = Checkpoints(folder, STEPS, EPOCHS)
    network, optimizer = parts(99)
    found = {folder.parent / name: most for name, most in earlier.items()}
    return checkpoints, network, checkpoints.resume(network, optimizer, found)


def test_a_job_continues_with_weights_steps_history_and_sums(tmp_path: Path) -> None:
    before = saved(tmp_path / "a", 7)
    assert (before.epoch, before.best) == (3, pytest.approx(0.2))
    after, network, sums = resumed(tmp_path / "a")
    assert (after.step, after.epoch, after.history) == (7, 3, before.history)
    assert torch.equal(network.weight, parts(0)[0].weight)  # type: ignore[arg-type]
    assert sums == {"curated": torch.tensor(7.0)}
    assert read_history(tmp_path / "a") == before.history


def test_an_empty_folder_starts_from_the_beginning(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    checkpoints, network, sums = resumed(tmp_path / "a")
    assert (checkpoints.step, checkpoints.history, checkpoints.best, sums) == (0, [], 0.0, {})
    assert torch.equal(network.weight, parts(99)[0].weight)  # type: ignore[arg-type]
    assert read_history(tmp_path / "a") == []


def test_the_checkpoint_before_is_kept_and_used_when_the_newest_is_damaged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saved(tmp_path / "a", 2)
    saved(tmp_path / "a", 3, seed=1)
    assert (tmp_path / "a" / PREVIOUS).exists()
    path = tmp_path / "a" / CHECKPOINT
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\1")
    with caplog.at_level(logging.WARNING):
        checkpoints, network, _ = resumed(tmp_path / "a")
    assert checkpoints.step == 2
    assert torch.equal(network.weight, parts(0)[0].weight)  # type: ignore[arg-type]
    assert "using an older checkpoint, or starting from the beginning" in caplog.text


def test_an_earlier_attempt_counts_up_to_the_step_where_it_was_the_same(tmp_path: Path) -> None:
    saved(tmp_path / "a", 1)
    saved(tmp_path / "far", 4, seed=1)
    assert resumed(tmp_path / "a", far=3.0)[0].step == 1
    checkpoints, network, _ = resumed(tmp_path / "a", far=math.inf)
    assert checkpoints.step == 4
    assert torch.equal(network.weight, parts(1)[0].weight)  # type: ignore[arg-type]
    assert snapshot_path(tmp_path / "a", 1).read_bytes() == snapshot_path(tmp_path / "far", 1).read_bytes()


def test_a_checkpoint_without_its_snapshots_is_passed_over(tmp_path: Path) -> None:
    saved(tmp_path / "a", 1)
    saved(tmp_path / "far", 4)
    snapshot_path(tmp_path / "far", 1).unlink()
    assert resumed(tmp_path / "a", far=math.inf)[0].step == 1


def test_a_checkpoint_of_another_network_is_an_error(tmp_path: Path) -> None:
    saved(tmp_path / "a", 1)
    other = nn.Linear(4, 2)
    with pytest.raises(StoreError, match="is a checkpoint of another network"):
        Checkpoints(tmp_path / "a", STEPS, EPOCHS).resume(other, torch.optim.Adam(other.parameters()), {})


def test_lines_of_the_history_are_those_of_the_checkpoint(tmp_path: Path) -> None:
    saved(tmp_path / "a", 4)
    (tmp_path / "a" / "history.jsonl").write_text(json.dumps({"epoch": 9, "lwlrap": 1.0}) + "\n")
    checkpoints, _, _ = resumed(tmp_path / "a")
    assert read_history(tmp_path / "a") == checkpoints.history
    assert len(checkpoints.history) == 2
