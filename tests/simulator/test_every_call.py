"""A process dies at the k-th storage call of a two-fold grid, for every k, before the call is done and after it."""

from collections.abc import Iterator

import pytest

from tests.simulator.faults import Fault
from tests.simulator.history import Setup, play
from tests.simulator.stand_ins import stand_ins

SETUPS = {
    "folder, inline": Setup(runs=1, hosts=1, clusters=(False,), mirror=False),
    "folder, cluster": Setup(runs=1, hosts=2, clusters=(True,), mirror=False),
    "s3, cluster": Setup(runs=1, hosts=2, clusters=(True,), mirror=False, store="s3"),
    "folder, mirror": Setup(runs=1, hosts=1, clusters=(False,), mirror=True),
}
STRIDE = 47
"""Of the calls that everyday tests try; `make test-long` tries all."""


@pytest.fixture(autouse=True)
def _simulated() -> Iterator[None]:
    with stand_ins():
        yield


def broken(setup: Setup, stride: int) -> list[str]:
    """The rules that are broken when a process dies at each of the calls."""
    undisturbed = play(0, [], setup=setup)
    assert not undisturbed.error
    found = []
    for call in range(0, undisturbed.calls, stride):
        for kind in ("crash", "crash after"):
            verdict = play(0, [Fault(kind, call)], setup=setup)
            assert verdict.fired == 1
            if verdict.error:
                found.append(f"{kind} at call {call}: {verdict.error}")
    return found


@pytest.mark.parametrize("name", [name for name in SETUPS if not name.endswith("mirror")])
def test_a_process_may_die_at_any_call(name: str) -> None:
    assert broken(SETUPS[name], STRIDE) == []


@pytest.mark.long
@pytest.mark.parametrize("name", SETUPS)
def test_a_process_may_die_at_every_call(name: str) -> None:
    assert broken(SETUPS[name], 1) == []
