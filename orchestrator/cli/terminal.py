"""Between the command line and the terminal: types of options, places to write to, and text that is only text.

Names of files, labels and conditions come from other people: nothing in them may be taken for markup or for a command
of the terminal.
"""

import argparse
import errno
import json
import os
import re
import sys
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console
from rich.text import Text

from features.errors import DataError, InputError, SonogridError
from features.words import printable

__all__ = [
    "Parser",
    "make_console",
    "names",
    "numbers",
    "print_json",
    "print_os_error",
    "print_problems",
    "require_new",
    "require_place",
    "require_sane_process",
    "take_any_character",
    "whole",
]

PROBLEMS_SHOWN = 50


def take_any_character() -> None:
    """Let output hold what the terminal's encoding lacks, such as a file's name in another one."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def require_sane_process() -> None:
    """Refuse a locale in which the names of a CSV are other bytes than on the disk, and a working folder that is gone.

    Raises:
        InputError: the sentence says what to set.
    """
    try:
        Path.cwd()
    except FileNotFoundError:
        raise InputError("the working folder does not exist any more: change to another one") from None
    if (coding := sys.getfilesystemencoding()) != "utf-8":
        raise InputError(f"the locale's encoding of file names is {coding}: set PYTHONUTF8=1, or LC_ALL=C.UTF-8")


def print_problems(error: SonogridError, *, all_of_them: bool) -> None:
    """A line a problem; of thousands only the first, unless they were asked for."""
    problems = error.problems if isinstance(error, DataError) else [str(error)]
    shown = problems if all_of_them else problems[:PROBLEMS_SHOWN]
    for problem in shown:
        print(f"sonogrid: {printable(problem)}", file=sys.stderr)
    if len(shown) < len(problems):
        more = len(problems) - len(shown)
        print(f"sonogrid: and {more} more problems ('sonogrid check DATA' lists all of a dataset)", file=sys.stderr)


def print_os_error(error: OSError) -> int:
    """What the machine refuses, in a sentence; gives the exit code."""
    from orchestrator.jobs.failures import cause_of

    print(f"sonogrid: {printable(cause_of(error))}", file=sys.stderr)
    return 1 if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO) else InputError.exit_code


class Parser(argparse.ArgumentParser):
    """argparse whose complaints are errors like others, and which takes no empty value for one that was left out."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Raise InputError where an argument is wrong or empty."""
        given = sys.argv[1:] if args is None else args
        if any(not text or (text.startswith("--") and text.find("=") == len(text) - 1) for text in given):
            raise InputError("an argument is empty: give it a value or leave it out")
        return super().parse_args(given, namespace)

    def error(self, message: str) -> NoReturn:
        """Called by argparse with its sentence."""
        raise InputError(message)


class _PlainConsole(Console):
    """Text is text: no markup in it is followed, and what does not print is escaped, as names come from files."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)


def make_console() -> Console:
    """A console on standard output; a log file is wide enough for whole tables."""
    console = _PlainConsole(soft_wrap=True, markup=False, emoji=False)
    return console if console.is_terminal else _PlainConsole(soft_wrap=True, markup=False, emoji=False, width=160)


def names(text: str) -> tuple[str, ...]:
    """Type of an option: names with commas between them, at least one."""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if not found:
        raise argparse.ArgumentTypeError("names nothing; give names with commas between them, or leave it out")
    return found


def numbers(text: str) -> tuple[int, ...]:
    """Type of an option: whole numbers with commas between them, at least one."""
    return tuple(whole(0, 10**6)(part) for part in names(text))


def whole(least: int, most: int) -> Callable[[str], int]:
    """Type of an option: a whole number of a range."""

    def read(text: str) -> int:
        number = int(text) if re.fullmatch("-?[0-9]{1,19}", text) else None
        if number is None or not least <= number <= most:
            raise argparse.ArgumentTypeError(f"'{printable(text[:80])}' is not a whole number from {least} to {most}")
        return number

    return read


def print_json(value: Any) -> None:
    """One JSON value, with what does not print escaped."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    print("".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text))


def require_place(option: str, folder: Path, data: Path | None = None) -> None:
    """Refuse a folder that can't be made or written to, or that is the dataset itself.

    Raises:
        InputError: the sentence names the option.
    """
    there = next(parent for parent in (folder, *folder.absolute().parents) if os.path.lexists(parent))
    if not there.is_dir():
        raise InputError(f"{option} {folder}: {there} is not a folder; choose another place")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{option} {folder}: {there} may not be written to; choose another place")
    if data is not None and folder.resolve() == data.resolve():
        raise InputError(f"{option} {folder} is the dataset; choose another folder, whose files are not mixed with it")
    if data is not None and folder.resolve().is_relative_to(data.resolve()):
        part = data.resolve() / folder.resolve().relative_to(data.resolve()).parts[0]
        if part.is_dir() and any(path.suffix == ".wav" for path in part.iterdir()):
            raise InputError(f"{option} {folder} lies among the clips of the dataset; choose another folder")


def require_new(option: str, path: Path) -> None:
    """Refuse a place for a CSV where something else is: a clip, a file of a run, a device.

    Raises:
        InputError: the sentence names the option.
    """
    if path.is_dir():
        raise InputError(f"{option} {path} is a folder; name a file")
    if os.path.lexists(path) and not (path.is_file() and path.suffix.lower() == ".csv"):
        raise InputError(f"{option} {path} is there already and is not named .csv; choose another name")
    require_place(option, path.absolute().parent)
