"""Verbs that keep order among RUNs, stores and shells."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from features.words import count
from orchestrator import api
from orchestrator.cli.options import Arguments, Verbs, add_json, add_verb
from orchestrator.cli.terminal import print_json

__all__ = ["add"]

CLEAN_EXAMPLES = """\
examples:
  sonogrid clean runs/demo --dry-run                         what runs/demo does not need any more
  sonogrid clean /nfs/store --run runs/a --run runs/b        a store that two runs share
"""
SHELL_EXAMPLES = """\
examples:
  sonogrid completion bash > ~/.local/share/bash-completion/completions/sonogrid
  sonogrid completion zsh > ~/.zfunc/_sonogrid               for zsh, with ~/.zfunc in fpath
"""


def add(verbs: Verbs, root: argparse.ArgumentParser) -> None:
    """Declare the verbs of this group with their options."""
    _add_runs(verbs)
    _add_clean(verbs)
    _add_completion(verbs, root)


def _add_runs(verbs: Verbs) -> None:
    parser = add_verb(verbs, "runs", runs, "list RUNs, and what a store holds")
    parser.add_argument("place", type=Path, metavar="STORE", help="a store, a RUN, or a folder of RUNs")
    add_json(parser)


def runs(arguments: Arguments, console: Console) -> int:
    from orchestrator.views.stored import tables

    found = api.runs(arguments.place)
    if arguments.json:
        print_json(found.as_dict())
        return 0
    for table in tables(found):
        console.print(table)
    return 0


def _add_clean(verbs: Verbs) -> None:
    parser = add_verb(verbs, "clean", clean, "remove from a store what no run needs", CLEAN_EXAMPLES)
    parser.add_argument("place", type=Path, metavar="STORE", help="a store in a folder, or the RUN that it belongs to")
    parser.add_argument(
        "--run", type=Path, action="append", default=[], metavar="RUN",
        help="a further run that uses the store (repeatable); what no run named needs is removed",
    )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    add_json(parser)


def clean(arguments: Arguments, console: Console) -> int:
    from orchestrator.views.stored import size_of

    found = api.clean(arguments.place, runs=arguments.run, dry_run=arguments.dry_run)
    if arguments.json:
        print_json(found.as_dict())
        return 0
    console.print(f"{found.store}: needed by {', '.join(map(str, found.runs))}", soft_wrap=True)
    for one in found.removed:
        console.print(f"  {'would remove' if found.dry else 'removed'} {one.name} ({size_of([one])})", soft_wrap=True)
    reasons = {"computed by runs that were not named": found.of_others, "written within the last hour": found.recent}
    for why, kept in reasons.items():
        if kept:
            console.print(f"kept, as {why}: {count(len(kept), 'node')} ({size_of(kept)})")
    words = "would be removed" if found.dry else "removed"
    console.print(f"{words}: {count(len(found.removed), 'node')} ({size_of(found.removed)})")
    return 0


def _add_completion(verbs: Verbs, root: argparse.ArgumentParser) -> None:
    parser = add_verb(verbs, "completion", completion, "print the completion script of a shell", SHELL_EXAMPLES)
    parser.add_argument("shell", choices=("bash", "zsh"), metavar="SHELL", help="bash or zsh")
    parser.set_defaults(root=root)


def completion(arguments: Arguments, console: Console) -> int:  # noqa: ARG001 - as every verb
    from orchestrator.cli.completion import completion_script

    sys.stdout.write(completion_script(arguments.root, arguments.shell))
    return 0
