"""Rows of the table of benchmarks: sonogrid against a peer or a floor, measured in turn in one run."""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Row", "compare", "cpu_s", "row_of", "wall_s"]

Clock = Callable[[], float]


@dataclass(frozen=True)
class Row:
    """One comparison. The ratio is that of a round; its spread is over the rounds."""

    what: str
    against: str
    """The peer or the floor."""
    ratio: float
    """Median of the reference's time / sonogrid's time: above 1, sonogrid is faster."""
    low: float
    high: float
    ours_s: float
    """Median seconds of sonogrid."""
    reference_s: float
    unit: str
    """'CPU s' of this process and its children, or 's' by the clock on the wall."""
    rounds: int

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


def cpu_s() -> float:
    """CPU seconds of this process, all its threads, and its children that have ended."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


wall_s: Clock = time.perf_counter


def compare(
    what: str,
    against: str,
    ours: Callable[[], object],
    reference: Callable[[], object],
    rounds: int,
    *,
    repeat: int = 1,
    clock: Clock = cpu_s,
) -> Row:
    """Time two functions in turn, so that a busy machine slows both. Each is called once before, to warm up.

    Args:
        what: what sonogrid does.
        against: what the reference is.
        ours: does it.
        reference: the peer or floor.
        rounds: how often both are timed.
        repeat: calls of a quick function per round.
        clock: `cpu_s` or `wall_s`.
    """
    ours(), reference()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for side, function in zip(times, (ours, reference), strict=True):
            began = clock()
            for _ in range(repeat):
                function()
            side.append((clock() - began) / repeat)
    return row_of(what, against, *times, unit="CPU s" if clock is cpu_s else "s")


def row_of(what: str, against: str, ours_s: Sequence[float], reference_s: Sequence[float], unit: str) -> Row:
    """A row of times that were measured in turn."""
    ratios = [reference / ours for ours, reference in zip(ours_s, reference_s, strict=True)]
    return Row(
        what, against, statistics.median(ratios), min(ratios), max(ratios),
        statistics.median(ours_s), statistics.median(reference_s), unit, len(ratios),
    )  # fmt: skip
