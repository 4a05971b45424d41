"""The tool that changes modules and asks their tests."""

import ast
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.mutants.fork import TIME, forked
from tests.mutants.graft import graft, watch
from tests.mutants.mutations import applied, mutants_of
from tests.mutants.suites import SUITES, suite_of

ROOT = Path(__file__).resolve().parents[2]

SOURCE = '''
"""A module."""
import logging
from dataclasses import dataclass
from functools import cached_property

log = logging.getLogger(__name__)

LIMIT = 3
PAUSE_S = 1.0

@dataclass
class Box:
    """A box."""
    size: int = 1

    @cached_property
    def room(self) -> int:
        return self.size

def call(x, *, deep: bool = False) -> int:
    """Say it."""
    log.info("called", x)
    if x < LIMIT and not deep:
        raise ValueError("too small")
    return max(x, 0)
'''


def changes(source: str) -> list[str]:
    return [str(mutant) for mutant in mutants_of(ast.parse(source))]


def test_each_expression_and_statement_has_its_changes_and_texts_have_none() -> None:
    assert changes(SOURCE) == [
        "LIMIT: 3 -> 4",
        "Box.size: 1 -> 2",
        "Box.room: return self.size -> return",
        "call: False -> True",
        "call: x < LIMIT and (not deep) -> x < LIMIT or not deep",
        "call: x < LIMIT -> x <= LIMIT",
        "call: not deep -> deep",
        "call: raise ValueError('too small') -> pass",
        "call: return max(x, 0) -> return",
        "call: max(x, 0) -> min(x, 0)",
        "call: 0 -> 1",
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("x[1:] += y", ["x[1:] += y -> x[1:] -= y", "1 -> 2"]),
        ("x.y = -1", ["x.y = -1 -> pass", "-1 -> 1", "1 -> 2"]),
        ("f(a, key=b)", ["f(a, key=b) -> pass", "f(a, key=b) -> f(a)"]),
        ("open(a, encoding='ascii')", ["open(a, encoding='ascii') -> pass"]),
        ("y = [a for a in b if a.c()]", ["for a in b if a.c() -> for a in b if not a.c()"]),
        ("y = f'{a + b}', 'word', 'two words'", ["'word' -> 'wordX'"]),
        ("assert a < b", []),
    ],
)
def test_changes_of_a_line(line: str, expected: list[str]) -> None:
    assert changes(f"def f():\n    {line}") == [f"f: {each}" for each in expected]


def test_equal_changes_are_told_apart_and_taken_back() -> None:
    tree = ast.parse("def f():\n    return 1, 1")
    first, second = mutants_of(tree)[1:]
    assert (str(first), str(second)) == ("f: 1 -> 2", "f: 1 -> 2 (2)")
    before = ast.unparse(tree)
    with applied(second):
        assert "return (1, 2)" in ast.unparse(tree)
    assert ast.unparse(tree) == before


@pytest.fixture
def box(tmp_path: Path) -> Iterator[ModuleType]:
    module = ModuleType("tests.mutants.box")
    module.__file__ = str(tmp_path / "box.py")
    sys.modules[module.__name__] = module
    exec(compile(SOURCE, module.__file__, "exec"), module.__dict__)
    yield module
    del sys.modules[module.__name__]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("", (3, 1, 2, ValueError)),
        ("LIMIT: 3 -> 4", (4, 1, 2, ValueError)),
        ("Box.size: 1 -> 2", (3, 2, 2, ValueError)),
        ("Box.room: return self.size -> return", (3, 1, None, ValueError)),
        ("call: False -> True", (3, 1, 2, 2)),
        ("call: raise ValueError('too small') -> pass", (3, 1, 2, 2)),
    ],
)
def test_a_mutant_is_put_in_place(change: str, told: tuple[object, ...], box: ModuleType) -> None:
    call, made = box.call, box.Box(2)
    tree = ast.parse(SOURCE)
    for mutant in mutants_of(tree):
        if str(mutant) == change:
            graft(box, tree, mutant)
    try:
        said = call(2)
    except ValueError as error:
        said = type(error)
    assert (box.LIMIT, box.Box().size, made.room, said) == told


def test_calls_are_noted(box: ModuleType) -> None:
    called: list[str] = []
    watch(box, ast.parse(SOURCE), called.append)
    assert (box.Box(2).room, box.call(5)) == (2, 5)
    assert called == ["Box.room", "call"]


def test_a_fork_says_what_it_found_and_ends_in_time() -> None:
    assert forked(lambda: "found", 20.0)[0] == "found"
    assert forked(lambda: "long" * 100_000, 20.0)[0] == "long" * 100_000
    assert forked(lambda: str(time.sleep(60)), 0.2)[0] == TIME
    assert forked(lambda: sys.exit(3), 20.0)[0] == "the process ended"


def test_suites_are_there() -> None:
    for module in SUITES:
        assert (ROOT / module).is_file()
        assert all((ROOT / path).exists() for path in suite_of(module) if path.startswith("tests/"))
    assert suite_of("features/words.py") == ("tests/features/test_words.py",)


@pytest.mark.long
def test_mutants_of_a_module_are_counted() -> None:
    command = [sys.executable, "-m", "tests.mutants", "features/folds.py", "--only", "group_kfold: -sizes"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "features/folds.py: 1 of 1 killed (100%); it has 1 mutants" in done.stdout, done.stdout
    assert done.returncode == 0
