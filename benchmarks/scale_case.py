"""A grid of some 10,000 nodes whose work is all done, on disk as a run leaves it but for the size of its results."""

import hashlib
import json
from pathlib import Path

from features.assumed import assumed_manifest
from orchestrator.graph import Node
from orchestrator.recipe import Recipe
from orchestrator.run import Run
from orchestrator.store import Store

__all__ = ["GROUPS", "fill", "write_grid"]

GROUPS = 222
"""Of four conditions each: 45 nodes a group, 9,990 of them, and 49 shards and a blend."""
HEAD = """
name: many
data: {folds: 5}
defaults: {network: {kind: resnet, depth: 18, width: 32, head_units: 1024}, crop: 256, cycles: 3, epochs: 32}
conditions:"""
GROUP = """
  plain-{i}: {{lr_max: {lr}}}
  mtl-{i}: {{lr_max: {lr}, multitask: true}}
  start-{i}: {{lr_max: {lr}, multitask: true, init_from: plain-{i}}}
  spl-{i}: {{lr_max: {lr}, multitask: true, init_from: plain-{i}, pseudo: {{teacher: mtl-{i}, folds: same}}}}
"""


def write_grid(path: Path, groups: int = GROUPS) -> None:
    """A sweep of learning rates over four conditions, with warm starts and soft labels, as a grid file."""
    rows = (GROUP.format(i=index, lr=f"{1e-3 * (1 + index / groups):.6f}") for index in range(groups))
    path.write_text(HEAD + "".join(rows))


def fill(folder: Path, recipe: Recipe) -> Run:
    """A run in a folder with every node done: real marks, histories of all epochs, results of a few bytes."""
    run = Run(folder, recipe, folder / "data", Store(folder / "store"), assumed_manifest(recipe.data))
    run.save()
    for node in run.graph.nodes.values():
        _finish(run, node)
    run.store.refresh()
    return run


def _finish(run: Run, node: Node) -> None:
    place = run.store.folder(node)
    place.mkdir()
    files = {}
    for name, text in _results(run, node).items():
        (place / name).write_text(text)
        files[name] = {"sha256": hashlib.sha256(text.encode()).hexdigest(), "bytes": len(text)}
    mark = {
        "name": node.name, "signature": node.signature, "inputs": node.inputs, "host": "node-17", "attempts": 1,
        "result": {"best_lwlrap": 0.8, "last_lwlrap": 0.79} if node.kind == "train" else {},
        "versions": {"python": "3.11", "torch": "2.14.1"}, "started": 0.0, "seconds": 99.0, "peak_mb": 999.0,
        "files": files,
    }  # fmt: skip
    (place / "done.json").write_text(json.dumps(mark, indent=1))


def _results(run: Run, node: Node) -> dict[str, str]:
    """File name -> content."""
    if node.kind == "train":
        assert node.condition is not None
        train = run.recipe.conditions[node.condition].train
        facts = {"lwlrap": 0.7, "loss_curated": 0.1, "loss_noisy": 0.2, "lr": 1e-3, "seconds": 31.4, "time": 1.7e9}
        records = (json.dumps({"epoch": epoch, **facts}) for epoch in range(1, train.total_epochs + 1))
        snapshots = {f"snapshot-{cycle}.safetensors": "weights" for cycle in range(1, train.cycles + 1)}
        return {**snapshots, "history.jsonl": "".join(f"{record}\n" for record in records)}
    names = {
        "shard": ("data.npy", "index.parquet"), "predict": ("curated.npy", "noisy.npy", "test.npy"),
        "pseudo": ("soft_labels.npy",), "blend": ("blend.json", "test.npy"),
    }[node.kind]  # fmt: skip
    return dict.fromkeys(names, "numbers")
