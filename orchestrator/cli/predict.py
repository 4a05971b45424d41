"""`sonogrid predict`: tags of files, folders and patterns, on the terminal and as a table."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from features.errors import DataError
from features.words import count, listed, printable
from orchestrator.cli.terminal import print_json
from orchestrator.report.submission import write_scores
from orchestrator.run.places import require_new
from orchestrator.tagger.calibration import FEW_CLIPS
from orchestrator.tagger.files import find_files
from orchestrator.tagger.tables import require_table, write_table
from orchestrator.tagger.tagger import Scores, Tagger, require_audio

__all__ = ["predict_files"]

FEW = 20
"""Files that are tagged without a progress bar."""


def predict_files(arguments: argparse.Namespace, console: Console) -> int:
    """Tag files, print their tags, and write a table of all scores if one is wanted.

    Raises:
        InputError: there is no such run, or no file is meant.
        DataError: files that cannot be read; with --skip-bad, none of them can.
    """
    if arguments.to is not None:
        require_table("--to", arguments.to)
        require_new("--to", arguments.to)
    if arguments.csv is not None:
        require_new("--csv", arguments.csv)
    files = find_files(arguments.files, sys.stdin)
    tagger = Tagger.load(arguments.run, condition=arguments.condition, members=arguments.members)
    if arguments.threshold == "auto":
        _warn_of_few_clips(tagger)
    files, scores = _scored(tagger, files, skip_bad=arguments.skip_bad)
    names = [str(path) for path in files]
    if arguments.to is not None:
        write_table(arguments.to, names, tagger.classes, scores)
    if arguments.csv is not None:
        write_scores(arguments.csv, names, tagger.classes, scores)
    chosen = arguments.top is not None or arguments.threshold is not None
    most = arguments.top or (len(tagger.classes) if chosen or arguments.json else 3)
    least = arguments.threshold or 0.0
    tags = {name: tagger.tags_of(row, top=most, threshold=least) for name, row in zip(names, scores, strict=True)}
    if arguments.json:
        print_json({name: dict(found) for name, found in tags.items()})
        return 0
    for name, found in tags.items():
        console.print(f"{name}: {'  '.join(f'{tag} {value:.3f}' for tag, value in found) or '-'}")
    return 0


def _warn_of_few_clips(tagger: Tagger) -> None:
    """Name the classes whose threshold rests on few clips."""
    few = [name for name, clips in zip(tagger.classes, tagger.calibration.clips, strict=True) if clips < FEW_CLIPS]
    if few:
        classes = f"{count(len(few), 'class', 'classes')} with fewer than {FEW_CLIPS} clips"
        print(f"sonogrid: thresholds are rough for {classes}: {listed(few)}", file=sys.stderr)


def _scored(tagger: Tagger, files: Sequence[Path], *, skip_bad: bool) -> tuple[list[Path], Scores]:
    """The files that could be read, and their scores (N, C)."""
    if not skip_bad:
        require_audio(files)
    bar = Console(stderr=True)
    quiet = len(files) <= FEW or not bar.is_terminal
    found = tagger.stream(files, checked=not skip_bad)
    stream = track(found, "tagging", total=len(files), console=bar, transient=True, disable=quiet)
    good: list[Path] = []
    rows: list[Scores] = []
    problems: list[str] = []
    for path, scores in zip(files, stream, strict=True):
        if isinstance(scores, DataError):
            problems += scores.problems
        else:
            good.append(path)
            rows.append(scores)
    if problems and not (skip_bad and good):
        raise DataError(problems)
    for problem in problems:
        print(f"sonogrid: skipped: {printable(problem)}", file=sys.stderr)
    if problems:
        print(f"sonogrid: {count(len(problems), 'file')} of {len(files):,} skipped", file=sys.stderr)
    return good, np.stack(rows)
