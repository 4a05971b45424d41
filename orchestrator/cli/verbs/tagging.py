"""Verbs that use the tagger of a run."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from orchestrator import api
from orchestrator.cli import terminal
from orchestrator.cli.options import Arguments, Verbs, add_json, add_run, add_verb
from orchestrator.cli.terminal import print_json

__all__ = ["add"]

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


def add(verbs: Verbs) -> None:
    """Declare the verbs of this group with their options."""
    _add_predict(verbs)
    _add_serve(verbs)
    _add_export(verbs)
    _add_register(verbs)


def _add_predict(verbs: Verbs) -> None:
    parser = add_verb(verbs, "predict", predict, "tag audio files with the blend", PREDICT_EXAMPLES)
    add_run(parser)
    parser.add_argument(
        "files", nargs="+", metavar="FILES",
        help="audio files of any sample rate, folders, patterns such as 'rec/**/*.wav', or - for a list on standard "
        "input",
    )  # fmt: skip
    parser.add_argument(
        "--to", type=Path, metavar="FILE",
        help="also write the scores of all classes to this new file: .csv, .json, .jsonl or .parquet; with --windows "
        "also labels for Audacity: a .txt, or a folder",
    )  # fmt: skip
    parser.add_argument(
        "--windows", type=terminal.windows, metavar="SECONDS[,HOP]",
        help="tag windows of this length, HOP seconds apart (default: the length), of recordings of any length",
    )  # fmt: skip
    parser.add_argument("--csv", type=Path, metavar="CSV", help=argparse.SUPPRESS)  # the former form of --to
    parser.add_argument(
        "--top", type=terminal.whole(1, 10**6), metavar="N",
        help="largest number of tags to show per file (default: 3; with --threshold, all)",
    )  # fmt: skip
    parser.add_argument(
        "--threshold", type=terminal.threshold, metavar="SCORE",
        help="show only tags with at least this score, 0 to 1, or auto: each class's own, of best out-of-fold F1",
    )  # fmt: skip
    parser.add_argument("--skip-bad", action="store_true", help="name files that cannot be read and tag the others")
    parser.add_argument(
        "--condition", metavar="NAME", help="use the members of this condition, with equal weights, not the blend"
    )
    parser.add_argument(
        "--members", type=terminal.whole(1, 10**6), metavar="N", help="use only the N members with the highest weights"
    )
    add_json(parser)


def predict(arguments: Arguments, console: Console) -> int:
    from orchestrator.cli.predict import predict_files

    return predict_files(arguments, console)


def _add_serve(verbs: Verbs) -> None:
    parser = add_verb(verbs, "serve", serve, "tag sounds on a page and by HTTP, served on localhost")
    add_run(parser)
    parser.add_argument(
        "--port", type=terminal.whole(1, 65_535), default=8000, metavar="N",
        help="port of the server (default: %(default)s)",
    )  # fmt: skip


def serve(arguments: Arguments, console: Console) -> int:
    return api.serve(arguments.run, port=arguments.port, console=console)


def _add_export(verbs: Verbs) -> None:
    parser = add_verb(verbs, "export", export, "write the blend to one file that other programs run", EXPORT_EXAMPLES)
    add_run(parser)
    parser.add_argument(
        "--to", type=Path, required=True, metavar="FILE",
        help="new file: .onnx, .pt2 (torch.export) or .tagger (for sonogrid predict and Tagger.load)",
    )  # fmt: skip
    parser.add_argument(
        "--condition", metavar="NAME", help="only the members of this condition, with equal weights, not the blend"
    )
    parser.add_argument(
        "--fold", type=terminal.whole(0, 10**6), metavar="K", help="of the condition, only the networks of this fold"
    )
    parser.add_argument(
        "--cycle", type=terminal.whole(1, 10**6), metavar="N", help="of the condition, only the snapshots of this cycle"
    )
    parser.add_argument(
        "--members", type=terminal.whole(1, 10**6), metavar="N", help="only the N members with the highest weights"
    )
    parser.add_argument(
        "--precision", choices=("fp32", "fp16", "int8"), default="fp32",
        help="bits of the weights in the file (default: %(default)s)",
    )  # fmt: skip
    add_json(parser)


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


def _add_register(verbs: Verbs) -> None:
    parser = add_verb(verbs, "register", register, "register the blend in MLflow; the best is the champion")
    add_run(parser)
    parser.add_argument(
        "--condition", metavar="NAME", help="register this condition, such as a student, instead of the blend"
    )
    add_json(parser)


def register(arguments: Arguments, console: Console) -> int:
    found = api.register(arguments.run, condition=arguments.condition)
    if arguments.json:
        print_json(found.as_dict())
        return 0
    console.print(f"registered {found}")
    console.print(f"models:/{found.name}/{found.version}")
    return 0
