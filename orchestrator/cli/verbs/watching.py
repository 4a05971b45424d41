"""Verbs that show what a run is doing."""

from __future__ import annotations

import json

from rich.console import Console

from orchestrator import api
from orchestrator.cli import terminal
from orchestrator.cli.options import Arguments, Verbs, add_json, add_run, add_verb
from orchestrator.cli.terminal import print_json

__all__ = ["add"]


def add(verbs: Verbs) -> None:
    """Declare the verbs of this group with their options."""
    _add_status(verbs)
    _add_logs(verbs)
    _add_ui(verbs)
    _add_sync(verbs)


def _add_status(verbs: Verbs) -> None:
    parser = add_verb(verbs, "status", status, "print one line per job, read from the store only")
    add_run(parser)
    parser.add_argument(
        "--watch",
        action="store_true",
        help="repeat until all jobs are done or Ctrl-C is pressed; with --json, one line for each change of a job",
    )
    add_json(parser)


def status(arguments: Arguments, console: Console) -> int:
    from orchestrator.run.record import RecordedRun
    from orchestrator.views.events import events
    from orchestrator.views.status import show, watch

    if arguments.watch and arguments.json:
        for event in events(RecordedRun.open(arguments.run)):
            print(json.dumps(event), flush=True)
        return 0
    if arguments.watch:
        watch(RecordedRun.open(arguments.run), console)
        return 0
    found = api.status(arguments.run)
    if arguments.json:
        print_json(found.as_dict())
    else:
        console.print(show(found))
    return 0


def _add_logs(verbs: Verbs) -> None:
    parser = add_verb(verbs, "logs", logs, "print the log of a job, read from the store only")
    add_run(parser)
    parser.add_argument("job", metavar="JOB", help="name of the job, as status shows it")
    parser.add_argument(
        "--attempt", type=terminal.whole(1, 10**6), metavar="N", help="number of the attempt (default: the latest)"
    )
    parser.add_argument(
        "--follow", action="store_true", help="print new lines until the job is done or failed or Ctrl-C is pressed"
    )


def logs(arguments: Arguments, console: Console) -> int:
    for line in api.logs(arguments.run, arguments.job, attempt=arguments.attempt, follow=arguments.follow):
        console.print(line)
    return 0


def _add_ui(verbs: Verbs) -> None:
    parser = add_verb(verbs, "ui", ui, "show the run in MLflow and its searches in Optuna Dashboard, on localhost")
    add_run(parser)
    parser.add_argument(
        "--port", type=terminal.whole(1, 65_535), default=5000, metavar="N",
        help="port of MLflow; Optuna Dashboard takes the next free one (default: %(default)s)",
    )  # fmt: skip


def ui(arguments: Arguments, console: Console) -> int:
    return api.ui(arguments.run, port=arguments.port, console=console)


def _add_sync(verbs: Verbs) -> None:
    parser = add_verb(verbs, "sync", sync, "bring MLflow up to date with the store")
    add_run(parser)


def sync(arguments: Arguments, console: Console) -> int:
    api.sync(arguments.run)
    console.print("MLflow is up to date")
    return 0
