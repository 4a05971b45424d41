"""Words for messages: what may be shown on a terminal, cut to length, counted, listed, or was perhaps meant."""

import difflib
from collections.abc import Iterable, Sequence

__all__ = ["count", "listed", "nearest", "plural", "printable", "short"]

LONGEST = 120
"""Characters of a text inside a sentence."""
TAIL = 15
"""Characters that stay at the end of a text that is cut."""


def printable(text: str) -> str:
    """Text for a terminal or a log: characters that do not print are escaped.

    Names come from other people's files: an escape sequence in one must not reach the terminal, and a line break or a
    mark that changes the direction of writing must not make one name look like another.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def short(text: str, longest: int = LONGEST) -> str:
    """Printable text of at most `longest` characters (20 or more); a long text loses its middle."""
    text = printable(text)
    return text if len(text) <= longest else f"{text[: longest - TAIL - 5]}...{text[-TAIL:]}"


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name that was perhaps meant: the most similar one, whatever its case, or None if none is similar."""
    by_lower: dict[str, str] = {}
    for known in names:
        by_lower.setdefault(known.lower(), known)
    # Comparing takes time that grows with the length, and names of thousands of characters do occur.
    found = difflib.get_close_matches(name[:LONGEST].lower(), by_lower, n=1)
    return by_lower[found[0]] if found else None


def plural(number: int, one: str, many: str | None = None) -> str:
    """The noun for a number of things: 'job' or 'jobs', 'class' or 'classes'; by default the plural adds an s."""
    return one if number == 1 else many or f"{one}s"


def count(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: '1 job', '2 jobs', '1,024 classes'."""
    return f"{number:,} {plural(number, one, many)}"


def listed(names: Sequence[str], most: int = 5) -> str:
    """The first names of a list that may be long, each cut to 80 characters: 'A, B, C, D, E and 12 more'."""
    first = ", ".join(short(name, 80) for name in names[:most])
    return first if len(names) <= most else f"{first} and {len(names) - most:,} more"
