"""Time to resume: from `sonogrid resume` to the first training step of a killed job, and how it is spent.

    python -m benchmarks.resume_bench

A small grid runs on a Ray cluster started in place. Its driver is killed with SIGKILL during a training job, and the
run is resumed. Limit: 30 s on two cores, including the start of Ray.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def wait_for(folder: Path, pattern: str, seconds: float = 180.0) -> Path:
    deadline = time.monotonic() + seconds
    while not (found := sorted(folder.glob(pattern))):
        if time.monotonic() > deadline:
            raise TimeoutError(pattern)
        time.sleep(0.05)
    return found[0]


def clock_of(line: str) -> float:
    """Time of a line in a job's log, seconds since the epoch."""
    stamp = re.match(r"(\d+-\d+-\d+ \d+:\d+:\d+),(\d+)", line)
    assert stamp is not None
    return time.mktime(time.strptime(stamp[1], "%Y-%m-%d %H:%M:%S")) + int(stamp[2]) / 1000


def main(quick: bool = False) -> None:  # noqa: ARG001  there is no smaller case
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{root / 'mlflow.db'}"
        (root / "resume.yaml").write_text(GRID, encoding="utf-8")
        generate(root / "data", seed=0, curated=48, noisy=4, test=4)
        out = root / "run"
        driver = start("launch", str(root / "resume.yaml"), "--data", str(root / "data"), "--out", str(out))
        wait_for(out, "store/train-*/attempt-1/checkpoint.safetensors")
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        time.sleep(3.0)  # the Ray processes that it started end with it
        began = time.time()
        driver = start("resume", str(out))
        wait_for(out, "store/train-*/attempt-2/alive.json")
        while True:
            signs = [read_json(path) for path in out.glob("store/train-*/attempt-2/alive.json")]
            if any("step" in sign for sign in signs):
                first_step = time.time()
                break
            time.sleep(0.05)
        job = min(float(sign["started"]) for sign in signs)
        # Of the two killed jobs, the one that had a checkpoint.
        logs = [path.read_text(encoding="utf-8") for path in out.glob("store/train-*/logs/2.log")]
        continued = min(clock_of(line) for log in logs for line in log.splitlines() if "continued at" in line)
        os.killpg(driver.pid, signal.SIGINT)
        driver.wait()
    print(f"resume to the first training step: {first_step - began:.1f} s (limit 30)")
    print(f"  command, plan, Ray's start, Ray Train's start: {job - began:.1f} s")
    print(f"  torch, inputs checked, checkpoint read:        {continued - job:.1f} s")
    print(f"  to the step, as seen from outside (signs of life come every 2 s): {first_step - continued:.1f} s")


if __name__ == "__main__":
    main()
