"""Verbs as a user types them, in new processes, against the start of Python with NumPy and pandas."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.rows import Row, compare
from features.synthetic import generate

GRID = """
name: verbs
data: {folds: 2}
features: {mel: {n_mels: 16, hop_samples: 1000}}
defaults:
  {network: {kind: resnet, depth: 10, width: 4, head_units: 8}, crop: 16, batch_size: 4, cycles: 1, epochs: 1}
conditions: {plain: {}, wide: {network: {width: 8}}}
blend: {trials: 5}
"""


def sonogrid(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "orchestrator.cli", *arguments], stdout=subprocess.DEVNULL, check=True)


def floor() -> None:
    subprocess.run([sys.executable, "-c", "import numpy, pandas"], check=True)


def rows(quick: bool) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        data, run, grid = (str(Path(folder, name)) for name in ("data", "run", "grid.yaml"))
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        generate(Path(data), seed=0, curated=16, noisy=4, test=4)
        Path(grid).write_text(GRID, encoding="utf-8")
        verbs: dict[str, Callable[[], None]] = {
            "status": partial(sonogrid, "status", run),
            "check": partial(sonogrid, "check", data),
            "plan": partial(sonogrid, "plan", grid, "--data", data),
            "report": partial(sonogrid, "report", run),
            "tune, no trial missing": partial(sonogrid, "tune", run),
        }
        launch = ["launch", grid, "--data", data, "--out", run, "--executor", "inline"]
        subprocess.run([sys.executable, "-m", "orchestrator.cli", *launch], capture_output=True, check=True)
        return [
            compare(f"verb {name}", "floor: import numpy, pandas", verb, floor, 1 if quick else 5)
            for name, verb in verbs.items()
        ]
