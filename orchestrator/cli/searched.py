"""What `sonogrid search` prints at its end: the best trials, and how to use the best one."""

import argparse
import shlex
from typing import TYPE_CHECKING

from rich.console import Console

from features.words import count

if TYPE_CHECKING:
    from orchestrator.search import SearchResult, SearchTrial

__all__ = ["print_search"]

SHOWN = 10


def print_search(found: "SearchResult", arguments: argparse.Namespace, console: Console) -> None:
    """Print a line per trial, the best first, and what to type next."""
    counts = {state: sum(trial.state == state for trial in found.trials) for state in ("done", "pruned", "failed")}
    states = ", ".join(f"{number} {state}" for state, number in counts.items() if number)
    console.print(f"{found.condition}: {count(len(found.trials), 'trial')}{f' ({states})' if states else ''}")
    ranked = sorted(found.trials, key=lambda trial: (trial.state != "done", -(trial.lwlrap or 0.0)))
    for trial in ranked[:SHOWN]:
        console.print(f"  {_line(trial)}", soft_wrap=True)
    if found.stopped:
        console.print("stopped; the same command continues")
    if found.best is not None:
        console.print("next:")
        words = ["sonogrid", "launch", str(arguments.grid), "--data", str(arguments.data), "--out", "RUN"]
        words += ["--store", str(arguments.store or arguments.out / "store")]
        words += [word for name in arguments.overlay for word in ("--overlay", name)]
        settings = [f"conditions.{found.condition}.{path}={value}" for path, value in found.best.settings.items()]
        words += [word for text in (*arguments.set, *settings) for word in ("--set", text)]
        console.print(f"  {shlex.join(words)}", soft_wrap=True)
        console.print(f"  sonogrid ui {shlex.quote(str(arguments.out))}", soft_wrap=True)


def _line(trial: "SearchTrial") -> str:
    score = "   -  " if trial.lwlrap is None else f"{trial.lwlrap:.4f}"
    settings = ", ".join(f"{path} {value}" for path, value in trial.settings.items())
    after = "" if trial.state == "done" else f" ({trial.state} after {count(trial.folds, 'fold')})"
    return f"{score}  {settings}{after}"
