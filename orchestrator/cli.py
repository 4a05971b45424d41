"""The command line: `sonogrid VERB`. Exit codes: 0 done, 1 a job failed or was stopped, 2 bad input."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from features.errors import InputError, SonogridError
from orchestrator import terminal

__all__ = ["main"]

Arguments = argparse.Namespace


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb; gives the exit code. Every error of sonogrid's own is printed as a sentence, without a traceback."""
    terminal.take_any_character()
    verb = None
    try:
        arguments = _parser().parse_args(argv)
        verb = arguments.verb
        code: int = verb(arguments, terminal.make_console())
    except SonogridError as error:
        terminal.print_problems(error, all_of_them=verb is _check)
        return error.exit_code
    except KeyboardInterrupt:
        print("sonogrid: interrupted; continue with: sonogrid resume RUN", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of our output is gone (`sonogrid report RUN | head`); nothing is left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.filename is None:
            raise
        return terminal.print_os_error(error)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = terminal.Parser(
        prog="sonogrid", description="Distributed experiment grids for audio tagging with noisy labels."
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    demo = _verb(verbs, "demo", _demo, "generate audio and run the demo grid on it")
    demo.add_argument("--out", type=Path, default=Path("runs/demo"), metavar="RUN", help="default: %(default)s")
    _execution(demo)

    check = _verb(verbs, "check", _check, "check a dataset folder and print all its problems")
    check.add_argument("data", type=Path, metavar="DATA")
    check.add_argument("--group-by", metavar="COLUMN", help="also check the CSV column that groups clips")
    _json(check)

    plan = _verb(verbs, "plan", _plan, "what a launch would do, why, and what it costs")
    _grid(plan, data="dataset folder; none: FSDKaggle2019's sizes are assumed")
    plan.add_argument("--out", type=Path, default=None, metavar="RUN", help="compare with this run")
    _machines(plan)
    _json(plan)

    launch = _verb(verbs, "launch", _launch, "run a grid; launching again resumes it")
    _grid(launch)
    launch.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
    _execution(launch)

    status = _verb(verbs, "status", _status, "a line a job, from the store alone")
    _run(status)
    _json(status)

    resume = _verb(verbs, "resume", _resume, "launch a run again with what its run.json says")
    _run(resume)
    resume.add_argument("--skip-bad", action="store_true", help="set bad clips aside")
    _execution(resume)

    tune = _verb(verbs, "tune", _tune, "tune the blend's weights again")
    _run(tune)
    tune.add_argument("--trials", type=terminal.whole(1, 10**6), metavar="N", help="default: as in the grid")
    tune.add_argument("--budget", type=terminal.whole(1, 10**9), metavar="K", help="most predictions of the blend")
    _json(tune)

    predict = _verb(verbs, "predict", _predict, "tag new audio files with the blend")
    _run(predict)
    predict.add_argument("files", type=Path, nargs="+", metavar="FILES")
    predict.add_argument("--csv", type=Path, metavar="CSV", help="write all scores here")
    predict.add_argument("--top", type=terminal.whole(1, 10**6), default=3, metavar="N", help="tags shown a file")
    _json(predict)

    submit = _verb(verbs, "submit", _submit, "write RUN/submission.csv")
    _run(submit)
    submit.add_argument("--ensemble", metavar="NAME", help="of an ensemble of the grid: RUN/submission-NAME.csv")

    score = _verb(verbs, "score", _score, "lwlrap on the test clips, given their labels")
    _run(score)
    score.add_argument("--labels", type=Path, required=True, metavar="CSV", help="fname,labels[,usage]")
    _json(score)

    report = _verb(verbs, "report", _report, "scores of conditions, folds and the blend")
    _run(report)
    _json(report)

    ui = _verb(verbs, "ui", _ui, "open a tracking server on localhost")
    _run(ui)
    ui.add_argument("--port", type=terminal.whole(1, 65_535), default=5000, help="default: %(default)s")
    return parser


def _verb(verbs: Any, name: str, function: Any, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.set_defaults(verb=function)
    return parser


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN")


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _grid(parser: argparse.ArgumentParser, data: str | None = None) -> None:
    """Arguments that bind a grid; with `data`, its help, the dataset may be left out."""
    parser.add_argument("grid", metavar="GRID", help="name of a grid that ships with sonogrid, or a YAML file")
    parser.add_argument("--data", type=Path, required=data is None, metavar="DATA", help=data or "dataset folder")
    parser.add_argument("--store", type=Path, metavar="STORE", help="where nodes lie; default: RUN/store")
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="change a setting of the grid")
    parser.add_argument("--overlay", type=terminal.names, default=(), metavar="A,B", help="overlays of the grid")
    parser.add_argument("--only", type=terminal.names, default=(), metavar="A,B", help="these, and what they need")
    parser.add_argument("--folds", type=terminal.numbers, default=(), metavar="0,1", help="these folds")
    parser.add_argument("--skip-bad", action="store_true", help="set bad clips aside and list them in the report")


def _execution(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--executor", choices=("ray", "inline"), default="ray", help="default: %(default)s")
    parser.add_argument("--address", metavar="ADDRESS", help="Ray cluster; default: RAY_ADDRESS, else one in place")


def _machines(parser: argparse.ArgumentParser) -> None:
    default = "; default: %(default)s"
    parser.add_argument("--gpu", default="A100", metavar="NAME", help="GPU that time is told for" + default)
    parser.add_argument("--gpus", type=terminal.whole(1, 100_000), default=8, metavar="N", help="how many" + default)
    parser.add_argument(
        "--utilisation", type=float, default=0.3, metavar="SHARE", help="of its peak, reached" + default
    )


# Verbs import what they need when they run: `sonogrid --help` and a typing error should not wait for torch or MLflow.


def _demo(arguments: Arguments, console: Console) -> int:
    from features.synthetic import generate
    from orchestrator.grid import load_grid
    from orchestrator.launch import Selection, launch, prepare
    from orchestrator.recipe import Execution
    from orchestrator.run import read_run_json

    terminal.require_place("--out", arguments.out)
    previous = read_run_json(arguments.out)
    if previous is not None and previous["grid"] != "demo":
        raise InputError(f"--out {arguments.out} holds grid '{previous['grid']}', not 'demo'; choose another folder")
    data = arguments.out / "data"
    generate(data, seed=0)
    console.print(f"generated audio in {data}", highlight=False, markup=False)
    run = prepare(load_grid("demo"), data, arguments.out)
    execution = Execution.create(arguments.executor, arguments.address)
    return launch(run, execution, Selection(), console, labels=data / "test_labels.csv")


def _check(arguments: Arguments, console: Console) -> int:
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
        terminal.print_json({"classes": list(manifest.classes), "subsets": subsets, "notes": list(manifest.notes)})
        return 0
    for name, facts in subsets.items():
        console.print(f"{name}: {facts['clips']} clips, {facts['seconds']} s", highlight=False)
    console.print(f"{len(manifest.classes)} classes", highlight=False)
    for note in manifest.notes:
        console.print(f"note: {note}", highlight=False, markup=False)
    console.print("no problems")
    return 0


def _recipe(arguments: Arguments) -> Any:
    """The grid that the arguments name, with its overlays and changes."""
    from orchestrator.grid import load_grid

    return load_grid(arguments.grid, arguments.set, arguments.overlay)


def _bind(arguments: Arguments) -> Any:
    """The run that a grid's arguments describe, checked."""
    from orchestrator.launch import prepare

    recipe = _recipe(arguments)
    for option in ("out", "store"):
        if getattr(arguments, option) is not None:
            terminal.require_place(f"--{option}", getattr(arguments, option), arguments.data)
    return prepare(recipe, arguments.data, arguments.out, arguments.store, skip_bad=arguments.skip_bad)


def _assumed(arguments: Arguments) -> Any:
    """The run of a grid on data of FSDKaggle2019's sizes; it lies nowhere."""
    from features.assumed import assumed_manifest
    from orchestrator.run import Run
    from orchestrator.store import Store

    for option in ("out", "store", "skip_bad"):
        if getattr(arguments, option):
            raise InputError(f"--{option.replace('_', '-')} needs --data: without data there is nothing to compare")
    recipe = _recipe(arguments)
    nowhere = Path(os.devnull)
    return Run(nowhere, recipe, nowhere, Store(nowhere), assumed_manifest(recipe.data))


def _plan(arguments: Arguments, console: Console) -> int:
    from orchestrator.cost import Cost, Machines, print_cost
    from orchestrator.gpus import find_gpu
    from orchestrator.launch import Selection, plan_of

    machines = Machines(find_gpu(arguments.gpu), arguments.gpus, arguments.utilisation)
    assumed = arguments.data is None
    if not assumed:
        arguments.out = arguments.out or Path("runs") / Path(arguments.grid).stem
    run = _assumed(arguments) if assumed else _bind(arguments)
    plan = plan_of(run, Selection(arguments.only, arguments.folds))
    cost = Cost.of(plan, run.recipe, run.manifest, machines)
    if arguments.json:
        nodes = [planned.as_dict() for planned in plan.nodes]
        terminal.print_json({"nodes": nodes, "cost": {"assumed_data": assumed, **cost.as_dict()}})
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


def _launch(arguments: Arguments, console: Console) -> int:
    from orchestrator.launch import Selection, launch
    from orchestrator.recipe import Execution

    execution = Execution.create(arguments.executor, arguments.address)
    return launch(_bind(arguments), execution, Selection(arguments.only, arguments.folds), console)


def _resume(arguments: Arguments, console: Console) -> int:
    from orchestrator.launch import resume
    from orchestrator.recipe import Execution

    execution = Execution.create(arguments.executor, arguments.address)
    return resume(arguments.run, execution, console, skip_bad=arguments.skip_bad)


def _status(arguments: Arguments, console: Console) -> int:
    from orchestrator.run import Run
    from trainers.loop import read_history

    run = Run.open(arguments.run)
    lines = []
    for node in run.graph.nodes.values():
        state = run.store.state(node)
        line: dict[str, Any] = {"name": node.name, "kind": node.kind, "state": state.state, "cause": state.cause}
        if node.kind == "train" and node.condition is not None:
            history = read_history(run.store.folder(node))
            line["epoch"] = len(history)
            line["epochs"] = run.recipe.conditions[node.condition].train.total_epochs
            line["best_lwlrap"] = max((record["lwlrap"] for record in history), default=None)
        if state.state == "done":
            mark = run.store.done(node)
            line |= {key: mark[key] for key in ("host", "seconds", "peak_mb")}
        lines.append(line)
    if arguments.json:
        terminal.print_json({"jobs": lines})
        return 0
    shards = [line for line in lines if line["kind"] == "shard"]
    done = sum(line["state"] == "done" for line in shards)
    console.print(f"features: {done} of {len(shards)} shards done", highlight=False)
    for line in lines:
        if line["kind"] != "shard":
            epochs = f"  epoch {line['epoch']}/{line['epochs']}" if "epoch" in line else ""
            best = f"  best {line['best_lwlrap']:.3f}" if line.get("best_lwlrap") is not None else ""
            cause = f"  {line['cause']}" if line["cause"] else ""
            console.print(f"{line['state']:8} {line['name']}{epochs}{best}{cause}", highlight=False, markup=False)
    return 0


def _tune(arguments: Arguments, console: Console) -> int:
    from orchestrator.tuning import tune_again

    result = tune_again(arguments.run, arguments.trials, arguments.budget)
    if arguments.json:
        terminal.print_json(result)
        return 0
    for member, weight in zip(result["members"], result["weights"], strict=True):
        if weight > 0:
            name = "{condition} cycle {cycle} {head} head pad {pad}".format(**member)
            console.print(f"{weight:6.3f}  {name}", highlight=False)
    for key, value in result.items():
        if "lwlrap" in key and value is not None:
            console.print(f"{key}: {value:.4f}{' (leaky)' if result['leaky'] else ''}", highlight=False)
    console.print(f"predictions: {result['predictions']}", highlight=False)
    return 0


def _predict(arguments: Arguments, console: Console) -> int:
    from orchestrator.run import Run
    from orchestrator.submission import predict_files, write_scores

    if arguments.csv is not None:
        if arguments.csv.is_dir():
            raise InputError(f"--csv {arguments.csv} is a folder; name a file")
        terminal.require_place("--csv", arguments.csv.absolute().parent)
    run = Run.open(arguments.run)
    scores = predict_files(run, arguments.files)
    names = [str(path) for path in arguments.files]
    if arguments.csv is not None:
        write_scores(arguments.csv, names, run.manifest.classes, scores)
    ranked = [
        [(run.manifest.classes[index], float(row[index])) for index in (-row).argsort(kind="stable")] for row in scores
    ]
    if arguments.json:
        terminal.print_json({name: dict(tags) for name, tags in zip(names, ranked, strict=True)})
        return 0
    for name, tags in zip(names, ranked, strict=True):
        shown = "  ".join(f"{tag} {value:.3f}" for tag, value in tags[: arguments.top])
        console.print(f"{name}: {shown}", highlight=False, markup=False)
    return 0


def _submit(arguments: Arguments, console: Console) -> int:
    from orchestrator.run import Run
    from orchestrator.submission import write_submission

    path = write_submission(Run.open(arguments.run), arguments.ensemble)
    console.print(f"wrote {path}", highlight=False, markup=False)
    return 0


def _score(arguments: Arguments, console: Console) -> int:
    from orchestrator.run import Run
    from orchestrator.submission import score

    result = score(Run.open(arguments.run), arguments.labels)
    if arguments.json:
        terminal.print_json(result)
        return 0
    for part in ("lwlrap", "public", "private"):
        if result[part] is not None:
            console.print(f"{part}: {result[part]:.4f}", highlight=False)
    for name, value in (*result["conditions"].items(), *result["ensembles"].items(), *result["classes"].items()):
        console.print(f"  {name}: {'-' if value is None else format(value, '.4f')}", highlight=False, markup=False)
    return 0


def _report(arguments: Arguments, console: Console) -> int:
    from orchestrator.report import build_report
    from orchestrator.report_tables import print_report
    from orchestrator.run import Run

    report = build_report(Run.open(arguments.run))
    if arguments.json:
        terminal.print_json(report)
    else:
        print_report(report, console)
    return 0


def _ui(arguments: Arguments, console: Console) -> int:
    from orchestrator.run import Run
    from orchestrator.ui import serve

    return serve(Run.open(arguments.run), arguments.port, console)


if __name__ == "__main__":
    sys.exit(main())
