import threading

import pytest
import torch
from torch import Tensor

from trainers.ahead import Ahead

META = torch.device("meta")
"""A device other than the CPU, for which a thread works."""


class Maker:
    """Makes a step's number, and remembers in which thread."""

    def __init__(self, *, fails_at: int = -1) -> None:
        self.steps: list[int] = []
        self.threads: set[str] = set()
        self.fails_at = fails_at
        self.made = threading.Semaphore(0)

    def __call__(self, step: int) -> int:
        self.steps.append(step)
        self.threads.add(threading.current_thread().name)
        self.made.release()
        if step == self.fails_at:
            raise ValueError(f"step {step}")
        return step


def test_on_a_cpu_a_step_is_made_when_it_is_asked_for() -> None:
    make = Maker()
    with Ahead(make, torch.device("cpu"), 9) as ahead:
        assert [ahead(step) for step in (3, 4)] == [3, 4]
        assert make.steps == [3, 4]
    assert make.threads == {threading.current_thread().name}


def test_the_next_step_is_made_before_it_is_asked_for() -> None:
    make = Maker()
    with Ahead(make, META, 9) as ahead:
        assert ahead(3) == 3
        for _ in range(2):
            assert make.made.acquire(timeout=60)
        assert make.steps == [3, 4]
        assert [ahead(4), ahead(5)] == [4, 5]
    assert make.steps[:3] == [3, 4, 5]
    assert threading.current_thread().name not in make.threads
    assert not any(thread.name.startswith("ahead") for thread in threading.enumerate())


def test_another_step_than_the_next_is_made_too() -> None:
    with Ahead(Maker(), META, 99) as ahead:
        assert [ahead(step) for step in (3, 50, 7)] == [3, 50, 7]


def test_after_the_last_step_none_is_made() -> None:
    make = Maker()
    with Ahead(make, META, 5) as ahead:
        assert [ahead(step) for step in (3, 4)] == [3, 4]
    assert make.steps == [3, 4]


def test_an_error_is_raised_at_its_step() -> None:
    with Ahead(Maker(fails_at=4), META, 9) as ahead:
        assert ahead(3) == 3
        with pytest.raises(ValueError, match="step 4"):
            ahead(4)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gets_each_step_in_time_and_nothing_waits() -> None:
    cuda = torch.device("cuda")
    host = torch.arange(1 << 20, dtype=torch.float32).pin_memory()

    def make(step: int) -> dict[str, Tensor]:
        return {"x": host.to(cuda, non_blocking=True) + step}

    sums = []
    with Ahead(make, cuda, 50) as ahead:
        torch.cuda.set_sync_debug_mode("error")
        try:
            for step in range(50):
                sums.append(ahead(step)["x"].double().sum())
        finally:
            torch.cuda.set_sync_debug_mode("default")
    wanted = host.double().sum()
    assert [float(each) for each in sums] == [float(wanted) + step * len(host) for step in range(50)]
