"""A grid of more than 10,000 nodes, and a run of it whose work is done, on disk as a launch leaves it.

Everything but the content of the results is real: marks, names, signatures, checksums.
"""

import hashlib
import json
import os
from pathlib import Path

from features.assumed import assumed_manifest
from features.manifest import Manifest
from orchestrator.grids.recipe import Recipe
from orchestrator.run.bound import Run
from orchestrator.store.local import Store
from orchestrator.store.node import Node, short_inputs

__all__ = ["finish", "many_run", "write_grid"]

GROUPS = 222
"""Of four conditions, which are 45 nodes each; shards and the blend come on top of these 9,990."""
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
RESULTS = {
    "shard": ("data.npy", "index.parquet"),
    "train": ("history.jsonl", "snapshot-1.safetensors", "snapshot-2.safetensors", "snapshot-3.safetensors"),
    "predict": ("curated.npy", "noisy.npy", "test.npy"),
    "pseudo": ("soft_labels.npy",),
    "blend": ("blend.json", "test.npy"),
}
CONTENT = b"numbers"


def write_grid(path: Path, groups: int = GROUPS) -> None:
    """A sweep of learning rates over four conditions, with warm starts and soft labels, as a grid file."""
    rows = (GROUP.format(i=index, lr=f"{1e-3 * (1 + index / groups):.6f}") for index in range(groups))
    path.write_text(HEAD + "".join(rows))


def many_run(folder: Path, recipe: Recipe, clips: float = 1.0) -> Run:
    """A run that was saved and of which nothing is done, on data of FSDKaggle2019's sizes or a share of them."""
    whole = assumed_manifest(recipe.data)
    part = whole.clips.iloc[:: round(1 / clips)].reset_index(drop=True)
    run = Run(folder, recipe, folder / "data", Store(folder / "store"), Manifest(part, whole.classes))
    run.save()
    return run


def finish(run: Run, node: Node) -> None:
    """What the worker of a node leaves behind, but written straight to its place and not forced to the disk."""
    place = str(run.store.folder(node))
    os.makedirs(place, exist_ok=True)  # noqa: PTH103
    facts = {"sha256": hashlib.sha256(CONTENT).hexdigest(), "bytes": len(CONTENT)}
    mark = {
        "name": node.name, "signature": node.signature, "inputs": short_inputs(node.inputs), "host": "node-17",
        "attempts": 1, "result": {"best_lwlrap": 0.8, "last_lwlrap": 0.79} if node.kind == "train" else {},
        "versions": {"python": "3.11", "torch": "2.14.1"}, "started": 0.0, "seconds": 99.0, "peak_mb": 999.0,
        "files": dict.fromkeys(RESULTS[node.kind], facts),
    }  # fmt: skip
    # The mark last: what is newer than its mark is read by every plan.
    for name, content in {**dict.fromkeys(RESULTS[node.kind], CONTENT), "done.json": json.dumps(mark).encode()}.items():
        with open(f"{place}/{name}", "wb", buffering=0) as file:  # noqa: PTH123
            file.write(content)
