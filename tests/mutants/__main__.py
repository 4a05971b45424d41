"""Mutants of a module, and how many of them its tests notice: `python -m tests.mutants orchestrator/store/base.py`.

Prints each mutant that survives, with the reason in `survivors.yaml` beside this file if it has one. Of a module with
many mutants, it tries a random sample and adds the 95 % interval of the share (Wilson).
"""

import argparse
import ast
import importlib
import json
import math
import random
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from tests.mutants.mutations import Mutant, mutants_of
from tests.mutants.plugin import Mutants, Result
from tests.mutants.suites import suite_of

HERE = Path(__file__).resolve().parent


def main() -> int:
    """Return 0 if every survivor has a reason."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("module", help="path of a module, such as orchestrator/store/base.py")
    parser.add_argument("--sample", type=int, default=80, help="try so many at most (default: %(default)s); 0: all")
    parser.add_argument("--seed", type=int, default=0, help="of the sample (default: %(default)s)")
    parser.add_argument("--only", default="", help="only mutants whose text contains this")
    parser.add_argument("--out", type=Path, help="append each result to a file, one JSON object per line")
    options = parser.parse_args()
    module = importlib.import_module(options.module.removesuffix(".py").replace("/", "."))
    tree = ast.parse(Path(options.module).read_text(encoding="utf-8"))
    mutants = [mutant for mutant in mutants_of(tree) if options.only in str(mutant)]
    tried = _sample(mutants, options.sample, options.seed)
    results: list[Result] = []

    def report(result: Result) -> None:
        results.append(result)
        if options.out is not None:
            with options.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"module": options.module, **asdict(result)}) + "\n")

    plugin = Mutants(module, tree, tried, report)
    code = pytest.main(["-q", "-p", "no:cacheprovider", *suite_of(options.module)], plugins=[plugin])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        return int(code)
    return _tell(options.module, len(mutants), results)


def _sample(mutants: list[Mutant], size: int, seed: int) -> list[Mutant]:
    if not size or size >= len(mutants):
        return mutants
    return sorted(random.Random(seed).sample(mutants, size), key=mutants.index)


def _tell(module: str, n_mutants: int, results: list[Result]) -> int:
    reasons = yaml.safe_load((HERE / "survivors.yaml").read_text(encoding="utf-8")).get(module, {})
    survivors = [result for result in results if not result.killer]
    for result in survivors:
        print(f"{module}:{result.line}: {result.mutant}\n    {reasons.get(result.mutant, 'no reason')}")
    killed, n = len(results) - len(survivors), len(results)
    low, high = _interval(killed, n)
    interval = f", {low:.0%} to {high:.0%} of all" if n < n_mutants else ""
    print(f"{module}: {killed} of {n} killed ({killed / max(1, n):.0%}{interval}); it has {n_mutants} mutants")
    return int(any(result.mutant not in reasons for result in survivors))


def _interval(part: int, n: int) -> tuple[float, float]:
    """The Wilson interval of a share, 95 %."""
    if n == 0:
        return 0.0, 1.0
    z, p = 1.96, part / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return middle - half, middle + half


if __name__ == "__main__":
    sys.exit(main())
