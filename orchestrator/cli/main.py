"""The command line: `sonogrid VERB`. Exit codes: 0 done, 1 a job failed or was stopped, 2 bad input."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from features.errors import ADVICE, SonogridError
from orchestrator.cli import terminal
from orchestrator.cli import verbs as verb

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb; gives the exit code. Every error of sonogrid's own is printed as a sentence, without a traceback."""
    terminal.take_any_character()
    chosen = None
    try:
        terminal.require_sane_process()
        arguments = _parser().parse_args(argv)
        chosen = arguments.verb
        code: int = chosen(arguments, terminal.make_console())
    except SonogridError as error:
        terminal.print_problems(error, all_of_them=chosen is verb.check)
        return error.exit_code
    except KeyboardInterrupt:
        print("sonogrid: interrupted; continue with: sonogrid resume RUN", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of our output is gone (`sonogrid report RUN | head`); nothing is left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno not in ADVICE and error.filename is None:
            raise
        return terminal.print_os_error(error)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = terminal.Parser(
        prog="sonogrid", description="Distributed experiment grids for audio tagging with noisy labels."
    )
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    _verbs_that_run(verbs)
    _verbs_that_read(verbs)
    return parser


def _verbs_that_run(verbs: Any) -> None:
    demo = _verb(verbs, "demo", verb.demo, "generate audio and run the demo grid on it")
    demo.add_argument("--out", type=Path, default=Path("runs/demo"), metavar="RUN", help="default: %(default)s")
    _execution(demo)

    check = _verb(verbs, "check", verb.check, "check a dataset folder and print all its problems")
    check.add_argument("data", type=Path, metavar="DATA")
    check.add_argument("--group-by", metavar="COLUMN", help="also check the CSV column that groups clips")
    _json(check)

    plan = _verb(verbs, "plan", verb.plan, "what a launch would do, why, and what it costs")
    _grid(plan, data="dataset folder; none: FSDKaggle2019's sizes are assumed")
    plan.add_argument("--out", type=Path, default=None, metavar="RUN", help="compare with this run")
    _machines(plan)
    _json(plan)

    launch = _verb(verbs, "launch", verb.launch, "run a grid; launching again resumes it")
    _grid(launch)
    launch.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder of the run")
    _execution(launch)
    _submit(launch)

    resume = _verb(verbs, "resume", verb.resume, "launch a run again with what its run.json says")
    _run(resume)
    resume.add_argument("--skip-bad", action="store_true", help="set bad clips aside")
    resume.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="change a setting of the run")
    resume.add_argument("--failed", action="store_true", help="only failed jobs, and what waits for them alone")
    _execution(resume)
    _submit(resume)


def _verbs_that_read(verbs: Any) -> None:
    status = _verb(verbs, "status", verb.status, "a line a job, from the store alone")
    _run(status)
    status.add_argument("--watch", action="store_true", help="until all is done or Ctrl-C")
    _json(status)

    logs = _verb(verbs, "logs", verb.logs, "what a job had to say, from the store alone")
    _run(logs)
    logs.add_argument("job", metavar="JOB", help="its name as in status")
    logs.add_argument(
        "--attempt", type=terminal.whole(1, 10**6), metavar="N", help="of this attempt; default: the latest"
    )
    logs.add_argument("--follow", action="store_true", help="until the job is done or failed, or Ctrl-C")

    sync = _verb(verbs, "sync", verb.sync, "bring MLflow up to date with the store")
    _run(sync)

    tune = _verb(verbs, "tune", verb.tune, "tune the blend's weights again")
    _run(tune)
    tune.add_argument("--trials", type=terminal.whole(1, 10**6), metavar="N", help="default: as in the grid")
    tune.add_argument("--budget", type=terminal.whole(1, 10**9), metavar="K", help="most predictions of the blend")
    _json(tune)

    predict = _verb(verbs, "predict", verb.predict, "tag new audio files with the blend")
    _run(predict)
    predict.add_argument("files", type=Path, nargs="+", metavar="FILES")
    predict.add_argument("--csv", type=Path, metavar="CSV", help="write all scores here")
    predict.add_argument("--top", type=terminal.whole(1, 10**6), default=3, metavar="N", help="tags shown a file")
    _json(predict)

    submission = _verb(verbs, "submission", verb.submission, "write RUN/submission.csv")
    former = verbs.add_parser("submit")
    former.set_defaults(verb=verb.submit, parser=former)
    for parser in (submission, former):
        _run(parser)
        parser.add_argument("--ensemble", metavar="NAME", help="of an ensemble of the grid: RUN/submission-NAME.csv")

    score = _verb(verbs, "score", verb.score, "lwlrap on the test clips, given their labels")
    _run(score)
    score.add_argument("--labels", type=Path, required=True, metavar="CSV", help="fname,labels[,usage]")
    _json(score)

    report = _verb(verbs, "report", verb.report, "scores of conditions, folds and the blend")
    _run(report)
    _json(report)

    ui = _verb(verbs, "ui", verb.ui, "open a tracking server on localhost")
    _run(ui)
    ui.add_argument("--port", type=terminal.whole(1, 65_535), default=5000, help="default: %(default)s")


def _verb(verbs: Any, name: str, function: Any, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.set_defaults(verb=function, parser=parser)
    return parser


def _run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN")


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _grid(parser: argparse.ArgumentParser, data: str | None = None) -> None:
    """Arguments that bind a grid; with `data`, its help, the dataset may be left out."""
    parser.add_argument("grid", metavar="GRID", help="name of a grid that ships with sonogrid, or a YAML file")
    parser.add_argument("--data", type=Path, required=data is None, metavar="DATA", help=data or "dataset folder")
    parser.add_argument("--store", metavar="STORE", help="folder or s3:// or gs:// URL; default: RUN/store")
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="change a setting of the grid")
    parser.add_argument("--overlay", type=terminal.names, default=(), metavar="A,B", help="overlays of the grid")
    parser.add_argument("--only", type=terminal.names, default=(), metavar="A,B", help="these, and what they need")
    parser.add_argument("--folds", type=terminal.numbers, default=(), metavar="0,1", help="these folds")
    parser.add_argument("--skip-bad", action="store_true", help="set bad clips aside and list them in the report")


def _execution(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--executor", choices=("ray", "inline"), default="ray", help="default: %(default)s")
    parser.add_argument(
        "--address", metavar="ADDRESS", help="Ray cluster (auto, HOST:PORT); default: RAY_ADDRESS, else one in place"
    )
    parser.add_argument(
        "--gpus-per-job", type=float, metavar="N",
        help="below 1: several jobs share a device; default: one a worker, where there are GPUs",
    )  # fmt: skip
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes of a training job; default: %(default)s"
    )
    parser.add_argument(
        "--place", action="append", default=[], metavar="CONDITION.FIELD=VALUE",
        help="what is different for one condition: gpu (a type, A100), gpus or workers",
    )  # fmt: skip
    parser.add_argument(
        "--force", type=terminal.names, default=(), metavar="A,B", help="run these nodes again although done"
    )
    parser.add_argument("--retries", type=int, default=3, metavar="N", help="of a lost job; default: %(default)s")
    parser.add_argument(
        "--checkpoint-steps", type=int, default=0, metavar="N", help="checkpoints within epochs too, every N steps"
    )
    parser.add_argument(
        "--stall-s", type=float, default=1800.0, metavar="S",
        help="a job without progress for so many seconds is ended and tried again; default: %(default)s",
    )  # fmt: skip


def _submit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--submit", action="store_true", help="run on the cluster's head, by Ray Jobs: --address http://HOST:8265"
    )


def _machines(parser: argparse.ArgumentParser) -> None:
    default = "; default: %(default)s"
    parser.add_argument("--gpu", default="A100", metavar="NAME", help="GPU that time is told for" + default)
    parser.add_argument("--gpus", type=terminal.whole(1, 100_000), default=8, metavar="N", help="how many" + default)
    parser.add_argument(
        "--utilisation", type=float, default=0.3, metavar="SHARE", help="of its peak, reached" + default
    )


if __name__ == "__main__":
    sys.exit(main())
