"""Run benchmarks one after the other: `make bench`, or `python -m benchmarks [--quick] [NAME ...]`.

Use a quiet machine, and compare ratios rather than seconds. `--quick` only checks that each benchmark runs, on little
data; its figures mean nothing.
"""

import argparse
from collections.abc import Callable

from benchmarks import blend, features_bench, lwlrap_bench, resume_bench, scale_bench, startup_bench

BENCHMARKS: dict[str, Callable[[bool], None]] = {
    "lwlrap": lwlrap_bench.main,
    "blend": blend.main,
    "features": features_bench.main,
    "scale": scale_bench.main,
    "start-up": startup_bench.main,
    "resume": resume_bench.main,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"{', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="little data, one round: only checks that they run")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in BENCHMARKS]:
        parser.error(f"unknown benchmark {unknown[0]!r}; choose from {', '.join(BENCHMARKS)}")
    for name in options.names or BENCHMARKS:
        print(f"== {name}", flush=True)
        BENCHMARKS[name](options.quick)


if __name__ == "__main__":
    main()
