"""What the names in a node's folder say, before any file is read.

    claim-<n>.json               attempt n has an owner
    attempt-<n>/                 what attempt n writes
    done.json, done-<g>.json     generation g of the results is finished; the first has no number
    damaged.json, damaged-<g>.json   generation g is void

Each of the numbered files is made once, by a conditional create, and never changed.
"""

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Layout", "attempt_folder", "attempt_place", "claim_file", "damage_file", "done_file", "number_of"]


@dataclass(frozen=True)
class Layout:
    """The numbers in the names of a node's files and folders."""

    names: frozenset[str]
    """Of all files and folders directly in the node's folder."""
    claims: tuple[int, ...] = ()
    """Attempts with a claim, the first one first."""
    attempts: tuple[int, ...] = ()
    """Attempts with a folder, the newest first."""
    generation: int = 1
    """Of the results: the first one that is not void, whether it is finished or not."""

    @property
    def is_done(self) -> bool:
        """Whether the results are finished."""
        return done_file(self.generation) in self.names

    @classmethod
    def of(cls, names: Iterable[str]) -> "Layout":
        """The layout that some names make."""
        claims, attempts, void = [], [], 0
        known = frozenset(names)
        for name in known:
            if name.startswith("claim-"):
                claims.append(number_of(name.removesuffix(".json")))
            elif name.startswith("attempt-"):
                attempts.append(number_of(name))
            elif name.startswith("damaged"):
                void = max(void, number_of(name.removesuffix(".json")) or 1)
        claims = sorted(filter(None, claims))
        attempts = sorted(filter(None, attempts), reverse=True)
        return cls(known, tuple(claims), tuple(attempts), void + 1)


def attempt_folder(number: int) -> str:
    """Name of an attempt's folder in its node's."""
    return f"attempt-{number}"


def attempt_place(name: str, number: int) -> str:
    """An attempt's folder, by the name of its node's."""
    return f"{name}/attempt-{number}"


def claim_file(number: int) -> str:
    """Name of the claim of an attempt."""
    return f"claim-{number}.json"


def done_file(generation: int) -> str:
    """Name of the done-mark of a generation of results."""
    return "done.json" if generation == 1 else f"done-{generation}.json"


def damage_file(generation: int) -> str:
    """Name of the mark that makes a generation void."""
    return "damaged.json" if generation == 1 else f"damaged-{generation}.json"


def number_of(name: str) -> int:
    """The number at the end of a name; 0 if it has none."""
    text = name.partition("-")[2]
    return int(text) if text.isdecimal() else 0
