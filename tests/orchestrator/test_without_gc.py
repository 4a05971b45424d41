"""The garbage collector is off while a function runs, and as it was before afterwards."""

import gc

import pytest

from orchestrator.without_gc import uncollected


@uncollected
def enabled() -> bool:
    return gc.isenabled()


@uncollected
def fail() -> None:
    raise KeyError


def test_the_collector_is_off_inside_and_on_afterwards() -> None:
    assert not enabled()
    assert gc.isenabled()
    with pytest.raises(KeyError):
        fail()
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        assert not enabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
