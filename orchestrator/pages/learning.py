"""Section: learning curves of each condition over its folds."""

from collections.abc import Iterable

import numpy as np

from orchestrator.pages.document import Block, Picture, Section, Table, Words
from orchestrator.pages.pictures import Curve, curves
from orchestrator.run.bound import Run

__all__ = ["learning_section"]


def learning_section(run: Run, names: Iterable[str]) -> Section:
    """lwlrap on the held-out fold by epoch, of conditions: the mean over folds, and the lowest and the highest fold."""
    panels: list[Curve] = []
    rows: list[list[str]] = []
    for name in names:
        nodes = [run.graph.nodes[run.graph.train[name, fold]] for fold in range(run.recipe.data.folds)]
        histories = [history for node in nodes if (history := run.store.history(node))]
        if not histories:
            continue
        epochs = min(map(len, histories))
        scores = np.array([[record["lwlrap"] for record in history[:epochs]] for history in histories])  # (folds, E)
        mean = scores.mean(axis=0)
        panels.append(Curve(name, mean, scores.min(axis=0), scores.max(axis=0)))
        best = int(mean.argmax())
        losses = [history[epochs - 1].get("loss_curated") for history in histories]
        seconds = [record["seconds"] for history in histories for record in history if "seconds" in record]
        rows.append(
            [
                name,
                f"{len(histories)} of {len(nodes)}",
                str(epochs),
                str(best + 1),
                f"{mean[best]:.3f}",
                f"{mean[-1]:.3f}",
                f"{scores[:, -1].min():.3f} to {scores[:, -1].max():.3f}",
                f"{np.mean([loss for loss in losses if loss is not None]):.4f}" if any(losses) else "-",
                f"{np.median(seconds):.2f}" if seconds else "-",
            ]
        )
    if not panels:
        return Section("Learning curves", [Words("Nothing has trained yet.", "note")])
    text = (
        "lwlrap on the held-out fold. Line: mean over folds. Band: lowest to highest fold. Ring: best epoch of the "
        "mean."
    )
    columns = ["condition", "folds", "epochs", "best epoch", "lwlrap there", "last epoch", "folds, last epoch",
               "training loss, last", "s per epoch"]  # fmt: skip
    blocks: list[Block] = [
        Picture(curves(panels, "lwlrap"), text),
        Table(columns, rows, "the same in figures (up to the epoch that all folds have reached)"),
    ]
    return Section("Learning curves", blocks)
