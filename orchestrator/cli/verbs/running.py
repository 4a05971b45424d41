"""Verbs that run grids and search settings."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from features.errors import InputError
from orchestrator import api
from orchestrator.cli import terminal
from orchestrator.cli.options import (
    Arguments,
    Verbs,
    add_changes,
    add_execution,
    add_grid,
    add_json,
    add_machines,
    add_run,
    add_store,
    add_submit,
    add_verb,
    as_launched,
    execution_of,
    resumed_execution,
)
from orchestrator.cli.terminal import print_json

if TYPE_CHECKING:
    from orchestrator.launch import LaunchResult

__all__ = ["add"]

PLAN_EXAMPLES = """\
examples:
  sonogrid plan my-grid.yaml --data DATA --out runs/mine     what the next launch would do, and why
  sonogrid plan paper --gpu H100 --gpus 4                    what the paper's grid would cost
"""
LAUNCH_EXAMPLES = """\
examples:
  sonogrid launch demo --data DATA --out runs/demo
  sonogrid launch my-grid.yaml --data DATA --out runs/mine --set defaults.epochs=20
  sonogrid launch paper --data FSDKaggle2019 --out runs/paper --only A,B --folds 0,1
  sonogrid launch paper --data FSDKaggle2019 --out /nfs/paper --address http://HEAD:8265 --submit
"""
SEARCH_EXAMPLES = """\
examples:
  sonogrid search my-grid.yaml --data DATA --out runs/lr --space lr_max=log:1e-4..1e-2 --trials 30
  sonogrid search small --data DATA --out runs/size --condition A --space network.width=8,16,32 --space epochs=10..40
"""
TUNE_EXAMPLES = """\
examples:
  sonogrid tune runs/demo --trials 200                       continues the trials that there are
  sonogrid tune runs/demo --trials 300 --sampler cmaes
  sonogrid tune runs/demo --budget 95                        the best weights of at most 95 predictions
"""


def add(verbs: Verbs) -> None:
    """Declare the verbs of this group with their options."""
    _add_demo(verbs)
    _add_plan(verbs)
    _add_launch(verbs)
    _add_resume(verbs)
    _add_search(verbs)
    _add_tune(verbs)


def _add_demo(verbs: Verbs) -> None:
    parser = add_verb(verbs, "demo", demo, "generate audio and run the demo grid on it")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/demo"), metavar="RUN", help="folder of the run (default: %(default)s)"
    )
    add_execution(parser)


def demo(arguments: Arguments, console: Console) -> int:
    from features.synthetic import generate
    from orchestrator.run.places import require_place
    from orchestrator.run.record import read_run_json

    require_place("--out", arguments.out)
    previous = read_run_json(arguments.out)
    if previous is not None and previous["grid"] != "demo":
        raise InputError(f"--out {arguments.out} holds grid '{previous['grid']}', not 'demo'; choose another folder")
    data = arguments.out / "data"
    generate(data, seed=0)
    console.print(f"generated audio in {data}")
    result = api.launch(
        "demo", data, arguments.out, labels=data / "test_labels.csv", force=arguments.force,
        execution=execution_of(arguments), console=console,
    )  # fmt: skip
    return _exit_code(result)


def _add_plan(verbs: Verbs) -> None:
    parser = add_verb(verbs, "plan", plan, "show what a launch would do, why, and what it would cost", PLAN_EXAMPLES)
    add_grid(parser, data="dataset folder; without it, the sizes of FSDKaggle2019 are assumed")
    parser.add_argument(
        "--out", type=Path, default=None, metavar="RUN",
        help="run folder whose finished work is taken into account (default: runs/GRID)",
    )  # fmt: skip
    add_machines(parser)
    add_json(parser)


def plan(arguments: Arguments, console: Console) -> int:
    from orchestrator.views.cost_table import print_cost

    out = arguments.out
    if arguments.data is not None and out is None:
        out = Path("runs") / Path(arguments.grid).stem
    priced = api.plan(
        arguments.grid, arguments.data, out, only=arguments.only, folds=arguments.folds, overlays=arguments.overlay,
        settings=arguments.set, store=arguments.store, skip_bad=arguments.skip_bad, relabel=arguments.relabel,
        time_limit_s=arguments.time_limit,
        gpu=arguments.gpu, gpus=arguments.gpus, utilisation=arguments.utilisation,
    )  # fmt: skip
    if arguments.json:
        print_json(priced.as_dict())
        return 0
    if priced.assumed_data:
        console.print("no --data: the sizes of FSDKaggle2019 are assumed, and all work is new")
    for note in priced.notes:
        console.print(f"note: {note}")
    for planned in priced.plan.nodes:
        if planned.node.kind != "shard" and not priced.assumed_data:
            console.print(f"{planned.action:9} {planned.node.name}: {planned.reason}")
    for kind, counts in priced.plan.counts().items():
        console.print(f"{kind}: {', '.join(f'{number} {action}' for action, number in counts.items())}")
    print_cost(priced.cost, console)
    return 0


def _add_launch(verbs: Verbs) -> None:
    parser = add_verb(verbs, "launch", launch, "run a grid; launching again resumes it", LAUNCH_EXAMPLES)
    add_grid(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
    add_submit(add_execution(parser))


def launch(arguments: Arguments, console: Console) -> int:
    if arguments.submit:
        return _submit_launch(arguments, console)
    result = api.launch(
        arguments.grid, arguments.data, arguments.out, only=arguments.only, folds=arguments.folds,
        overlays=arguments.overlay, settings=arguments.set, store=arguments.store, skip_bad=arguments.skip_bad,
        relabel=arguments.relabel, time_limit_s=arguments.time_limit,
        force=arguments.force, execution=execution_of(arguments), console=console,
    )  # fmt: skip
    return _exit_code(result)


def _add_resume(verbs: Verbs) -> None:
    parser = add_verb(verbs, "resume", resume, "continue a run with its recorded grid, data, store and options")
    add_run(parser)
    parser.add_argument("--all", action="store_true", help="run the whole grid, not the conditions and folds recorded")
    parser.add_argument("--skip-bad", action="store_true", help="leave bad clips out and list them in the report")
    parser.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help="change a setting of the run (repeatable)"
    )
    parser.add_argument(
        "--failed", action="store_true", help="run the failed jobs and the jobs that wait for nothing else"
    )
    add_submit(as_launched(add_execution(parser)))


def resume(arguments: Arguments, console: Console) -> int:
    if arguments.submit:
        from orchestrator.executors.ray.submit import submit

        return submit(arguments, arguments.run.absolute(), console)
    result = api.resume(
        arguments.run, settings=arguments.set, skip_bad=arguments.skip_bad, everything=arguments.all,
        failed=arguments.failed, force=arguments.force, execution=resumed_execution(arguments), console=console,
    )  # fmt: skip
    return _exit_code(result)


def _add_search(verbs: Verbs) -> None:
    parser = add_verb(
        verbs, "search", search, "search settings of a condition; searching again continues", SEARCH_EXAMPLES
    )
    parser.add_argument("grid", metavar="GRID", help="name of a grid that ships with sonogrid, or a YAML file")
    parser.add_argument("--data", type=Path, required=True, metavar="DATA", help="dataset folder, or its dataset.yaml")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the search")
    parser.add_argument(
        "--space", action="append", default=[], metavar="SETTING=VALUES",
        help="log:LOW..HIGH, LOW..HIGH or A,B,C for a setting of the condition, such as lr_max (repeatable)",
    )  # fmt: skip
    parser.add_argument(
        "--trials", type=terminal.whole(1, 10**6), default=30, metavar="N",
        help="number of trials, those of earlier searches included (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--condition", metavar="NAME", help="whose settings these are (default: the grid's first)")
    parser.add_argument(
        "--sampler", default="tpe", metavar="NAME", help="what proposes trials: tpe, cmaes or gp (default: %(default)s)"
    )
    add_store(parser)
    add_changes(parser)
    parser.add_argument("--skip-bad", action="store_true", help="leave bad clips out and list them in the report")
    add_json(parser)
    add_execution(parser)


def search(arguments: Arguments, console: Console) -> int:
    from orchestrator.cli.searched import print_search

    found = api.search(
        arguments.grid, arguments.data, arguments.out, space=arguments.space, trials=arguments.trials,
        condition=arguments.condition, sampler=arguments.sampler, overlays=arguments.overlay, settings=arguments.set,
        store=arguments.store, skip_bad=arguments.skip_bad, execution=execution_of(arguments),
        console=None if arguments.json else console,
    )  # fmt: skip
    if arguments.json:
        print_json(found.as_dict())
    else:
        print_search(found, arguments, console)
    return 1 if found.stopped else 0


def _add_tune(verbs: Verbs) -> None:
    parser = add_verb(verbs, "tune", tune, "search the weights of the blend on", TUNE_EXAMPLES)
    add_run(parser)
    parser.add_argument(
        "--trials", type=terminal.whole(1, 10**6), metavar="N",
        help="trials of each study, those of earlier searches included (default: as in the grid)",
    )  # fmt: skip
    parser.add_argument(
        "--budget", type=terminal.whole(1, 10**9), metavar="K",
        help="largest number of predictions per test clip (default: as before)",
    )  # fmt: skip
    parser.add_argument(
        "--sampler", default="tpe", metavar="NAME", help="what proposes trials: tpe, cmaes or gp (default: %(default)s)"
    )
    parser.add_argument(
        "--storage", metavar="URL",
        help="database for the studies, in which several processes may search at once, such as sqlite:///tune.db "
        "(default: SONOGRID_OPTUNA_STORAGE, else RUN/optuna.journal)",
    )  # fmt: skip
    add_json(parser)


def tune(arguments: Arguments, console: Console) -> int:
    from orchestrator.cli.tuned import print_tuned

    tuned = api.tune(
        arguments.run, trials=arguments.trials, budget=arguments.budget, sampler=arguments.sampler,
        storage=arguments.storage, console=None if arguments.json else console,
    )  # fmt: skip
    if arguments.json:
        print_json(tuned.as_dict())
    else:
        print_tuned(tuned, arguments.run, console)
    return 0


def _submit_launch(arguments: Arguments, console: Console) -> int:
    """Send the launch to a cluster. Only the grid is checked here, the rest on the head."""
    from orchestrator.executors.ray.submit import submit
    from orchestrator.grids.load import grid_names

    if arguments.time_limit is not None:
        raise InputError("--time-limit measures this machine: leave out --submit")
    api.load_grid(arguments.grid, settings=arguments.set, overlays=arguments.overlay)
    if arguments.grid in grid_names():
        return submit(arguments, arguments.out.absolute(), console)
    grid = Path(arguments.grid)  # sent along, and found there in the working folder
    there = argparse.Namespace(**{**vars(arguments), "grid": f"./{grid.name}"})
    return submit(there, arguments.out.absolute(), console, grid)


def _exit_code(result: LaunchResult) -> int:
    return 0 if result.ok else 1
