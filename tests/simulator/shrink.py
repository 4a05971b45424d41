"""Shrinks a history in which a rule was broken: fewer faults, and the same rule."""

from tests.simulator.history import Verdict, play

__all__ = ["shrunk"]


def shrunk(verdict: Verdict) -> tuple[int, ...]:
    """Numbers of faults of a history that are enough; none of them can be left out."""
    numbers = tuple(range(len(verdict.faults)))
    for number in reversed(numbers):
        fewer = tuple(other for other in numbers if other != number)
        again = play(verdict.seed, [verdict.faults[n] for n in fewer])
        if _rule(again.error) == _rule(verdict.error):
            numbers = fewer
    return numbers


def _rule(error: str) -> str:
    """Which rule it is: 'invariant 3', or the kind of an error."""
    return error.partition(":")[0]
