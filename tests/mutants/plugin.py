"""A pytest plugin that runs the collected tests once for each mutant, each time in a fork of this process.

The tests are collected once. The first fork runs them on the module as it is, and finds out which tests call which
function, and how long each takes. A mutant then meets only tests that call its function, the fastest first, up to the
first failure.
"""

import ast
import gc
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from types import ModuleType
from typing import Any

import pytest

from tests.mutants.fork import forked
from tests.mutants.graft import graft, watch
from tests.mutants.mutations import Mutant

__all__ = ["Mutants", "Result"]

SLOW_S = 4.0
"""A test that computes longer is asked only where no quicker one calls the function."""
FIRST_S = 1800.0
PATIENCE_S, PATIENCE = 40.0, 15.0
"""How long a mutant may take, in seconds and for each second that its tests compute: the machine may be busy."""


@dataclass(frozen=True)
class Result:
    """What became of a mutant."""

    mutant: str
    line: int
    killer: str
    """The test that failed; 'time' if the tests took too long, empty if none noticed."""
    seconds: float


@dataclass
class Case:
    """A test or a fixture, as the first run saw it."""

    seconds: float = 0.0
    """Of the processor, which do not depend on what else the machine does."""
    shared: float = 0.0
    """The same for the fixtures that it shares with others."""
    calls: list[str] = field(default_factory=list)
    """Functions of the module."""

    @property
    def cost(self) -> float:
        """Seconds of the test alone."""
        return self.seconds + self.shared


class Mutants:
    """Runs the collected tests on the mutants of a module.

    Args:
        module: the imported module.
        tree: its syntax tree.
        mutants: of that tree.
        report: called with each result.
    """

    def __init__(
        self, module: ModuleType, tree: ast.Module, mutants: Iterable[Mutant], report: Callable[[Result], None]
    ) -> None:
        self.module, self.tree, self.mutants, self.report = module, tree, mutants, report

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the tests as they are, then on each mutant."""
        if session.testsfailed:
            raise session.Interrupted("the tests can't be collected")
        _share_s3_server()
        _take_any_counterexample()
        gc.collect()
        gc.freeze()  # memory that forks share is not copied
        said, _ = forked(lambda: self._as_it_is(session), FIRST_S)
        if not said.startswith("{"):
            raise session.Interrupted(f"the tests fail on the module as it is: {said}")
        cases = {name: Case(**case) for name, case in json.loads(said).items()}
        for mutant in self.mutants:
            chosen = _chosen(session.items, cases, mutant)
            limit_s = PATIENCE_S + PATIENCE * (
                sum(cases[item.nodeid].seconds for item in chosen)
                + max((cases[item.nodeid].shared for item in chosen), default=0.0)
            )
            said, seconds = forked(lambda m=mutant, c=chosen: self._on(m, session, c), limit_s)
            if said != "no mutant":
                self.report(Result(str(mutant), mutant.line, said, round(seconds, 2)))
        return True

    def _as_it_is(self, session: pytest.Session) -> str:
        """Run all tests; return what each calls of the module, as JSON."""
        seen = _Watch()
        watch(self.module, self.tree, seen.note)
        session.config.pluginmanager.register(seen)
        failed = _first_failure(session, session.items)
        return f"{failed}\n{seen.trace}" if failed else json.dumps({n: asdict(c) for n, c in seen.cases.items()})

    def _on(self, mutant: Mutant, session: pytest.Session, items: list[pytest.Item]) -> str:
        try:
            graft(self.module, self.tree, mutant)
        except Exception:
            return "no mutant"
        return _first_failure(session, items) or ""


def _chosen(items: Iterable[pytest.Item], cases: dict[str, Case], mutant: Mutant) -> list[pytest.Item]:
    """The tests for a mutant, the quickest first."""
    calling = [item for item in items if not mutant.in_function or mutant.scope in cases[item.nodeid].calls]
    quick = [item for item in calling if cases[item.nodeid].cost <= SLOW_S]
    return sorted(quick or calling, key=lambda item: cases[item.nodeid].cost)


def _first_failure(session: pytest.Session, items: list[pytest.Item]) -> str | None:
    """Run tests up to the first one that fails; its name."""
    session.config.pluginmanager.unregister(name="terminalreporter")
    for item, after in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
        if session.testsfailed:
            return item.nodeid
    return None


class _Watch:
    """Which test calls which functions of a module. What a fixture calls counts for all tests that use it."""

    def __init__(self) -> None:
        self.cases: dict[str, Case] = {}
        self.trace = ""
        self._fixtures: dict[object, Case] = {}
        self._calls: list[set[str]] = []
        self._shared_s = 0.0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the trace of a failure."""
        if report.failed:
            self.trace = report.longreprtext

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Time a test, and note its calls."""
        started, self._shared_s = time.process_time(), 0.0
        with self._noting() as calls:
            found: Any = yield
        seconds = time.process_time() - started - self._shared_s
        fixtures = getattr(item, "_fixtureinfo", None)
        definitions = [d for each in fixtures.name2fixturedefs.values() for d in each] if fixtures else []
        used = [self._fixtures[definition] for definition in definitions if definition in self._fixtures]
        shared = sum(case.seconds for case in used)
        self.cases[item.nodeid] = Case(seconds, shared, sorted(calls.union(*(case.calls for case in used))))
        return found

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Iterator[Any]:
        """Note the time and the calls of a fixture that tests share."""
        started = time.process_time()
        with self._noting() as calls:
            found = yield
        if fixturedef.scope == "function":
            self._calls[-1] |= calls
        else:
            seconds = time.process_time() - started
            self._shared_s += seconds
            self._fixtures[fixturedef] = Case(seconds, calls=sorted(calls))
        return found

    @contextmanager
    def _noting(self) -> Iterator[set[str]]:
        self._calls.append(set())
        try:
            yield self._calls[-1]
        finally:
            self._calls.pop()

    def note(self, function: str) -> None:
        """Note a call, from whatever thread."""
        if self._calls:
            self._calls[-1].add(function)


def _take_any_counterexample() -> None:
    """Keep hypothesis from looking for a smaller one."""
    from hypothesis.internal.conjecture import engine  # after pytest, which has a plugin of it

    engine.MAX_SHRINKING_SECONDS = 0


def _share_s3_server() -> None:
    """Start the S3 endpoint of the tests here, once for all forks."""
    services = sys.modules.get("tests.fixtures.services")
    if services is None:
        return
    server = services.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = server.get_host_and_port()

    class Started:
        def __init__(self, **_: object) -> None: ...

        def start(self) -> None: ...

        def stop(self) -> None: ...

        def get_host_and_port(self) -> object:
            return address

    vars(services)["ThreadedMotoServer"] = Started
