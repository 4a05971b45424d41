"""What the process of a training uses while it trains: processor, memory and, where it has one, a GPU."""

import os
import time
from pathlib import Path

import torch

__all__ = ["Usage"]

STATM = Path("/proc/self/statm")
MB = 1 << 20


class Usage:
    """Measures from one epoch to the next. MLflow shows names that begin with `system/` under System metrics.

    Args:
        device: that the training runs on.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._cpu_s, self._wall_s = time.process_time(), time.perf_counter()

    def measure(self) -> dict[str, float]:
        """What was used since the last call, or since the beginning, and what is held now.

        Returns:
            `system/cpu_utilization_percentage`, of all threads of this process, where 100 is one core;
            `system/process_memory_megabytes`, the resident memory of this process;
            `system/gpu_0_memory_usage_megabytes`, what this process has reserved on its GPU.
        """
        cpu_s, wall_s = time.process_time(), time.perf_counter()
        share = (cpu_s - self._cpu_s) / max(wall_s - self._wall_s, 1e-9)
        self._cpu_s, self._wall_s = cpu_s, wall_s
        resident = int(STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
        found = {
            "system/cpu_utilization_percentage": round(100 * share, 1),
            "system/process_memory_megabytes": round(resident / MB, 1),
        }
        if self._device.type == "cuda":
            reserved = torch.cuda.memory_reserved(self._device)
            found["system/gpu_0_memory_usage_megabytes"] = round(reserved / MB, 1)
        return found
