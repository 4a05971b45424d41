"""The recorded command is one that the command line understands, and reaches the same run."""

import shlex
from pathlib import Path

import pytest

from orchestrator.cli.main import _parser
from orchestrator.run.command import launch_command, resume_command
from orchestrator.run.execution import Execution
from orchestrator.run.selection import Selection


def test_all_that_changes_results_is_named() -> None:
    selection = Selection(("A", "B"), (0, 2), skip_bad=True)
    text = launch_command(
        "my grid.yaml", Path("data"), "runs/a", overlays=("released",), settings=("defaults.epochs=2", "name='x y'"),
        store="s3://bucket/here", relabel="new labels.csv", time_limit_s=1200, selection=selection,
        execution=Execution(executor="ray", workers=2),
    )  # fmt: skip
    found = _parser().parse_args(shlex.split(text)[1:])
    assert (found.grid, found.data, found.out) == ("my grid.yaml", Path("data"), Path("runs/a"))
    assert (tuple(found.only), tuple(found.folds), found.skip_bad, found.workers) == (("A", "B"), (0, 2), True, 2)
    assert found.set == ["defaults.epochs=2", "name='x y'"]
    assert tuple(found.overlay) == ("released",)
    assert found.time_limit == 1200
    assert (found.store, found.relabel) == ("s3://bucket/here", Path("new labels.csv"))


def test_what_is_not_set_is_not_named() -> None:
    plain = launch_command(
        "demo", "d", "o", overlays=(), settings=(), store=None, relabel=None, time_limit_s=None, selection=Selection(),
        execution=Execution(executor="inline"),
    )  # fmt: skip
    assert plain == "sonogrid launch demo --data d --out o --executor inline"


def test_credentials_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_PASSWORD", "hunter22")
    assert "hunter22" not in resume_command(Path("runs/a"), ("conditions.A.name=hunter22",))
