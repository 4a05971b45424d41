"""Between the command line and the terminal: types of options, errors, and output that is plain text.

Names of files, labels and conditions come from other people: nothing in them may be read as markup or as a terminal
command.
"""

import argparse
import errno
import json
import math
import re
import sys
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Literal, NoReturn

from rich.console import Console
from rich.text import Text

from features.errors import DataError, InputError, SonogridError
from features.words import count, nearest, printable, short

__all__ = [
    "Parser",
    "Version",
    "make_console",
    "names",
    "numbers",
    "place",
    "print_json",
    "print_os_error",
    "print_problems",
    "require_sane_process",
    "seconds",
    "share",
    "take_any_character",
    "threshold",
    "whole",
    "windows",
]

MOST_NUMBER = 10**6
MOST_NUMBERS = 1000
"""In a range."""

PROBLEMS_SHOWN = 50
LOG_WIDTH = 160
"""Characters of a line where output is not a terminal."""


def take_any_character() -> None:
    """Escape characters that the encoding of the terminal lacks, such as those of a file name in another encoding."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def require_sane_process() -> None:
    """Refuse a locale in which names in a CSV would be other bytes than on disk, and a working folder that is gone.

    Raises:
        InputError: the sentence says what to set.
    """
    try:
        Path.cwd()
    except FileNotFoundError:
        raise InputError("the working folder no longer exists: change to another one") from None
    if (coding := sys.getfilesystemencoding()) != "utf-8":
        raise InputError(f"the locale's encoding of file names is {coding}: set PYTHONUTF8=1, or LC_ALL=C.UTF-8")


def print_problems(error: SonogridError, *, all_of_them: bool) -> None:
    """Print one line per problem; of thousands only the first, unless all of them were asked for."""
    problems = error.problems if isinstance(error, DataError) else [str(error)]
    shown = problems if all_of_them else problems[:PROBLEMS_SHOWN]
    for problem in shown:
        print(f"sonogrid: {printable(problem)}", file=sys.stderr)
    if len(shown) < len(problems):
        more = len(problems) - len(shown)
        print(f"sonogrid: and {count(more, 'more problem')} ('sonogrid check DATA' lists all)", file=sys.stderr)
    elif len(shown) > PROBLEMS_SHOWN:
        print(f"sonogrid: {count(len(shown), 'problem')} in all", file=sys.stderr)


def print_os_error(error: OSError) -> int:
    """Print what the machine refused, in a sentence, and return the exit code."""
    from orchestrator.jobs.failures import cause_of

    print(f"sonogrid: {printable(cause_of(error))}", file=sys.stderr)
    return 1 if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO) else InputError.exit_code


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises InputError, rejects empty values and suggests the nearest verb or option."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Read a command line.

        Raises:
            InputError: an argument is wrong, empty, missing or unknown.
        """
        given = sys.argv[1:] if args is None else args
        if any(not text or (text.startswith("--") and text.find("=") == len(text) - 1) for text in given):
            raise InputError("an argument is empty: give it a value or leave it out")
        found, unknown = self.parse_known_args(given, namespace)
        if unknown:
            name = unknown[0].partition("=")[0]
            options = [option[2:] for action in found.parser._actions for option in action.option_strings]
            near = nearest(name[2:], options) if name.startswith("--") else None
            hint = f"did you mean --{near}?" if near else f"'{found.parser.prog} --help' lists what it takes"
            raise InputError(f"unknown argument {short(name)}; {hint}")
        return found

    def error(self, message: str) -> NoReturn:
        """Called by argparse with its sentence."""
        raise InputError(message)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Called by argparse with a value that may not be among the choices of an argument."""
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            near = nearest(value, action.choices)
            hint = f"did you mean '{near}'?" if near else f"'{self.prog} --help' lists all verbs"
            raise InputError(f"there is no verb '{short(value)}'; {hint}")
        super()._check_value(action, value)


class Version(argparse.Action):
    """Prints the version, which is looked up only when it is asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        """Print and exit."""
        from importlib.metadata import version

        print(f"sonogrid {version('sonogrid')}")
        parser.exit()


class _PlainConsole(Console):
    """Escapes characters that do not print, as names come from files."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text), **options)


def make_console() -> Console:
    """A console on standard output; a log file is wide enough for whole tables."""
    width = None if sys.stdout.isatty() else LOG_WIDTH
    return _PlainConsole(soft_wrap=True, markup=False, emoji=False, highlight=False, width=width)


def place(text: str) -> Path | str:
    """Type of an option: a folder, or a URL as it is."""
    return text if "://" in text else Path(text)


def names(text: str) -> tuple[str, ...]:
    """Type of an option: a comma-separated list of names, at least one."""
    return _parts(text, "names")


def numbers(text: str) -> tuple[int, ...]:
    """Type of an option: a comma-separated list of whole numbers and ranges such as 0-2, at least one."""
    found: list[int] = []
    for part in _parts(text, "numbers"):
        ends = part.split("-") if re.fullmatch("[0-9]+-[0-9]+", part) else [part]
        low, high = (whole(0, MOST_NUMBER)(end) for end in (ends[0], ends[-1]))
        if not low <= high < low + MOST_NUMBERS:
            raise argparse.ArgumentTypeError(
                f"'{printable(part[:80])}' is not a range from a smaller to a larger number"
            )
        found += range(low, high + 1)
    return tuple(found)


def _parts(text: str, what: str) -> tuple[str, ...]:
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if not found:
        raise argparse.ArgumentTypeError(f"expected a comma-separated list of {what}")
    return found


def whole(least: int, most: int) -> Callable[[str], int]:
    """Type of an option: a whole number within bounds, both included."""

    def read(text: str) -> int:
        number = int(text) if re.fullmatch("-?[0-9]{1,19}", text) else None
        if number is None or not least <= number <= most:
            raise argparse.ArgumentTypeError(f"'{printable(text[:80])}' is not a whole number from {least} to {most}")
        return number

    return read


def seconds(text: str) -> float:
    """Type of an option: a time such as 90s, 20m or 1h30m."""
    found = re.fullmatch(r"(?:(\d{1,4})h)?(?:(\d{1,5})m)?(?:(\d{1,7})s)?", text)
    total = sum(int(part or 0) * unit for part, unit in zip(found.groups(), (3600, 60, 1), strict=True)) if found else 0
    if not total:
        raise argparse.ArgumentTypeError(f"'{printable(text[:80])}' is no time such as 90s, 20m or 1h30m")
    return float(total)


def share(text: str) -> float:
    """Type of an option: a number from 0 to 1."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"'{printable(text[:80])}' is not a number from 0 to 1")
    return number


def windows(text: str) -> tuple[float, float]:
    """Type of an option: seconds of a window, and of the step to the next if it is not the same."""
    length, comma, step = text.partition(",")
    try:
        found = float(length), float(step if comma else length)
    except ValueError:
        found = math.nan, math.nan
    if not all(0.05 <= seconds <= 600 for seconds in found):
        raise argparse.ArgumentTypeError(
            f"'{printable(text[:80])}' is not SECONDS or SECONDS,HOP, from 0.05 to 600 each"
        )
    return found


def threshold(text: str) -> float | Literal["auto"]:
    """Type of an option: a number from 0 to 1, or 'auto'."""
    return "auto" if text == "auto" else share(text)


def print_json(value: Any) -> None:
    """One JSON value, with what does not print escaped."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    print("".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text))
