"""What must hold after the kills: results, checkpoints, MLflow's runs, and nothing left behind."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from features.files import read_json, sha256_file
from orchestrator.run.bound import Run
from trainers.history import is_measured, read_history

__all__ = ["check_mlflow", "compare", "leftovers", "repeated_epochs"]

LEFTOVERS = (
    ".*.tmp*",
    "checkpoint*",
    "alive.json",
    "queued.json",
    "stop.json",
    "placement.json",
    "failed.json",
    "owner.json",
    "crash.log",
)


def compare(disturbed: Run, undisturbed: Run) -> int:
    """Compare all results of two runs; return the number of files."""
    count = 0
    assert disturbed.graph.nodes.keys() == undisturbed.graph.nodes.keys()
    for node in disturbed.graph.nodes.values():
        a, b = disturbed.store.results(node), undisturbed.store.results(node)
        for name in read_json(a / "done.json")["files"]:
            count += 1
            if name == "history.jsonl":
                one, two = (
                    [{k: v for k, v in r.items() if not is_measured(k)} for r in read_history(f)] for f in (a, b)
                )
                assert one == two, f"{node.name}: another history"
            elif name != "study.journal":  # holds the time of each trial
                assert sha256_file(a / name) == sha256_file(b / name), f"{node.name}: {name} differs"
    return count


def repeated_epochs(store: Path) -> tuple[int, int]:
    """(attempts that were made again, epochs that they trained again although a checkpoint had them)."""
    again = repeated = 0
    for folder in store.glob("train-*"):
        reached = 0
        for log in sorted(folder.glob("logs/*.log"), key=lambda path: int(path.stem)):
            text = log.read_text(encoding="utf-8", errors="replace")
            went_on = re.search(r"continued at epoch (\d+)", text)
            began = int(went_on.group(1)) if went_on else 0
            saved = [int(epoch) for epoch in re.findall(r"checkpoint at epoch (\d+)", text)]
            again += log.stem != "1"
            if saved or went_on:
                repeated += max(0, reached - began)
                reached = max(reached, *saved, began)
    return again, repeated


def check_mlflow(run: Run, uri: str) -> int:
    """Check that MLflow has one finished run per job, each step once; return the number of runs."""
    import mlflow

    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("chaos")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=5_000)
    by_key = Counter(found.data.tags["sonogrid.signature"] for found in runs)
    assert max(by_key.values()) == 1, f"a run is there twice: {by_key.most_common(1)}"
    found = {each.data.tags["sonogrid.signature"]: each for each in runs}
    for signature in run.graph.train.values():
        each = found[signature]
        node = run.graph.nodes[signature]
        assert each.info.status == "FINISHED", f"{node.name} is {each.info.status} in MLflow"
        points = client.get_metric_history(each.info.run_id, "lwlrap")
        history = run.store.history(node)
        assert [(p.step, p.value) for p in points] == [(r["epoch"], r["lwlrap"]) for r in history], node.name
    return len(runs)


def leftovers(folders: Iterable[Path]) -> list[str]:
    """Files that only a running or a failed job or driver has."""
    return [
        str(path.relative_to(folder.parent)) for folder in folders for name in LEFTOVERS for path in folder.rglob(name)
    ]
