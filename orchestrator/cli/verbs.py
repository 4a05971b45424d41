"""What each verb of the command line does; gives its exit code.

A verb imports what it needs when it runs: `sonogrid --help` and a typing error should not wait for torch or MLflow.
"""

import argparse
import os
from pathlib import Path
from typing import Any

from rich.console import Console

from features.errors import InputError
from orchestrator.cli.terminal import print_json, require_new, require_place

Arguments = argparse.Namespace


def demo(arguments: Arguments, console: Console) -> int:
    from features.synthetic import generate
    from orchestrator.grids.load import load_grid
    from orchestrator.launch import launch
    from orchestrator.run.record import read_run_json
    from orchestrator.run.selection import Selection, prepare

    require_place("--out", arguments.out)
    previous = read_run_json(arguments.out)
    if previous is not None and previous["grid"] != "demo":
        raise InputError(f"--out {arguments.out} holds grid '{previous['grid']}', not 'demo'; choose another folder")
    data = arguments.out / "data"
    generate(data, seed=0)
    console.print(f"generated audio in {data}", highlight=False, markup=False)
    run = prepare(load_grid("demo"), data, arguments.out)
    selection = Selection(force=arguments.force)
    return launch(run, _execution_of(arguments), selection, console, labels=data / "test_labels.csv")


def check(arguments: Arguments, console: Console) -> int:
    from features.manifest import build_manifest
    from features.settings import DataSettings

    if not arguments.data.is_dir():
        raise InputError(f"{arguments.data} is not a folder; name the folder that holds train_curated.csv")
    manifest = build_manifest(arguments.data, DataSettings(group_by=arguments.group_by))
    seconds = manifest.clips["n_samples"] / manifest.clips["sample_rate_hz"]
    subsets = {
        name: {"clips": int(count), "seconds": round(float(seconds[manifest.clips["subset"] == name].sum()), 1)}
        for name, count in manifest.clips["subset"].value_counts(sort=False).items()
    }
    if arguments.json:
        print_json({"classes": list(manifest.classes), "subsets": subsets, "notes": list(manifest.notes)})
        return 0
    for name, facts in subsets.items():
        console.print(f"{name}: {facts['clips']} clips, {facts['seconds']} s", highlight=False)
    console.print(f"{len(manifest.classes)} classes", highlight=False)
    for note in manifest.notes:
        console.print(f"note: {note}", highlight=False, markup=False)
    console.print("no problems")
    return 0


def _execution_of(arguments: Arguments) -> Any:
    """How to run, from the arguments of a verb that runs a grid."""
    from orchestrator.executors.ray.connect import check_address
    from orchestrator.run.execution import Execution

    more = {
        name: getattr(arguments, name)
        for name in ("retries", "checkpoint_steps", "stall_s", "gpus_per_job", "workers", "place")
    }
    execution = Execution.create(arguments.executor, arguments.address, **more)
    if execution.executor == "ray":
        check_address(execution.address)
    return execution


def _recipe(arguments: Arguments) -> Any:
    """The grid that the arguments name, with its overlays and changes."""
    from orchestrator.grids.load import load_grid

    return load_grid(arguments.grid, arguments.set, arguments.overlay)


def _bind(arguments: Arguments) -> Any:
    """The run that a grid's arguments describe, checked."""
    from orchestrator.run.selection import Selection, prepare

    places = {"--out": arguments.out, "--store": arguments.store}
    for option, place in places.items():
        if place is not None and "://" not in str(place):
            require_place(option, Path(place), arguments.data)
    recipe = _recipe(arguments)
    Selection(arguments.only, arguments.folds).check(recipe)
    return prepare(recipe, arguments.data, arguments.out, arguments.store, skip_bad=arguments.skip_bad)


def _assumed(arguments: Arguments) -> Any:
    """The run of a grid on data of FSDKaggle2019's sizes; it lies nowhere."""
    from features.assumed import assumed_manifest
    from orchestrator.run.bound import Run
    from orchestrator.store.local import LocalNodeStore

    for option in ("out", "store", "skip_bad"):
        if getattr(arguments, option):
            raise InputError(f"--{option.replace('_', '-')} needs --data: without data there is nothing to compare")
    recipe = _recipe(arguments)
    nowhere = Path(os.devnull)
    return Run(nowhere, recipe, nowhere, LocalNodeStore(nowhere), assumed_manifest(recipe.data))


def plan(arguments: Arguments, console: Console) -> int:
    from orchestrator.planning.cost import Cost, Machines
    from orchestrator.planning.gpus import find_gpu
    from orchestrator.run.selection import Selection, plan_of
    from orchestrator.views.cost_table import print_cost

    machines = Machines(find_gpu(arguments.gpu), arguments.gpus, arguments.utilisation)
    assumed = arguments.data is None
    if not assumed:
        arguments.out = arguments.out or Path("runs") / Path(arguments.grid).stem
    run = _assumed(arguments) if assumed else _bind(arguments)
    plan = plan_of(run, Selection(arguments.only, arguments.folds))
    cost = Cost.of(plan, run.recipe, run.manifest, machines)
    if arguments.json:
        nodes = [planned.as_dict() for planned in plan.nodes]
        print_json({"nodes": nodes, "cost": {"assumed_data": assumed, **cost.as_dict()}})
        return 0
    if assumed:
        console.print("no --data: the sizes of FSDKaggle2019 are assumed, and all work is new", highlight=False)
    for planned in plan.nodes:
        if planned.node.kind != "shard" and not assumed:
            console.print(f"{planned.action:9} {planned.node.name}: {planned.reason}", highlight=False, markup=False)
    for kind, counts in plan.counts().items():
        numbers = ", ".join(f"{count} {action}" for action, count in counts.items())
        console.print(f"{kind}: {numbers}", highlight=False)
    print_cost(cost, console)
    return 0


def launch(arguments: Arguments, console: Console) -> int:
    if arguments.submit:
        from orchestrator.executors.ray.submit import submit
        from orchestrator.grids.load import grid_names

        _recipe(arguments)  # what is wrong with a grid is known here; the rest is checked on the head
        grid = None if arguments.grid in grid_names() else Path(arguments.grid)
        arguments.grid = arguments.grid if grid is None else f"./{grid.name}"
        return submit(arguments, arguments.out.absolute(), console, grid)
    from orchestrator.launch import launch
    from orchestrator.run.selection import Selection

    execution = _execution_of(arguments)
    selection = Selection(arguments.only, arguments.folds, force=arguments.force)
    return launch(_bind(arguments), execution, selection, console)


def resume(arguments: Arguments, console: Console) -> int:
    if arguments.submit:
        from orchestrator.executors.ray.submit import submit

        return submit(arguments, arguments.run.absolute(), console)
    from orchestrator.launch import resume
    from orchestrator.run.selection import Selection

    selection = Selection(failed=arguments.failed, force=arguments.force)
    return resume(
        arguments.run, _execution_of(arguments), console, skip_bad=arguments.skip_bad, selection=selection,
        changes=arguments.set,
    )  # fmt: skip


def status(arguments: Arguments, console: Console) -> int:
    from orchestrator.run.record import RecordedRun
    from orchestrator.views.status import read_status, show, watch

    run = RecordedRun.open(arguments.run)
    if arguments.watch:
        watch(run, console)
        return 0
    status = read_status(run)
    if arguments.json:
        print_json(status.as_dict())
    else:
        console.print(show(status))
    return 0


def logs(arguments: Arguments, console: Console) -> int:
    from orchestrator.run.record import RecordedRun
    from orchestrator.views.logs import find_job, find_log, follow_log, log_lines

    run = RecordedRun.open(arguments.run)
    node = find_job(run, arguments.job)
    attempt = arguments.attempt
    for line in follow_log(run, node, attempt) if arguments.follow else log_lines(find_log(run, node, attempt)):
        console.print(line, highlight=False, markup=False)
    return 0


def sync(arguments: Arguments, console: Console) -> int:
    from orchestrator.run.bound import Run
    from orchestrator.tracking.mirror import bring_up_to_date

    bring_up_to_date(Run.open(arguments.run))
    console.print("MLflow is up to date", highlight=False)
    return 0


def tune(arguments: Arguments, console: Console) -> int:
    from orchestrator.tune import tune_again

    tuned = tune_again(arguments.run, arguments.trials, arguments.budget)
    if arguments.json:
        print_json(tuned.as_dict())
        return 0
    blend = tuned.blend
    for member, weight in blend.weighted():
        name = f"{member.condition} cycle {member.cycle} {member.head} head pad {member.pad}"
        console.print(f"{weight:6.3f}  {name}", highlight=False)
    for key, value in blend.result.scores().items():
        if value is not None:
            console.print(f"{key}: {value:.4f}{' (leaky)' if tuned.leaky else ''}", highlight=False)
    console.print(f"predictions: {blend.result.predictions}", highlight=False)
    return 0


def predict(arguments: Arguments, console: Console) -> int:
    from orchestrator.run.bound import Run
    from orchestrator.views.submission import write_scores
    from orchestrator.views.tagger import predict_files

    if arguments.csv is not None:
        require_new("--csv", arguments.csv)
    run = Run.open(arguments.run)
    scores = predict_files(run, arguments.files)
    names = [str(path) for path in arguments.files]
    if arguments.csv is not None:
        write_scores(arguments.csv, names, run.manifest.classes, scores)
    ranked = [
        [(run.manifest.classes[index], float(row[index])) for index in (-row).argsort(kind="stable")] for row in scores
    ]
    if arguments.json:
        print_json({name: dict(tags) for name, tags in zip(names, ranked, strict=True)})
        return 0
    for name, tags in zip(names, ranked, strict=True):
        shown = "  ".join(f"{tag} {value:.3f}" for tag, value in tags[: arguments.top])
        console.print(f"{name}: {shown}", highlight=False, markup=False)
    return 0


def submit(arguments: Arguments, console: Console) -> int:
    from orchestrator.run.bound import Run
    from orchestrator.views.submission import write_submission

    path = write_submission(Run.open(arguments.run), arguments.ensemble)
    console.print(f"wrote {path}", highlight=False, markup=False)
    return 0


def score(arguments: Arguments, console: Console) -> int:
    from orchestrator.run.bound import Run
    from orchestrator.views.labels import score_labels

    result = score_labels(Run.open(arguments.run), arguments.labels)
    if arguments.json:
        print_json(result.as_dict())
        return 0
    for part, value in (("lwlrap", result.lwlrap), ("public", result.public), ("private", result.private)):
        if value is not None:
            console.print(f"{part}: {value:.4f}", highlight=False)
    for name, value in (*result.conditions.items(), *result.ensembles.items(), *result.classes.items()):
        console.print(f"  {name}: {'-' if value is None else format(value, '.4f')}", highlight=False, markup=False)
    return 0


def report(arguments: Arguments, console: Console) -> int:
    from orchestrator.run.bound import Run
    from orchestrator.views.report import build_report
    from orchestrator.views.report_tables import print_report

    report = build_report(Run.open(arguments.run))
    if arguments.json:
        print_json(report.as_dict())
    else:
        print_report(report, console)
    return 0


def ui(arguments: Arguments, console: Console) -> int:
    from orchestrator.run.bound import Run
    from orchestrator.tracking.server import serve

    return serve(Run.open(arguments.run), arguments.port, console)
