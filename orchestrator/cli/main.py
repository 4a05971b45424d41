"""The command line: `sonogrid VERB`. Exit codes: 0 done, 1 a job failed or was stopped, 2 bad input."""

import argparse
import os
import sys
from collections.abc import Sequence

from features.errors import ADVICE, InputError, SonogridError
from orchestrator.cli import terminal
from orchestrator.cli.verbs import data, results, running, tagging, upkeep, watching
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
        terminal.print_problems(error, all_of_them=chosen is data.check)
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
    for group in (data, running, watching, results, tagging):
        group.add(verbs)
    upkeep.add(verbs, parser)
    helps = {action.dest: action.help for action in verbs._choices_actions}
    lines = ["Train, blend and use audio taggers on clean and noisy labels."]
    for title, names in GROUPS.items():
        lines += ["", f"{title}:", *(f"    {name:<12} {helps[name]}" for name in names if name in helps)]
    parser.description = "\n".join(lines)
    return parser


if __name__ == "__main__":
    sys.exit(main())
