"""Errors keep what they hold when they travel between processes, and say what an errno means."""

import copy
import errno

import pytest

from features import errors
from features.errors import ADVICE, DataError, InputError, NotFiniteError, SonogridError


def test_problems_and_epochs_survive_a_copy() -> None:
    # A copy is made by `__reduce__`, as by the pickle that Ray sends.
    problems = copy.copy(DataError(["one", "two"]))
    assert problems.problems == ["one", "two"]
    assert str(problems) == "one\ntwo"
    lost = copy.copy(NotFiniteError("the loss became nan", 3))
    assert (str(lost), lost.epochs_done) == ("the loss became nan", 3)


@pytest.mark.parametrize("name", [name for name in errors.__all__ if name.endswith("Error")])
def test_bad_input_has_exit_code_2_and_all_else_1(name: str) -> None:
    kind = getattr(errors, name)
    assert issubclass(kind, SonogridError)
    assert kind.exit_code == (2 if issubclass(kind, InputError) else 1)
    assert issubclass(kind, ValueError) == issubclass(kind, InputError)


def test_advice_says_what_is_wrong_and_what_to_do() -> None:
    assert ADVICE[errno.ENOSPC] == "the disk is full: free some space"
    for advice in ADVICE.values():
        what, _, remedy = advice.partition(": ")
        assert what
        assert remedy
        assert not advice.endswith(".")
