"""Start-up of a Ray Train job that does nothing: sonogrid's against a plain `TorchTrainer`.

Both run in turn on one Ray cluster started in place; CPU seconds are those of all processes of the session.
"""

import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from benchmarks.rows import Row, row_of
from orchestrator.executors.ray.train import fast_start_environment, fit

ROUNDS = 3


@dataclass(frozen=True)
class Empty:
    """A job specification, as far as `fit` reads it."""

    node: str


def nothing(config: dict[str, Any]) -> None:
    """The job."""


def plain(storage: Path, name: str) -> None:
    """The usual way to run one worker."""
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    run_config = RunConfig(name=name, storage_path=str(storage))
    TorchTrainer(nothing, scaling_config=ScalingConfig(num_workers=1), run_config=run_config).fit()


class CpuMeter:
    """CPU seconds of this process and all its descendants, including dead ones that a 50 ms poll saw."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, float], float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)

    def _poll(self) -> None:
        while not self._stop.wait(0.05):
            self._look()

    def _look(self) -> None:
        for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
            try:
                times = process.cpu_times()
                self._seen[process.pid, process.create_time()] = times.user + times.system
            except psutil.Error:
                continue

    def measure(self, call: Callable[[], None]) -> tuple[float, float]:
        """Wall and CPU seconds of a call."""
        self._look()
        before, began = sum(self._seen.values()), time.perf_counter()
        call()
        wall = time.perf_counter() - began
        self._look()
        return wall, sum(self._seen.values()) - before

    def __enter__(self) -> "CpuMeter":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def rows(quick: bool) -> list[Row]:
    fast_start_environment()
    import ray

    with tempfile.TemporaryDirectory() as folder, CpuMeter() as meter:
        storage = Path(folder)
        ray.init(address="local", include_dashboard=False, log_to_driver=False)
        machines = [ray.get_runtime_context().get_node_id()]

        def ours(name: str) -> None:
            fit(nothing, Empty(name), str(storage), cpus=1.0, gpus=0.0, machines=machines)

        ours_s, plain_s = [], []
        for number in range(1 if quick else ROUNDS):
            ours_s.append(meter.measure(partial(ours, f"ours-{number}")))
            plain_s.append(meter.measure(partial(plain, storage, f"plain-{number}")))
        ray.shutdown()
    return [
        row_of("an empty Ray Train job", "peer: TorchTrainer", [a[k] for a in ours_s], [b[k] for b in plain_s], unit)
        for k, unit in enumerate(("s", "CPU s"))
    ]
