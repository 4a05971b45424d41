"""Harm to a run, and what it did next: for the tests of reliability."""

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from features.files import read_json
from orchestrator.cli.main import main
from orchestrator.jobs.attempt import Attempt
from orchestrator.run.bound import Run
from orchestrator.run.execution import Execution
from orchestrator.store.node import Node

INLINE = Execution(executor="inline")
QUIET = Console(quiet=True)


def attempt_at(run: Run, node: Node, owner: str = "") -> Attempt:
    """A new attempt at a node, which may be done, in this process."""
    run.store.forget(node)
    return Attempt(run.store, run.store.name(node), run.store.claim(node, owner))


def fail(run: Run, node: Node, **mark: Any) -> None:
    """Leave the mark of a failed attempt."""
    run.store.forget(node)
    run.store.claim(node, "")
    run.store.set_mark(run.store.name(node), "failed.json", mark)


def signs(run: Run, node: Node) -> list[Path]:
    """Signs of life of a node's attempts."""
    return list(run.store.folder(node).glob("attempt-*/alive.json"))


def ran(run: Run, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    """Resume inline; gives the exit code and what was said."""
    capsys.readouterr()
    code = main(["resume", str(run.folder), "--executor", "inline", *more])
    said = capsys.readouterr()
    return code, said.out + said.err


def nodes_that_ran(run: Run) -> list[str]:
    return [entry["name"] for entry in read_json(run.folder / "timeline.json")]
