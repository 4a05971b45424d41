"""Sonogrid against peers and floors, in one table: `python -m benchmarks [--quick] [--json] [NAME ...]`, `make bench`.

Each row is a ratio of two times of the same run, measured in turn: above 1, sonogrid is faster than what it is compared
with. Compare ratios rather than seconds, on a quiet machine. `--quick` only checks that each benchmark runs, on little
data; its figures mean nothing.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import (
    blend,
    features_bench,
    hash_bench,
    lwlrap_bench,
    predict_bench,
    resume_bench,
    scale_bench,
    startup_bench,
    step_bench,
    verbs_bench,
)
from benchmarks.rows import Row

BENCHMARKS: dict[str, Callable[[bool], list[Row]]] = {
    "lwlrap": lwlrap_bench.rows,
    "features": features_bench.rows,
    "step": step_bench.rows,
    "prediction": predict_bench.rows,
    "hashing": hash_bench.rows,
    "blend": blend.rows,
    "scale": scale_bench.rows,
    "verbs": verbs_bench.rows,
    "start-up": startup_bench.rows,
    "resume": resume_bench.rows,
}


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "processor": models[0].partition(": ")[2] if models else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "torch": version("torch"),
    }


def table(rows: Sequence[Row]) -> Table:
    drawn = Table(title="times of the reference / times of sonogrid, median of the rounds (lowest to highest)")
    for name in ("sonogrid", "against"):
        drawn.add_column(name)
    for name in ("ratio", "spread", "sonogrid", "reference", "rounds"):
        drawn.add_column(name, justify="right")
    for row in rows:
        drawn.add_row(
            row.what, row.against, f"{row.ratio:.2f}", f"{row.low:.2f} to {row.high:.2f}",
            f"{row.ours_s:.4g} {row.unit}", f"{row.reference_s:.4g} {row.unit}", str(row.rounds),
        )  # fmt: skip
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"{', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="little data, one round: only checks that they run")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in BENCHMARKS]:
        parser.error(f"unknown benchmark {unknown[0]!r}; choose from {', '.join(BENCHMARKS)}")
    before, rows = machine(), []
    for name in options.names or BENCHMARKS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows += BENCHMARKS[name](options.quick)
    loads = {"load_after": machine()["load"]}
    if options.json:
        print(json.dumps({"machine": {**before, **loads}, "rows": [row.as_dict() for row in rows]}, indent=1))
        return
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table(rows))
    console.print(
        f"{before['cores']} cores of {before['processor']}, load {before['load']} before and {loads['load_after']} "
        f"after, Python {before['python']}, torch {before['torch']}"
    )


if __name__ == "__main__":
    main()
