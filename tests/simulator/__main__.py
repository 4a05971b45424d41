"""Play histories: `python -m tests.simulator --seeds 1000`. Play one again, in full: `… --seed 7`."""

import argparse
import itertools
import sys
import time
from collections.abc import Sequence

from tests.simulator.history import Verdict, play
from tests.simulator.mutants import MUTANTS
from tests.simulator.shrink import shrunk
from tests.simulator.stand_ins import stand_ins


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 if a rule was broken in a history."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many histories; 0: until it is stopped")
    parser.add_argument("--first", type=int, default=0, help="the seed of the first one")
    parser.add_argument("--seed", type=int, help="play this one alone, and print all that happens")
    parser.add_argument("--keep", help="of its faults keep those with these numbers, such as 0,3; '-': none")
    parser.add_argument("--mutant", choices=sorted(MUTANTS), help="put an old fault back first")
    given = parser.parse_args(arguments)
    with stand_ins() as patches:
        if given.mutant:
            MUTANTS[given.mutant].put_back(patches)
        if given.seed is not None:
            return _replay(given.seed, given.keep, given.mutant)
        return _play(given.first, given.seeds, given.mutant)


def _replay(seed: int, keep: str | None, mutant: str | None) -> int:
    faults = None
    if keep is not None:
        drawn = play(seed).faults
        faults = [drawn[int(number)] for number in keep.split(",") if number != "-"]
    verdict = play(seed, faults, trace=True)
    print("\n".join(verdict.trace))
    print(f"{verdict.calls} calls, {verdict.seconds:.1f} s; faults: {'; '.join(map(str, verdict.faults)) or 'none'}")
    print(verdict.error or "every rule holds")
    return int(bool(verdict.error))


def _play(first: int, count: int, mutant: str | None) -> int:
    began, played, broken = time.process_time(), 0, 0
    for seed in itertools.islice(itertools.count(first), count or None):
        verdict = play(seed)
        played += 1
        if verdict.error:
            broken += 1
            _print(verdict, mutant)
            if mutant:
                break
        if played % 1000 == 0 and count == 0:
            _rate(played, broken, began)
    _rate(played, broken, began)
    return int(bool(broken))


def _print(verdict: Verdict, mutant: str | None) -> None:
    numbers = shrunk(verdict)
    more = f" --mutant {mutant}" if mutant else ""
    print(f"seed {verdict.seed}: {verdict.error}")
    for number in numbers:
        print(f"  fault {number}: {verdict.faults[number]}")
    print(
        f"  again: python -m tests.simulator --seed {verdict.seed} --keep {','.join(map(str, numbers)) or '-'}{more}",
        flush=True,
    )


def _rate(played: int, broken: int, began: float) -> None:
    seconds = time.process_time() - began
    print(f"{played} histories, {played / seconds:.1f} per second of CPU; rules broken in {broken}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
