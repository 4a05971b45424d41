"""Which machine has room for which job: a ledger of machines and of what runs on each, without Ray.

A job is admitted only if each of its workers finds its CPUs and GPU on one machine, and its share of a GPU on one
device. Machines may be shared with others, and what these use is subtracted. It is not known exactly while our own jobs
start or end, since the cluster shows that with a delay; until then the last known use is kept, within the bounds that
the figures allow.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from orchestrator.planning.scheduler import Needs

__all__ = ["Ledger", "Machine"]

SETTLE_S = 3.0
"""How long after a job's end the cluster may still show what it used."""
NONE = 1e-6


@dataclass(frozen=True)
class Machine:
    """A machine of the cluster, as the cluster shows it."""

    name: str
    cpus: float
    gpus: float = 0.0
    gpu: str = ""
    """Type of its GPUs."""
    used_cpus: float = 0.0
    used_gpus: float = 0.0


@dataclass
class _Held:
    """What one of our jobs takes on one machine."""

    machine: str
    cpus: float
    devices: dict[int, float]
    """Device -> share."""
    visible: bool = False
    """Whether the cluster's figures surely contain it."""
    ended: float | None = None


@dataclass
class _Room:
    """What is free on a machine."""

    machine: Machine
    cpus: float
    devices: list[float] = field(default_factory=list)

    def take(self, needs: Needs) -> _Held | None:
        """Give a worker its CPUs and its devices, if there is room."""
        if needs.cpus > self.cpus + NONE or (needs.gpus and needs.gpu not in ("", self.machine.gpu)):
            return None
        shares: dict[int, float] = {}
        order = sorted(range(len(self.devices)), key=lambda device: self.devices[device])  # the fullest that has room
        for share in _shares(needs.gpus):
            device = next((d for d in order if d not in shares and self.devices[d] + NONE >= share), None)
            if device is None:
                return None
            shares[device] = share
        self.cpus -= needs.cpus
        for device, share in shares.items():
            self.devices[device] -= share
        return _Held(self.machine.name, needs.cpus, shares)


def _shares(gpus: float) -> list[float]:
    return [gpus] if 0 < gpus < 1 else [1.0] * round(gpus)


class Ledger:
    """Machines, our jobs on them, and what others use."""

    def __init__(self) -> None:
        self.machines: dict[str, Machine] = {}
        self._held: dict[str, list[_Held]] = {}
        self._leaving: list[_Held] = []
        self._others: dict[str, tuple[float, float]] = {}

    def update(self, machines: Iterable[Machine]) -> None:
        """Set the machines that can take jobs now, with what is in use on each."""
        self.machines = {machine.name: machine for machine in machines}
        now = time.monotonic()
        self._leaving = [held for held in self._leaving if held.ended is not None and now - held.ended < SETTLE_S]
        self._others = {name: self._use_of_others(machine) for name, machine in self.machines.items()}

    def _use_of_others(self, machine: Machine) -> tuple[float, float]:
        ours = self._on(machine.name)
        visible = [held for held in ours if held.visible]
        every = ours + [held for held in self._leaving if held.machine == machine.name]
        before = self._others.get(machine.name, (0.0, 0.0))
        figures = []
        for used, known, amount in (
            (machine.used_cpus, before[0], lambda held: held.cpus),
            (machine.used_gpus, before[1], lambda held: sum(held.devices.values())),
        ):
            least = max(0.0, used - sum(map(amount, every)))
            most = max(0.0, used - sum(map(amount, visible)))
            figures.append(min(max(known, least), most))
        return figures[0], figures[1]

    def _on(self, name: str) -> list[_Held]:
        return [held for parts in self._held.values() for held in parts if held.machine == name]

    def _rooms(self, *, empty: bool = False) -> list[_Room]:
        """What is free now, or would be without anybody's jobs."""
        rooms = {name: _Room(m, m.cpus, [1.0] * round(m.gpus)) for name, m in self.machines.items()}
        if empty:
            return list(rooms.values())
        for parts in self._held.values():
            for held in parts:
                room = rooms.get(held.machine)
                if room is not None:
                    room.cpus -= held.cpus
                    for device, share in held.devices.items():
                        room.devices[device] -= share
        for name, (cpus, gpus) in self._others.items():
            room = rooms[name]
            room.cpus -= cpus
            # Which devices others use is not shown: assume the freest ones, whole devices first.
            for share in [1.0] * int(gpus + NONE) + [gpus - int(gpus + NONE)]:
                if share > NONE and room.devices:
                    freest = max(range(len(room.devices)), key=room.devices.__getitem__)
                    room.devices[freest] -= share
        return list(rooms.values())

    @staticmethod
    def _place(rooms: Sequence[_Room], needs: Needs) -> list[_Held] | None:
        """Room for all workers, together on as few machines as their order gives; the rooms shrink by it."""
        if needs.gpus:
            # Fractions to devices that are shared already, and whole devices where few are left.
            order = sorted(rooms, key=lambda room: (sum(room.devices), room.cpus))
        else:
            # Not a GPU's last CPU while a machine without GPUs has room.
            order = sorted(rooms, key=lambda room: (bool(room.machine.gpus), -room.cpus))
        if needs.workers > 1:
            whole = [room for room in order if _times(room, needs) >= needs.workers]
            order = whole + sorted(order, key=lambda room: -_times(room, needs))
        found: list[_Held] = []
        for room in order:
            while len(found) < needs.workers and (held := room.take(needs)) is not None:
                found.append(held)
        return found if len(found) == needs.workers else None

    def fits(self, needs: Needs) -> bool:
        """Whether a job has room now."""
        return self._place(self._rooms(), needs) is not None

    def could_fit(self, needs: Needs) -> bool:
        """Whether a job would have room on these machines if nothing else ran."""
        return self._place(self._rooms(empty=True), needs) is not None

    def place(self, job: str, needs: Needs) -> list[str]:
        """Reserve room for a job; returns the machine of each worker.

        Raises:
            ValueError: there is no room.
        """
        found = self._place(self._rooms(), needs)
        if found is None:
            raise ValueError(f"no machine has room for {job}")
        self._held[job] = found
        return [held.machine for held in found]

    def show(self, job: str) -> None:
        """The job has started: the cluster's figures now contain what it uses."""
        for held in self._held.get(job, ()):
            held.visible = True

    def release(self, job: str) -> None:
        """The job has ended."""
        for held in self._held.pop(job, ()):
            held.ended = time.monotonic()
            self._leaving.append(held)

    def machines_of(self, job: str) -> list[str]:
        """Where a job was placed, one machine per worker."""
        return [held.machine for held in self._held.get(job, ())]

    @property
    def most_cpus(self) -> float:
        """CPUs of the largest machine."""
        return max((machine.cpus for machine in self.machines.values()), default=0.0)

    @property
    def has_gpus(self) -> bool:
        """Whether a machine has a GPU."""
        return any(machine.gpus for machine in self.machines.values())


def _times(room: _Room, needs: Needs) -> int:
    """How many workers of a job fit into a room."""
    copy = _Room(room.machine, room.cpus, list(room.devices))
    count = 0
    while count < needs.workers and copy.take(needs) is not None:
        count += 1
    return count
