"""Time to resume: from `sonogrid resume` to the first training step of a killed job, against that of the launch.

A small grid runs on a Ray cluster started in place. Its driver is killed with SIGKILL during a training job, and the
run is resumed. A new run also computes its features.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.rows import Row, row_of
from features.files import read_json
from features.synthetic import generate

GRID = """
name: resume
data: {folds: 2}
features: {mel: {n_mels: 32}}
defaults:
  {network: {kind: resnet, depth: 10, width: 16, head_units: 64}, crop: 128, batch_size: 8, cycles: 1, epochs: 60}
conditions: {plain: {}}
blend: {trials: 1}
"""


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "orchestrator.cli", *arguments],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
    )  # fmt: skip


def first_step(out: Path, attempt: int, seconds: float = 180.0) -> None:
    """Wait until a training job of this attempt has made a step."""
    deadline = time.monotonic() + seconds
    while not any("step" in _read(path) for path in out.glob(f"store/train-*/attempt-{attempt}/alive.json")):
        if time.monotonic() > deadline:
            raise TimeoutError(f"no step of attempt {attempt} in {out}")
        time.sleep(0.05)


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = read_json(path)
    return found


def launched(root: Path, number: int) -> tuple[float, float]:
    """Seconds to the first step of a new run, and of the same run after a kill."""
    out = root / f"run-{number}"
    began = time.monotonic()
    driver = start("launch", str(root / "resume.yaml"), "--data", str(root / "data"), "--out", str(out))
    first_step(out, 1)
    new_s = time.monotonic() - began
    while not list(out.glob("store/train-*/attempt-1/checkpoint.safetensors")):
        time.sleep(0.05)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    time.sleep(3.0)  # the Ray processes that it started end with it
    began = time.monotonic()
    driver = start("resume", str(out))
    first_step(out, 2)
    resumed_s = time.monotonic() - began
    os.killpg(driver.pid, signal.SIGINT)
    driver.wait()
    return resumed_s, new_s


def rows(quick: bool) -> list[Row]:
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{root / 'mlflow.db'}"
        (root / "resume.yaml").write_text(GRID, encoding="utf-8")
        generate(root / "data", seed=0, curated=48, noisy=4, test=4)
        times = [launched(root, number) for number in range(1 if quick else 3)]
    resumed_s, new_s = zip(*times, strict=True)
    return [row_of("resume to the first step after a kill", "peer: launch to the first step", resumed_s, new_s, "s")]
