"""Between the command line and the terminal: types of options, places to write to, and text that is only text.

Names of files, labels and conditions come from other people: nothing in them may be taken for markup or for a command
of the terminal.
"""

import argparse
import errno
import json
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
    "require_sane_process",
    "take_any_character",
    "whole",
]

PROBLEMS_SHOWN = 50
LOG_WIDTH = 160
"""Characters of a line where output is not a terminal."""


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
    width = None if sys.stdout.isatty() else LOG_WIDTH
    return _PlainConsole(soft_wrap=True, markup=False, emoji=False, highlight=False, width=width)


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
