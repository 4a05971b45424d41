"""What `sonogrid tune` prints: what the search bought, the weights, and their scores."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from features.words import count

if TYPE_CHECKING:
    from orchestrator.tune import TunedAgain

__all__ = ["print_tuned"]

SCORES = {
    "oof_lwlrap_nested": "each fold by weights tuned without it (the score to report)",
    "oof_lwlrap": "by weights tuned on the same clips",
    "uniform_oof_lwlrap": "equal weights",
    "greedy_oof_lwlrap": "greedy selection, on the clips it was made on",
    "paper_oof_lwlrap": "the published weights",
}


def print_tuned(tuned: "TunedAgain", run: Path, console: Console) -> None:
    """Say what a search found, and what of the RUN it changed."""
    for study in tuned.studies[:1]:
        console.print(f"best of {count(study.trials, 'trial')}: lwlrap {study.best.value:.4f} on clips not tuned on")
        by_score = sorted(study.baselines.items(), key=lambda pair: -pair[1])
        console.print(f"  baselines: {', '.join(f'{name} {value:.4f}' for name, value in by_score)}")
        bought = "more than" if study.gain > 0 else "no more than"
        console.print(f"  the search found {f'{study.gain:.4f} ' if study.gain > 0 else ''}{bought} the best baseline")
    if tuned.changed:
        console.print("the blend has new weights; the report and submission.csv are written again")
    elif tuned.studies:
        console.print("nothing is better by three standard errors: the blend and its files stay as they are")
    console.print("weights:")
    for member, weight in sorted(tuned.blend.weighted(), key=lambda pair: -pair[1]):
        console.print(f"  {weight:6.3f}  {member}")
    console.print(f"lwlrap out of fold{' (leaky)' if tuned.leaky else ''}:")
    scores = tuned.blend.result.scores()
    for key, words in SCORES.items():
        if (value := scores[key]) is not None:
            console.print(f"  {value:.4f}  {words}")
    limit = "" if tuned.budget is None else f" (at most {tuned.budget})"
    console.print(f"predictions: {tuned.blend.result.predictions}{limit}")
    if tuned.studies:
        console.print(f"trials: {tuned.where}; sonogrid ui {run} shows them", soft_wrap=True)
