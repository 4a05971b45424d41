"""Time and size of a report at the paper's size: `python -m benchmarks.report_bench`.

The grid `paper` on 4,970 curated and 4,481 test clips of 80 classes: 55 trainings and 55 jobs with two arrays of
predictions each are marked as done, with histories and scores that are drawn at random. The blend is computed from them
without a search.
"""

import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from features.files import save_npy, sha256_file
from orchestrator.grids.load import load_grid
from orchestrator.jobs.run import run_job
from orchestrator.pages.write import write_pages
from orchestrator.report.build import build_report
from orchestrator.run.execution import Execution
from orchestrator.store.local import LocalNodeStore
from orchestrator.store.node import Node, short_inputs
from tests.fixtures.scale_case import many_run

SEED = 0


def main() -> None:
    """Print CPU seconds, memory and the size of the page."""
    with tempfile.TemporaryDirectory(prefix="sonogrid-") as folder:
        run = many_run(Path(folder), load_grid("paper", ["blend.trials=0"]))
        assert isinstance(run.store, LocalNodeStore)
        rng = np.random.default_rng(SEED)
        curated = run.manifest.subset("curated")
        truth = run.manifest.targets("curated").astype(np.float32)
        done = 0
        for node in run.graph.nodes.values():
            place = Path(run.store.folder(node))
            if node.kind == "train":
                assert node.condition is not None
                settings = run.recipe.conditions[node.condition].train
                place.mkdir(parents=True)
                _write_history(place / "history.jsonl", settings.total_epochs, rng)
                _finish(place, node, {"best_lwlrap": 0.8, "last_lwlrap": 0.79}, "history.jsonl")
            elif node.kind == "predict" and node.condition is not None and "noisy" not in node.name:
                condition = run.recipe.conditions[node.condition]
                heads, pads = list(condition.predict.heads), list(condition.predict.pads)
                cycles = condition.train.cycles
                of_fold = np.isin(curated["fold"].to_numpy(), list(node.held_out))
                shape = (cycles, len(heads), len(pads))
                place.mkdir(parents=True)
                noise = rng.random((*shape, int(of_fold.sum()), 80), dtype=np.float32)
                save_npy(place / "curated.npy", 0.4 * truth[of_fold] + 0.6 * noise)
                tests = len(run.manifest.subset("test"))
                save_npy(place / "test.npy", rng.random((*shape, tests, 80), dtype=np.float32))
                result: dict[str, object] = {"cycles": cycles, "heads": heads, "pads": pads}
                _finish(place, node, result, "curated.npy", "test.npy")
                done += 1
        assert run.graph.blend is not None
        run.store.refresh()
        began = time.process_time()
        run_job(run.claim(run.graph.nodes[run.graph.blend], Execution().of_job()))
        run.store.refresh()
        print(
            f"{done} jobs of predictions; blend without a search: {time.process_time() - began:.1f} s CPU", flush=True
        )
        began = time.process_time()
        report = build_report(run)
        scored = time.process_time()
        page = Path(folder) / "report.html"
        write_pages(run, report, {"html": page})
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"scores {scored - began:.1f} s, page {time.process_time() - scored:.1f} s CPU, {peak:,.0f} MB at most; "
              f"{page.stat().st_size / 1e6:.2f} MB")  # fmt: skip


def _write_history(path: Path, epochs: int, rng: np.random.Generator) -> None:
    lines = [
        {"epoch": epoch, "loss_curated": 0.5 / epoch, "valid_loss": 0.5 / epoch, "lwlrap": 0.8 * epoch / epochs,
         "lr": 1e-3, "samples_per_s": 50.0, "seconds": 60.0 + float(rng.random()), "time": 60.0 * epoch}
        for epoch in range(1, epochs + 1)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def _finish(place: Path, node: Node, result: dict[str, object], *names: str) -> None:
    """The done-mark of a node whose files are there."""
    files = {n: {"sha256": sha256_file(place / n), "bytes": (place / n).stat().st_size} for n in names}
    mark = {
        "name": node.name, "signature": node.signature, "inputs": short_inputs(node.inputs), "host": "node-17",
        "attempts": 1, "result": result, "versions": {"python": "3.11"}, "started": 0.0, "seconds": 99.0,
        "peak_mb": 999.0, "files": files,
    }  # fmt: skip
    (place / "done.json").write_text(json.dumps(mark))


if __name__ == "__main__":
    main()
