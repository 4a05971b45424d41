"""The command line that repeats a launch, for reports."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from orchestrator.redact import redact
from orchestrator.run.execution import Execution
from orchestrator.run.selection import Selection

__all__ = ["launch_command", "resume_command"]


def launch_command(
    grid: str | Path,
    data: str | Path,
    out: str | Path,
    *,
    overlays: Sequence[str],
    settings: Sequence[str],
    store: str | Path | None,
    relabel: str | Path | None,
    time_limit_s: float | None,
    selection: Selection,
    execution: Execution,
) -> str:
    """`sonogrid launch` with all that changes results, and the executor; without credentials."""
    words = ["sonogrid", "launch", str(grid), "--data", str(data), "--out", str(out)]
    words += [] if store is None else ["--store", str(store)]
    words += ["--overlay", ",".join(overlays)] if overlays else []
    words += [word for setting in settings for word in ("--set", setting)]
    words += ["--only", ",".join(selection.conditions)] if selection.conditions else []
    words += ["--folds", ",".join(map(str, selection.folds))] if selection.folds else []
    words += ["--skip-bad"] if selection.skip_bad else []
    words += ["--executor", "inline"] if execution.executor == "inline" else []
    words += ["--workers", str(execution.workers)] if execution.workers > 1 else []
    words += [] if time_limit_s is None else ["--time-limit", f"{round(time_limit_s)}s"]
    words += [] if relabel is None else ["--relabel", str(relabel)]
    return redact(shlex.join(words))


def resume_command(folder: Path, changes: Sequence[str]) -> str:
    """`sonogrid resume` with changed settings."""
    return redact(shlex.join(["sonogrid", "resume", str(folder), *(w for one in changes for w in ("--set", one))]))
