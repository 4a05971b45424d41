"""What `sonogrid search` prints at its end."""

import argparse
from io import StringIO
from pathlib import Path

from rich.console import Console

from orchestrator.cli.searched import print_search
from orchestrator.search import SearchResult, SearchTrial

TRIALS = (
    SearchTrial("a", {"lr_max": 0.001}, "done", 0.5, 5),
    SearchTrial("b", {"lr_max": 0.002}, "pruned", 0.7, 1),
    SearchTrial("c", {"lr_max": 0.003}, "done", 0.6, 5),
    SearchTrial("d", {"lr_max": 0.1}, "failed", None, 0),
)
ARGUMENTS = argparse.Namespace(
    grid="small", data=Path("DATA"), out=Path("out"), store=None, overlay=("x",), set=["a=1"]
)


def printed(found: SearchResult) -> list[str]:
    text = StringIO()
    print_search(found, ARGUMENTS, Console(file=text, width=200))
    return text.getvalue().splitlines()


def test_the_best_comes_first_and_can_be_launched() -> None:
    assert printed(SearchResult("A", TRIALS, stopped=False)) == [
        "A: 4 trials (2 done, 1 pruned, 1 failed)",
        "  0.6000  lr_max 0.003",
        "  0.5000  lr_max 0.001",
        "  0.7000  lr_max 0.002 (pruned after 1 fold)",
        "     -    lr_max 0.1 (failed after 0 folds)",
        "next:",
        "  sonogrid launch small --data DATA --out RUN --store out/store --overlay x --set a=1 --set "
        "conditions.A.lr_max=0.003",
        "  sonogrid ui out",
    ]


def test_without_a_finished_trial_there_is_nothing_to_launch() -> None:
    assert printed(SearchResult("A", (), stopped=True)) == ["A: 0 trials", "stopped; the same command continues"]
