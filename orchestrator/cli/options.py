"""Options that several verbs have."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from rich.console import Console

from orchestrator.cli import terminal

if TYPE_CHECKING:
    from orchestrator.run.execution import Execution

__all__ = [
    "Arguments",
    "Verbs",
    "add_changes",
    "add_execution",
    "add_grid",
    "add_json",
    "add_machines",
    "add_run",
    "add_store",
    "add_submit",
    "add_verb",
    "as_launched",
    "execution_of",
    "resumed_execution",
]

Arguments = argparse.Namespace
Verbs: TypeAlias = "argparse._SubParsersAction[terminal.Parser]"


def add_verb(
    verbs: Verbs, name: str, function: Callable[[Arguments, Console], int], text: str, examples: str | None = None
) -> argparse.ArgumentParser:
    """Declare a verb: its function, its line in `--help`, and examples."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.set_defaults(verb=function, parser=parser)
    return parser


def add_run(parser: argparse.ArgumentParser) -> None:
    """The RUN folder that a verb is about."""
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run")


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json`, of verbs that print what programs may read."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def add_grid(parser: argparse.ArgumentParser, data: str | None = None) -> None:
    """Arguments that bind a grid; with `data`, its help, the dataset may be left out."""
    parser.add_argument("grid", metavar="GRID", help="name of a grid that ships with sonogrid, or a YAML file")
    parser.add_argument(
        "--data", type=Path, required=data is None, metavar="DATA", help=data or "dataset folder, or its dataset.yaml"
    )
    add_store(parser)
    add_changes(parser)
    parser.add_argument(
        "--only", type=terminal.names, default=(), metavar="A,B", help="run only these conditions and what they need"
    )
    parser.add_argument(
        "--folds", type=terminal.numbers, default=(), metavar="0,1", help="run only these folds, such as 0,3 or 0-2"
    )
    parser.add_argument(
        "--relabel", type=Path, metavar="CSV", help="labels that replace those of the dataset, as review writes them"
    )
    parser.add_argument("--skip-bad", action="store_true", help="leave bad clips out and list them in the report")
    parser.add_argument(
        "--time-limit", type=terminal.seconds, metavar="TIME",
        help="choose conditions and epochs that fit into this time on this machine, such as 20m or 1h30m",
    )  # fmt: skip


def add_store(parser: argparse.ArgumentParser) -> None:
    """`--store`."""
    parser.add_argument(
        "--store",
        type=terminal.place,
        metavar="STORE",
        help="where results are kept: a folder, s3:// or gs:// URL (default: RUN/store)",
    )


def add_changes(parser: argparse.ArgumentParser) -> None:
    """Changes to a grid."""
    parser.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help="change a setting of the grid (repeatable)"
    )
    parser.add_argument(
        "--overlay", type=terminal.names, default=(), metavar="A,B", help="apply these overlays of the grid"
    )


def add_execution(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Options of where and how jobs run, in a group of their own."""
    group = parser.add_argument_group("execution")
    group.add_argument(
        "--executor", choices=("ray", "inline"), default="ray",
        help="run jobs on Ray, or one by one in this process (default: %(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--address", metavar="ADDRESS",
        help="Ray cluster: auto or HOST:PORT (default: RAY_ADDRESS, else Ray is started on this machine)",
    )  # fmt: skip
    group.add_argument(
        "--gpus-per-job", type=float, metavar="N",
        help="GPUs per training job; below 1, jobs share a device (default: one per worker if there are GPUs)",
    )  # fmt: skip
    group.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes per training job (default: %(default)s)"
    )
    group.add_argument(
        "--place", action="append", default=[], metavar="CONDITION.FIELD=VALUE",
        help="for one condition, set gpu (model, e.g. A100), gpus (number) or workers (repeatable)",
    )  # fmt: skip
    group.add_argument(
        "--force", type=terminal.names, default=(), metavar="JOB,JOB", help="run these jobs again even if they are done"
    )
    group.add_argument(
        "--retries", type=int, default=3, metavar="N", help="how often to retry a lost job (default: %(default)s)"
    )
    group.add_argument(
        "--checkpoint-steps", type=int, default=0, metavar="N",
        help="write a checkpoint every N steps as well (default: after each epoch only)",
    )  # fmt: skip
    group.add_argument(
        "--stall-s", type=float, default=1800.0, metavar="S",
        help="end and retry a job that makes no progress for S seconds (default: %(default)g)",
    )  # fmt: skip
    group.add_argument(
        "--resident-gb", type=float, metavar="GB",
        help="copy features to a GPU if those of a job take at most this (default: half of its free memory)",
    )  # fmt: skip
    group.add_argument(
        "--cache-gb", type=float, default=200.0, metavar="GB",
        help="disk of each host for results of an object store that its jobs read (default: %(default)g)",
    )  # fmt: skip
    return group


def as_launched(group: argparse._ArgumentGroup) -> argparse._ArgumentGroup:
    """Options that are as in the last launch unless they are typed."""
    for action in group._group_actions:
        if action.dest not in ("address", "force"):
            action.default = argparse.SUPPRESS
            action.help = re.sub(r" \(default: .*\)$", "", action.help or "") + " (default: as launched)"
    return group


def add_submit(group: argparse._ArgumentGroup) -> None:
    """`--submit`, of verbs that a cluster's head node may run."""
    group.add_argument(
        "--submit", action="store_true",
        help="run on the cluster's head node through Ray Jobs (needs --address http://HOST:8265)",
    )  # fmt: skip


def add_machines(parser: argparse.ArgumentParser) -> None:
    """GPUs that a plan assumes."""
    group = parser.add_argument_group("cost estimate")
    default = " (default: %(default)s)"
    group.add_argument("--gpu", default="A100", metavar="NAME", help="GPU model assumed for the estimate" + default)
    group.add_argument(
        "--gpus", type=terminal.whole(1, 100_000), default=8, metavar="N", help="number of GPUs" + default
    )
    group.add_argument(
        "--utilisation", type=float, default=0.3, metavar="SHARE",
        help="fraction of the peak FLOP/s to assume" + default,
    )  # fmt: skip


def execution_of(arguments: Arguments) -> Execution:
    """How to run, from the arguments of a verb that runs a grid."""
    from orchestrator.run.execution import Execution

    return Execution.create(
        arguments.executor, arguments.address, arguments.gpus_per_job, arguments.place, workers=arguments.workers,
        retries=arguments.retries, checkpoint_steps=arguments.checkpoint_steps, stall_s=arguments.stall_s,
        resident_gb=arguments.resident_gb, cache_gb=arguments.cache_gb,
    )  # fmt: skip


def resumed_execution(arguments: Arguments) -> Execution:
    """As the run was launched, but for what is typed now."""
    from orchestrator.run.execution import Execution

    typed = {name: getattr(arguments, name) for name in Execution.model_fields if hasattr(arguments, name)}
    return Execution.of_run(arguments.run, **typed)
