"""The jobs of simulated grids: small pure functions with steps, checkpoints and a history, and the grids themselves."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from features.files import atomic, write_json
from features.manifest import Manifest
from orchestrator.grids.load import parse_grid
from orchestrator.grids.recipe import Recipe
from orchestrator.jobs.inputs import Inputs
from orchestrator.jobs.spec import Binding, JobSpec, Work
from orchestrator.planning.graph import Graph, build_graph
from orchestrator.store.node import Node
from tests.fixtures.manifests import manifest_of
from tests.simulator.kernel import KERNEL
from tests.simulator.rules import RESULT, Rules
from trainers.checkpoints import CHECKPOINT
from trainers.history import HISTORY

if TYPE_CHECKING:
    from orchestrator.jobs.attempt import Attempt

__all__ = ["GRIDS", "SimulatedWork", "grid"]

EPOCHS = 3
DEFAULTS = """
data: {folds: 2}
features: {mel: {n_mels: 16, hop_samples: 1000}}
defaults:
  network: {kind: resnet, depth: 10, width: 4, head_units: 8}
  crop: 16
  batch_size: 4
  cycles: 1
  epochs: 3
  predict: {pads: [2]}
blend: {trials: 0}
"""
GRIDS = {
    "one": "name: one" + DEFAULTS + "conditions: {plain: {}}\nmembers: [plain]\n",
    "two": "name: two" + DEFAULTS + "conditions: {plain: {}, warm: {init_from: plain}}\nmembers: [warm]\n",
}
RULES: list[Rules] = []
"""Those of the history that runs."""


class SmallManifest(Manifest):
    """A manifest that is written as JSON: Parquet is written by C++, past the simulated disk."""

    def write(self, folder: Path) -> list[Path]:
        write_json(folder / "clips.json", {"clips": self.clips["clip"].tolist()})
        return [folder / "clips.json"]

    def full_hash(self) -> str:
        return "0" * 64

    def content_hash(self) -> str:
        return "0" * 64


@cache
def grid(name: str) -> tuple[Recipe, Manifest, Graph]:
    """A grid, its clips and its nodes; made once for all histories."""
    import yaml

    recipe = parse_grid(yaml.safe_load(GRIDS[name]), name)
    plain = manifest_of([0, 1], noisy=0, test=0)
    manifest = SmallManifest(plain.clips, plain.classes)
    return recipe, manifest, build_graph(recipe, manifest)


class SimulatedWork(Work):
    """What a job does: reads its inputs, computes in steps, and writes a result that follows from the inputs alone."""

    def __init__(self, trains: bool) -> None:
        self.trains = trains

    @classmethod
    def of(cls, node: Node, binding: Binding) -> Self:
        return cls(node.kind == "train")

    def do(self, spec: JobSpec, inputs: Inputs, attempt: "Attempt") -> Mapping[str, Any] | None:
        kernel, rules = KERNEL[0], RULES[0]
        rules.begins(spec.node, spec.attempt, spec.claim.token)
        text = spec.signature
        for role, names in spec.inputs.items():
            for name, folder in zip(names, inputs.folders[role], strict=True):
                data = (folder / RESULT).read_bytes()
                rules.read(name, RESULT, data)
                text += data.decode()
        rules.has_read(spec.node, spec.attempt)
        pace = kernel.process.memory.setdefault("pace", kernel.draw()) if kernel.process else 1.0
        if self.trains:
            if not self._train(attempt, text, 0.3 + 5.0 * pace):
                return None
        else:
            kernel.pause(0.1 + 2.0 * pace)
            attempt.progress()
        with atomic(attempt.folder / RESULT) as temporary:
            temporary.write_text(hashlib.sha256(text.encode()).hexdigest())
        return {"best_lwlrap": 0.5, "last_lwlrap": 0.5, "snapshots": []}

    def _train(self, attempt: "Attempt", text: str, step_s: float) -> bool:
        """Whether the last step was reached, rather than a request to stop."""
        kernel = KERNEL[0]
        records = self._resumed(attempt, text)
        for epoch in range(len(records) + 1, EPOCHS + 1):
            began = kernel.now
            kernel.pause(step_s)
            attempt.progress(epoch=epoch, step=epoch)
            score = int(hashlib.sha256(f"{text}{epoch}".encode()).hexdigest()[:6], 16) / 2**24
            records.append({"epoch": epoch, "lwlrap": score, "seconds": kernel.now - began, "time": kernel.unix()})
            attempt.before_write()
            # In the order of `trainers.checkpoints`: the checkpoint has the history, so that none is ahead of it.
            write_json(attempt.folder / CHECKPOINT, {"inputs": text, "history": records})
            self._write_history(attempt.folder, records)
            attempt.after_write()
            if epoch < EPOCHS and attempt.stop() != "no":
                return False
        return True

    def _resumed(self, attempt: "Attempt", text: str) -> list[dict[str, Any]]:
        """The epochs of the checkpoint of an earlier attempt that has most of them."""
        best: list[dict[str, Any]] = []
        for folder in attempt.earlier():
            try:
                found = json.loads((folder / CHECKPOINT).read_text())
            except (OSError, ValueError):
                continue
            if found["inputs"] == text and len(found["history"]) > len(best):
                best = found["history"]
        self._write_history(attempt.folder, best)
        return best

    @staticmethod
    def _write_history(folder: Path, records: list[dict[str, Any]]) -> None:
        with atomic(folder / HISTORY) as temporary:
            temporary.write_text("".join(json.dumps(record) + "\n" for record in records))
