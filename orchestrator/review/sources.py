"""Predictions that may judge labels: by networks that have not learned from these labels, nor their teachers.

Out-of-fold predictions judge curated labels. The networks of all folds judge noisy labels, if none of their ancestors
learned from noisy labels (`multitask`, or soft labels that count a clip's own label). Such a condition need not have
predicted the noisy clips, so they are predicted here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.manifest import Subset
from orchestrator.planning.graph import Graph
from orchestrator.report.scores import Predicted, mean_predictions, nested_blend
from orchestrator.run.bound import Run
from orchestrator.tagger.tagger import Tagger
from trainers.lwlrap import lwlrap

__all__ = ["Judgement", "judgements", "learned_from_noisy"]


@dataclass(frozen=True)
class Judgement:
    """Scores of the clips of a subset, or why there are none."""

    subset: Subset
    words: str
    """By whom, or why there are none, as a sentence."""
    scores: NDArray[np.floating] | None
    """(N, C)"""


def judgements(run: Run) -> list[Judgement]:
    """One for each labelled subset that the dataset has."""
    means = {name: one for name, one in mean_predictions(run).items() if name in run.recipe.conditions}
    found = [_curated(run, means)]
    return [*found, _noisy(run, means)] if len(run.manifest.subset("noisy")) else found


def _curated(run: Run, means: dict[str, Predicted]) -> Judgement:
    nested = nested_blend(run)
    if nested is not None and "blend" not in run.leaky:
        words = "Judged by the blend: each clip by networks and weights that were made without its fold."
        return Judgement("curated", words, nested)
    name = _best(run, {name: one for name, one in means.items() if name not in run.leaky})
    if name is None:
        words = "Not judged: no condition is done whose predictions are free of these labels."
        return Judgement("curated", words, None)
    return Judgement("curated", f"Judged by {name}: each clip by the networks that held out its fold.", means[name].oof)


def _noisy(run: Run, means: dict[str, Predicted]) -> Judgement:
    tainted = learned_from_noisy(run.graph) | {name for name, seen in run.clips_seen.items() if "noisy" in seen}
    name = _best(run, {name: one for name, one in means.items() if name not in tainted})
    if name is None:
        words = "Not judged: no condition is done that did not learn from noisy labels. Add one without multitask."
        return Judgement("noisy", words, None)
    paths = [run.data_root / path for path in run.manifest.subset("noisy")["path"]]
    words = f"Judged by {name}: by the networks of all folds, none of which learned from a noisy label."
    return Judgement("noisy", words, Tagger.load(run.folder, condition=name).scores(paths))


def learned_from_noisy(graph: Graph) -> set[str]:
    """Conditions of which a network, or one that it depends on, learned from labels of noisy clips."""
    learned: dict[str, bool] = {}
    for signature, node in graph.nodes.items():
        own = node.kind == "train" and bool(node.payload["train"]["multitask"])
        own |= node.kind in ("pseudo", "distill") and node.payload.get("own_label", 1) != 1
        learned[signature] = own or any(learned[parent] for parent in node.parents)
    return {name for (name, _), signature in graph.train.items() if learned[signature]}


def _best(run: Run, means: dict[str, Predicted]) -> str | None:
    """The condition with the highest score out of fold."""
    truth = run.manifest.targets("curated")
    return max(means, key=lambda name: lwlrap(truth, means[name].oof), default=None)
