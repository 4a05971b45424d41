"""Faults that happen at a time, and what each does to hosts, processes and files."""

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from features.errors import SonogridError
from tests.simulator.faults import AT_TIME, NOTICE_S, Fault, pick
from tests.simulator.kernel import Host, Process
from tests.simulator.rules import RESULT

if TYPE_CHECKING:
    from tests.simulator.history import World

__all__ = ["happen"]


def happen(world: "World", fault: Fault) -> None:
    """Let a fault happen."""
    world.fired += 1
    world.kernel.note(f"FAULT {fault}")
    world.faults.lasts(world.kernel.now + fault.seconds)
    EVENTS[fault.kind](world, fault, world.hosts[int(fault.pick * len(world.hosts))])


def _choice(fault: Fault, choices: int) -> int:
    """One of some choices, not the one that chose the host."""
    return int(fault.pick * 977) % choices


def _alive(world: "World") -> list[Process]:
    return [process for process in world.kernel.processes if not process.dead and process.host is not world.desk]


def _driver(world: "World", fault: Fault) -> Process | None:
    return pick([driver for driver in world.drivers if not driver.dead], fault.pick)


def _disturb(world: "World", until: float, host: Host | None = None) -> None:
    """Remember that processes could not show that they live."""
    for process in _alive(world):
        if host in (None, process.host):
            process.disturbed = max(process.disturbed, until)


def _freeze(world: "World", fault: Fault, host: Host) -> None:
    if (process := pick(_alive(world), fault.pick)) is not None:
        world.kernel.freeze(process, fault.seconds)


def _partition(world: "World", fault: Fault, host: Host) -> None:
    until, which = world.kernel.now + fault.seconds, _choice(fault, 3)
    if which != 1:
        host.cut_from_store = until
    if which != 0:
        host.cut_from_cluster = until
    _disturb(world, until, host)


def _away(world: "World", fault: Fault, host: Host) -> None:
    world.faults.away = world.kernel.now + fault.seconds
    _disturb(world, world.faults.away)


def _mlflow_away(world: "World", fault: Fault, host: Host) -> None:
    world.faults.mlflow_away = world.kernel.now + fault.seconds


def _full(world: "World", fault: Fault, host: Host) -> None:
    world.faults.full = world.kernel.now + fault.seconds
    _disturb(world, world.faults.full)


def _preempt(world: "World", fault: Fault, host: Host) -> None:
    host.going = world.kernel.now + NOTICE_S
    world.faults.lasts(host.going + fault.seconds)
    _disturb(world, world.kernel.now, host)
    world.kernel.at(host.going, lambda: _lose(world, fault, host))


def _lose(world: "World", fault: Fault, host: Host) -> None:
    host.going, host.gone_until = None, world.kernel.now + fault.seconds
    world.faults.lasts(host.gone_until)
    for process in _alive(world):
        if process.host is host:
            world.kernel.kill(process)


def _rot(world: "World", fault: Fault, host: Host) -> None:
    """Change a result behind everybody's back, but not between the check of a job's inputs and their use."""
    if world.rules.is_reading:
        world.kernel.at(world.kernel.now + 0.5, lambda: _rot(world, fault, host))
        return
    finished = {name: node.valid for name, node in world.rules.nodes.items() if not name.startswith("manifest-")}
    name = pick(sorted(name for name, mark in finished.items() if mark), fault.pick)
    if name is not None:
        world.damage(f"{name}/{finished[name]['folder']}/{RESULT}")  # type: ignore[index]


def _stop(world: "World", fault: Fault, host: Host) -> None:
    if (driver := _driver(world, fault)) is not None:
        if driver.memory.get("interruptible"):
            driver.asked.append(("epoch", "now")[_choice(fault, 2)])
        else:
            world.kernel.kill(driver)


def _terminate(world: "World", fault: Fault, host: Host) -> None:
    jobs = [process for process in _alive(world) if process not in world.drivers]
    if (process := pick(jobs, fault.pick)) is not None:
        process.ending = True
        process.disturbed = world.kernel.now


def _impatient(world: "World", fault: Fault, host: Host) -> None:
    """Often because the driver seems to hang."""
    if (driver := _driver(world, fault)) is not None and not world.setup.own_disk and host.gone_until == 0.0:
        if _choice(fault, 4):
            world.kernel.freeze(driver, fault.seconds)
        world.launch(driver.memory["run"], host)


def _clock(world: "World", fault: Fault, host: Host) -> None:
    host.skew_s += fault.seconds * (100 if _choice(fault, 2) else -100)


def _force(world: "World", fault: Fault, host: Host) -> None:
    """What `--force` of another run does to a node."""
    nodes = [node for node in world.graph.nodes.values() if world.rules.node(world.name_of(node)).valid]
    node = pick(nodes, fault.pick)
    if node is not None and not world.setup.own_disk:
        _disturb(world, world.kernel.now)

        def forget() -> None:
            with suppress(SonogridError, OSError):  # the store may be away
                world.run_of(0).store.forget(node)

        world.kernel.spawn(world.desk, "force", forget)


EVENTS: dict[str, Callable[["World", Fault, Host], None]] = {
    "freeze": _freeze,
    "partition": _partition,
    "away": _away,
    "mlflow away": _mlflow_away,
    "preempt": _preempt,
    "host dies": _lose,
    "full": _full,
    "rot": _rot,
    "stop": _stop,
    "terminate": _terminate,
    "impatient": _impatient,
    "clock": _clock,
    "force": _force,
}
assert EVENTS.keys() == AT_TIME.keys()
