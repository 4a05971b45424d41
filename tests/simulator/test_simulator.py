"""Histories with faults keep the rules of docs/protocol.md, and old faults that are put back are found.

`python -m tests.simulator --help` plays more of them, and one again with all that happens.
"""

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

import orchestrator.tracking.thread
from tests.simulator.faults import AtTime, Fault
from tests.simulator.history import Setup, Verdict, play
from tests.simulator.mutants import MUTANTS
from tests.simulator.shrink import shrunk
from tests.simulator.stand_ins import Patches, stand_ins


@pytest.fixture
def patches() -> Iterator[Patches]:
    with stand_ins() as replaced:
        yield replaced


def broken(first: int, count: int) -> list[str]:
    """The rules that some histories break, with the seeds."""
    verdicts = (play(seed) for seed in range(first, first + count))
    return [f"seed {verdict.seed}: {verdict.error}" for verdict in verdicts if verdict.error]


@pytest.mark.usefixtures("patches")
@pytest.mark.parametrize("first", range(0, 120, 40))
def test_every_history_keeps_the_rules(first: int) -> None:
    assert broken(first, 40) == []


@pytest.mark.usefixtures("patches")
@pytest.mark.parametrize(
    "seed",
    [
        205, 270, 303, 363, 509, 10_748, 12_452, 13_570, 22_871, 28_985, 100_368, 102_521, 102_868, 111_879, 200_118,
        1_000_296, 2_002_543,
    ],
)  # fmt: skip
def test_what_once_broke_a_rule_keeps_it(seed: int) -> None:
    assert broken(seed, 1) == []


@pytest.mark.long
@pytest.mark.usefixtures("patches")
@pytest.mark.parametrize("first", range(10_000, 30_000, 1_000))
def test_many_more_histories_keep_the_rules(first: int) -> None:
    assert broken(first, 1_000) == []


@pytest.mark.usefixtures("patches")
@pytest.mark.parametrize("seed", [2, 4])
def test_a_seed_is_one_history(seed: int) -> None:
    first, second = (play(seed, trace=True) for _ in range(2))
    assert first == second
    assert first.trace


FOUND_WITHIN = {
    "1": 40, "2": 40, "3a": 1500, "3b": 40, "5": 2000, "6": 300, "7": 40, "8": 40, "10": 40, "13": 40, "22": 40,
}  # fmt: skip
"""Old fault -> the number of seeds within which it has to be found."""
ALONE = Setup(mirror=False, shared_locks=False)
FROZEN: dict[str, tuple[Setup, AtTime, float]] = {
    "11": (replace(ALONE, clusters=(False, False)), "freeze", 82.0),
    "24": (replace(ALONE, clusters=(False,), runs=1), "impatient", 25.0),
}
"""Faults that need a process which is frozen just so long that another one is at its work when it wakes: hundreds of
seeds do not draw that, so the shape of the history and its one fault are given."""


LONG = [pytest.param(name, marks=pytest.mark.long) if seeds > 50 else name for name, seeds in FOUND_WITHIN.items()]


@pytest.mark.parametrize("name", LONG)
def test_an_old_fault_is_found(name: str, patches: Patches) -> None:
    MUTANTS[name].put_back(patches)
    assert any(play(seed).error for seed in range(FOUND_WITHIN[name]))


def frozen(name: str) -> list[Verdict]:
    setup, kind, seconds = FROZEN[name]
    return [
        play(seed, [Fault(kind, 4.0 + 0.2 * seed, seconds, random.Random(seed).random())], setup=setup)
        for seed in range(20)
    ]


@pytest.mark.parametrize("name", FROZEN)
def test_an_old_fault_of_a_process_that_wakes_is_found(name: str, patches: Patches) -> None:
    assert [verdict.error for verdict in frozen(name) if verdict.error] == []
    MUTANTS[name].put_back(patches)
    assert any(verdict.error for verdict in frozen(name))


@pytest.mark.usefixtures("patches")
def test_threads_that_earlier_tests_left_behind_live_in_real_time() -> None:
    said: list[float] = []

    def ask() -> None:
        orchestrator.tracking.thread.time.sleep(0.001)
        said.append(orchestrator.tracking.thread.time.monotonic())

    before = time.monotonic()
    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert before < said[0] < time.monotonic()


def test_a_broken_history_is_shrunk(patches: Patches) -> None:
    MUTANTS["3b"].put_back(patches)
    verdict = next(verdict for seed in range(40) if (verdict := play(seed)).error and verdict.faults)
    numbers = shrunk(verdict)
    assert len(numbers) < len(verdict.faults)
    assert play(verdict.seed, [verdict.faults[number] for number in numbers]).error
