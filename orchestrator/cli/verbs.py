"""What each verb of the command line does: arguments in, a call of `orchestrator.api`, output; returns the exit code.

A verb imports what it needs when it runs: `sonogrid --help` and a mistyped option should not wait for torch or MLflow.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from features.errors import InputError
from features.words import count, listed
from orchestrator import api
from orchestrator.cli.terminal import print_json

if TYPE_CHECKING:
    from orchestrator.launch import LaunchResult
    from orchestrator.run.execution import Execution

Arguments = argparse.Namespace

MANY_CLIPS = 1_000
"""Training clips for which `init` proposes the grid `default` instead of `small`."""


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
        execution=_execution_of(arguments), console=console,
    )  # fmt: skip
    return _exit_code(result)


def fetch(arguments: Arguments, console: Console) -> int:
    from orchestrator.cli.arrivals import Arrivals

    with Arrivals(console) as arrivals:
        fetched = api.fetch(arguments.name, arguments.data, teller=arrivals)
    console.print(f"{fetched.title}: {fetched.licence}")
    console.print("next:")
    console.print(f"  sonogrid init {arguments.data}")
    console.print(f"  sonogrid check {arguments.data}")
    console.print(f"  sonogrid launch default --data {arguments.data} --out runs/{fetched.folder.absolute().name}")
    return 0


def init(arguments: Arguments, console: Console) -> int:
    made = api.init(arguments.data, force=arguments.force)
    if arguments.json:
        print_json(made.as_dict())
        return 0
    for line in made.found:
        console.print(line)
    for note in made.notes:
        console.print(f"note: {note}")
    if made.problems:
        console.print(f"{count(len(made.problems), 'row')} can't be used, such as: {made.problems[0]}")
    console.print(f"wrote {made.path}" if made.written else f"{made.path} says so already")
    console.print("next:")
    console.print(f"  sonogrid check {arguments.data}")
    grid = "default" if sum(made.clips[subset] for subset in made.clips if subset != "test") >= MANY_CLIPS else "small"
    console.print(f"  sonogrid launch {grid} --data {arguments.data} --out runs/{made.path.absolute().parent.name}")
    return 0


def check(arguments: Arguments, console: Console) -> int:
    summary = api.check(arguments.data, group_by=arguments.group_by)
    if arguments.json:
        print_json(summary.as_dict())
        return 0
    for name, subset in summary.subsets.items():
        console.print(f"{name}: {count(subset.clips, 'clip')}, {subset.seconds} s")
    console.print(count(len(summary.classes), "class", "classes"))
    for note in summary.notes:
        console.print(f"note: {note}")
    console.print("no problems")
    return 0


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


def launch(arguments: Arguments, console: Console) -> int:
    if arguments.submit:
        return _submit_launch(arguments, console)
    result = api.launch(
        arguments.grid, arguments.data, arguments.out, only=arguments.only, folds=arguments.folds,
        overlays=arguments.overlay, settings=arguments.set, store=arguments.store, skip_bad=arguments.skip_bad,
        relabel=arguments.relabel, time_limit_s=arguments.time_limit,
        force=arguments.force, execution=_execution_of(arguments), console=console,
    )  # fmt: skip
    return _exit_code(result)


def encoder(arguments: Arguments, console: Console) -> int:
    made = api.encoder(arguments.name, arguments.out, wheel=arguments.wheel)
    for line in made.licence.splitlines():
        console.print(line, soft_wrap=True)
    console.print(f"wrote {made.path}; name it in a grid as features.embedding.model", soft_wrap=True)
    return 0


def resume(arguments: Arguments, console: Console) -> int:
    if arguments.submit:
        from orchestrator.executors.ray.submit import submit

        return submit(arguments, arguments.run.absolute(), console)
    result = api.resume(
        arguments.run, settings=arguments.set, skip_bad=arguments.skip_bad, everything=arguments.all,
        failed=arguments.failed, force=arguments.force, execution=_resumed_execution(arguments), console=console,
    )  # fmt: skip
    return _exit_code(result)


def status(arguments: Arguments, console: Console) -> int:
    from orchestrator.run.record import RecordedRun
    from orchestrator.views.status import show, watch

    if arguments.watch and arguments.json:
        raise InputError("--watch and --json exclude each other: leave one out")
    if arguments.watch:
        watch(RecordedRun.open(arguments.run), console)
        return 0
    found = api.status(arguments.run)
    if arguments.json:
        print_json(found.as_dict())
    else:
        console.print(show(found))
    return 0


def logs(arguments: Arguments, console: Console) -> int:
    for line in api.logs(arguments.run, arguments.job, attempt=arguments.attempt, follow=arguments.follow):
        console.print(line)
    return 0


def sync(arguments: Arguments, console: Console) -> int:
    api.sync(arguments.run)
    console.print("MLflow is up to date")
    return 0


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


def search(arguments: Arguments, console: Console) -> int:
    from orchestrator.cli.searched import print_search

    found = api.search(
        arguments.grid, arguments.data, arguments.out, space=arguments.space, trials=arguments.trials,
        condition=arguments.condition, sampler=arguments.sampler, overlays=arguments.overlay, settings=arguments.set,
        store=arguments.store, skip_bad=arguments.skip_bad, execution=_execution_of(arguments),
        console=None if arguments.json else console,
    )  # fmt: skip
    if arguments.json:
        print_json(found.as_dict())
    else:
        print_search(found, arguments, console)
    return 1 if found.stopped else 0


def predict(arguments: Arguments, console: Console) -> int:
    from orchestrator.cli.predict import predict_files

    return predict_files(arguments, console)


def export(arguments: Arguments, console: Console) -> int:
    made = api.export(
        arguments.run, arguments.to, condition=arguments.condition, fold=arguments.fold, cycle=arguments.cycle,
        members=arguments.members, precision=arguments.precision,
    )  # fmt: skip
    if arguments.json:
        print_json(made.as_dict())
        return 0
    for line in made.lines():
        console.print(line, soft_wrap=True)
    return 0


def submission(arguments: Arguments, console: Console) -> int:
    path = api.submission(arguments.run, ensemble=arguments.ensemble)
    console.print(f"wrote {path}")
    return 0


def submit(arguments: Arguments, console: Console) -> int:
    print("sonogrid: the verb 'submit' is now called 'submission'; this name will be removed", file=sys.stderr)
    return submission(arguments, console)


def score(arguments: Arguments, console: Console) -> int:
    result = api.score(arguments.run, arguments.labels)
    if arguments.json:
        print_json(result.as_dict())
        return 0
    parts = {
        "lwlrap": result.lwlrap,
        "public": result.public,
        "private": result.private,
        "mAP": result.metrics.mean_average_precision,
        "ROC AUC": result.metrics.roc_auc,
        "accuracy": result.metrics.accuracy,
    }
    for part, value in parts.items():
        if value is not None:
            console.print(f"{part}: {value:.4f}")
    if result.left_out:
        console.print(f"mAP and ROC AUC leave out classes without a test clip: {listed(result.left_out)}")
    groups = {"conditions": result.conditions, "ensembles": result.ensembles, "classes": result.classes}
    for title, values in groups.items():
        if values:
            console.print(f"{title}:")
        for name, value in values.items():
            console.print(f"  {name}: {'-' if value is None else format(value, '.4f')}")
    return 0


def report(arguments: Arguments, console: Console) -> int:
    from orchestrator.report.tables import print_report

    files = {"html": arguments.html, "md": arguments.md, "csv": arguments.csv}
    found = api.report(arguments.run, **files)
    if arguments.json:
        print_json(found.as_dict())
        return 0
    written = [path for path in files.values() if path is not None]
    for path in written:
        console.print(f"wrote {path}", soft_wrap=True)
    if not written:
        print_report(found, console)
    return 0


def review(arguments: Arguments, console: Console) -> int:
    found = api.review(arguments.run, to=arguments.to, top=arguments.top)
    if arguments.json:
        print_json(found.as_dict())
        return 0
    for subset, words in found.judged.items():
        doubtful = [one for one in found.suspects if one.subset == subset and (one.wrong or one.missing)]
        console.print(f"{subset}: {count(len(doubtful), 'clip')} with a doubtful label. {words}", soft_wrap=True)
    console.print(f"wrote {found.page}", soft_wrap=True)
    console.print(f"wrote {found.table}: edit its column labels and give it to launch --relabel", soft_wrap=True)
    return 0


def runs(arguments: Arguments, console: Console) -> int:
    from orchestrator.views.stored import tables

    found = api.runs(arguments.place)
    if arguments.json:
        print_json(found.as_dict())
        return 0
    for table in tables(found):
        console.print(table)
    return 0


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


def completion(arguments: Arguments, console: Console) -> int:  # noqa: ARG001 - as every verb
    from orchestrator.cli.completion import completion_script

    sys.stdout.write(completion_script(arguments.root, arguments.shell))
    return 0


def ui(arguments: Arguments, console: Console) -> int:
    return api.ui(arguments.run, port=arguments.port, console=console)


def register(arguments: Arguments, console: Console) -> int:
    found = api.register(arguments.run, condition=arguments.condition)
    if arguments.json:
        print_json(found.as_dict())
        return 0
    console.print(f"registered {found}")
    console.print(f"models:/{found.name}/{found.version}")
    return 0


def serve(arguments: Arguments, console: Console) -> int:
    return api.serve(arguments.run, port=arguments.port, console=console)


def _execution_of(arguments: Arguments) -> Execution:
    """How to run, from the arguments of a verb that runs a grid."""
    from orchestrator.run.execution import Execution

    return Execution.create(
        arguments.executor, arguments.address, arguments.gpus_per_job, arguments.place, workers=arguments.workers,
        retries=arguments.retries, checkpoint_steps=arguments.checkpoint_steps, stall_s=arguments.stall_s,
        resident_gb=arguments.resident_gb, cache_gb=arguments.cache_gb,
    )  # fmt: skip


def _resumed_execution(arguments: Arguments) -> Execution:
    """As the run was launched, but for what is typed now."""
    from orchestrator.run.execution import Execution

    typed = {name: getattr(arguments, name) for name in Execution.model_fields if hasattr(arguments, name)}
    return Execution.of_run(arguments.run, **typed)


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
