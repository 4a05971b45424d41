import mmap
import time

import torch

from trainers.usage import Usage


def busy(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_a_process_that_computes_uses_its_core_and_one_that_waits_does_not() -> None:
    usage = Usage(torch.device("cpu"))
    busy(0.1)
    computed = usage.measure()
    time.sleep(0.2)
    waited = usage.measure()
    name = "system/cpu_utilization_percentage"
    assert 0 <= waited[name] < computed[name]


def test_memory_is_that_of_the_process_in_megabytes() -> None:
    usage = Usage(torch.device("cpu"))
    name = "system/process_memory_megabytes"
    before = usage.measure()[name]
    size = 64 << 20
    with mmap.mmap(-1, size) as held:  # pages that the process can't have had before
        held.write(bytes(1) * size)
        grown = usage.measure()[name] - before
    assert 60 < grown < 600, "64 MB, and whatever else the process has taken meanwhile"


def test_a_process_without_a_gpu_names_none() -> None:
    assert not any("gpu" in name for name in Usage(torch.device("cpu")).measure())
