"""`sonogrid completion`: what a shell needs to complete verbs, options and files."""

import argparse
from pathlib import Path
from typing import Literal

__all__ = ["completion_script"]


def completion_script(parser: argparse.ArgumentParser, shell: Literal["bash", "zsh"]) -> str:
    """The script for a shell, made from the parser itself; options that take files complete files."""
    import shtab

    for action in _actions(parser):
        if action.type is Path or action.metavar == "GRID":
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        if isinstance(action, argparse._SubParsersAction):
            action.help = "what to do"  # shtab leaves out what has no help
    return str(shtab.complete(parser, shell))


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    found = []
    for action in parser._actions:
        found.append(action)
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                found += _actions(inner)
    return found
