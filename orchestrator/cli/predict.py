"""`sonogrid predict`: tags of files, folders and patterns, on the terminal and as a table."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import track

from features.errors import DataError, InputError
from features.words import count, listed, printable
from orchestrator.cli.terminal import print_json
from orchestrator.run.places import require_new
from orchestrator.tagger.calibration import FEW_CLIPS
from orchestrator.tagger.files import find_files
from orchestrator.tagger.tables import Rows, is_labels, require_form, write_labels, write_table
from orchestrator.tagger.tagger import Segment, Tagger, Threshold, require_audio

__all__ = ["predict_files"]

FEW = 20
"""Files that are tagged without a progress bar."""


def predict_files(arguments: argparse.Namespace, console: Console) -> int:
    """Tag files or windows of recordings, print their tags, and write a table of all scores or labels if wanted.

    Raises:
        InputError: there is no such run, or no file is meant.
        DataError: files that cannot be read; with --skip-bad, none of them can.
    """
    windows = arguments.windows
    labels = arguments.to is not None and is_labels(arguments.to)
    if arguments.to is not None:
        require_form("--to", arguments.to, windows=windows is not None)
        require_new("--to", arguments.to)
    if arguments.csv is not None:
        require_new("--csv", arguments.csv)
    files = find_files(arguments.files, sys.stdin)
    if labels and arguments.to.suffix and len(files) > 1:
        raise InputError(
            f"--to {arguments.to} takes the labels of one recording: name a folder for {len(files)} of them"
        )
    tagger = Tagger.load(arguments.run, condition=arguments.condition, members=arguments.members)
    chosen = arguments.top is not None or arguments.threshold is not None
    least: Threshold = "auto" if labels and not chosen else arguments.threshold or 0.0
    if least == "auto":
        _warn_of_few_clips(tagger)
    rows = _scored(tagger, files, windows, skip_bad=arguments.skip_bad)
    most = arguments.top or (len(tagger.classes) if chosen or labels or arguments.json else 3)
    tags = [tagger.tags_of(segment.scores, top=most, threshold=least) for segment in rows.segments]
    if labels:
        write_labels(arguments.to, rows, [[name for name, _ in found] for found in tags])
    elif arguments.to is not None:
        write_table(arguments.to, rows, tagger.classes)
    if arguments.csv is not None:
        write_table(arguments.csv, rows, tagger.classes)
    if arguments.json:
        print_json(_as_json(rows, tags))
        return 0
    for name, segment, found in zip(rows.names, rows.segments, tags, strict=True):
        times = f" {segment.start_s:g}-{segment.end_s:g} s" if rows.windows else ""
        console.print(f"{name}{times}: {'  '.join(f'{tag} {value:.3f}' for tag, value in found) or '-'}")
    return 0


def _as_json(rows: Rows, tags: Sequence[Sequence[tuple[str, float]]]) -> dict[str, object]:
    """File -> its tags, or its windows with theirs."""
    if not rows.windows:
        return {name: dict(found) for name, found in zip(rows.names, tags, strict=True)}
    files: dict[str, list[object]] = {}
    for name, segment, found in zip(rows.names, rows.segments, tags, strict=True):
        window = {"start_s": segment.start_s, "end_s": segment.end_s, "tags": dict(found)}
        files.setdefault(name, []).append(window)
    return dict(files)


def _warn_of_few_clips(tagger: Tagger) -> None:
    """Name the classes whose threshold rests on few clips."""
    few = [name for name, clips in zip(tagger.classes, tagger.calibration.clips, strict=True) if clips < FEW_CLIPS]
    if few:
        classes = f"{count(len(few), 'class', 'classes')} with fewer than {FEW_CLIPS} clips"
        print(f"sonogrid: thresholds are rough for {classes}: {listed(few)}", file=sys.stderr)


def _scored(tagger: Tagger, files: Sequence[Path], windows: tuple[float, float] | None, *, skip_bad: bool) -> Rows:
    """The scores of the files that could be read, or of their windows."""
    if not skip_bad and windows is None:
        require_audio(files)
    bar = Console(stderr=True)
    quiet = not bar.is_terminal or (len(files) <= FEW and windows is None)
    found = _whole(tagger, files, checked=not skip_bad) if windows is None else _windows(tagger, files, *windows)
    stream = track(found, "tagging", total=len(files), console=bar, transient=True, disable=quiet)
    names: list[str] = []
    segments: list[Segment] = []
    problems: list[str] = []
    for path, scored in zip(files, stream, strict=True):
        if isinstance(scored, DataError):
            if windows is not None and not skip_bad:
                raise scored
            problems += scored.problems
        else:
            names += [str(path)] * len(scored)
            segments += scored
    if problems and not (skip_bad and segments):
        raise DataError(problems)
    for problem in problems:
        print(f"sonogrid: skipped: {printable(problem)}", file=sys.stderr)
    if problems:
        print(f"sonogrid: {count(len(problems), 'file')} of {len(files):,} skipped", file=sys.stderr)
    return Rows(names, segments, windows is not None)


def _whole(tagger: Tagger, files: Sequence[Path], *, checked: bool) -> Iterator[list[Segment] | DataError]:
    for scores in tagger.stream(files, checked=checked):
        yield scores if isinstance(scores, DataError) else [Segment(0.0, 0.0, scores)]


def _windows(
    tagger: Tagger, files: Sequence[Path], window_s: float, hop_s: float
) -> Iterator[list[Segment] | DataError]:
    for path in files:
        try:
            yield list(tagger.segments(path, window_s, hop_s))
        except DataError as error:
            yield error
